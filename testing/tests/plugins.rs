//! Plugins in C and in Rust, good and bad, in a real server.

use std::time::Duration;

use anyhow::{Context as _, Result};
use walker_testing::{Cluster, Installation, Mode, Signal};

const TIMEOUT: Duration = Duration::from_secs(60);

fn cluster(plugins: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "walker")
        .setting("walker.plugins", plugins)
        .setting("autovacuum", "off")
        .start()?;
    cluster.wait_for_log("walker: walking over WAL", TIMEOUT)?;
    cluster.psql("postgres", "CREATE EXTENSION walker")?;
    Ok(cluster)
}

fn load(cluster: &Cluster) -> Result<()> {
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 2000) g;
         UPDATE t SET v = 'y' WHERE id % 2 = 0; BEGIN; DELETE FROM t; ROLLBACK; DELETE FROM t WHERE id % 5 = 0; VACUUM t;
         CHECKPOINT; UPDATE t SET v = 'z' WHERE id < 50;",
    )?;
    Ok(())
}

#[test]
fn a_plugin_in_c_counts_what_pg_waldump_counts() -> Result<()> {
    let cluster = cluster("record_count")?;
    load(&cluster)?;
    let counted = cluster.ask_counting_plugin("record_count")?;
    let expected = cluster.count_by_pg_waldump(counted.from, counted.to)?;
    assert!(expected["Heap"] > 2000);
    for (ours, theirs) in [
        ("all", "Total"),
        ("heap", "Heap"),
        ("heap2", "Heap2"),
        ("xlog", "XLOG"),
        ("xact", "Transaction"),
        ("smgr", "Storage"),
        ("btree", "Btree"),
        ("standby", "Standby"),
    ] {
        assert_eq!(counted.counts[ours], expected[theirs], "{theirs}: {counted:?}");
    }
    Ok(())
}

#[test]
fn a_plugin_in_rust_counts_what_pg_waldump_counts() -> Result<()> {
    let cluster = cluster("record_count_rust, record_count")?;
    load(&cluster)?;
    let counted = cluster.ask_counting_plugin("record_count_rust")?;
    let mut expected = cluster.count_by_pg_waldump(counted.from, counted.to)?;
    expected.retain(|_, count| *count > 0);
    let total = expected.remove("Total").context("no total")?;
    let mut counts = counted.counts;
    assert_eq!(counts.remove("all"), Some(total));
    assert_eq!(counts, expected);
    Ok(())
}

#[test]
fn plugins_say_so_in_the_log_at_a_checkpoint_and_at_the_end() -> Result<()> {
    let mut cluster = cluster("record_count, record_count_rust")?;
    load(&cluster)?;
    let mark = cluster.log_mark()?;
    cluster.psql("postgres", "CHECKPOINT")?;
    cluster.flush_wal()?;
    cluster.wait_for_log_since(mark, "record_count: from", TIMEOUT)?;
    cluster.wait_for_log_since(mark, "record_count_rust: from", TIMEOUT)?;
    let mark = cluster.log_mark()?;
    cluster.stop(Mode::Fast)?;
    let log = cluster.log_since(mark)?;
    assert!(log.contains("record_count: from") && log.contains("walker: stopped at"), "{log}");
    Ok(())
}

#[test]
fn a_plugin_of_the_original_walker_works_as_it_is() -> Result<()> {
    let cluster = cluster("original_struct, record_count")?;
    cluster.wait_for_log("original_struct: started", TIMEOUT)?;
    load(&cluster)?;
    let line = cluster.wait_for_log("original_struct: heap", TIMEOUT)?;
    assert!(!line.contains("heap 0") && !line.contains("xact 0") && !line.contains("smgr 0"), "{line}");
    Ok(())
}

/// The server runs on, the other plugin misses nothing, and the log says who failed, where and why.
fn fails_alone(plugin: &str, cause: &str) -> Result<()> {
    let mut cluster = cluster(&format!("{plugin}, record_count"))?;
    let worker = cluster.background_workers("walker")?;
    load(&cluster)?;
    let line = cluster.wait_for_log(&format!("plugin \"{plugin}\" failed at WAL record"), TIMEOUT)?;
    assert!(line.contains("WARNING") && line.contains(cause) && line.contains("is tried again in"), "{line}");
    let counted = cluster.ask_counting_plugin("record_count")?;
    let expected = cluster.count_by_pg_waldump(counted.from, counted.to)?;
    assert_eq!(counted.counts["all"], expected["Total"]);
    assert_eq!(cluster.background_workers("walker")?, worker, "the worker is another");
    let error = cluster.psql("postgres", &format!("SELECT walker_ask('{plugin}')")).unwrap_err();
    assert!(format!("{error:#}").contains("has failed and waits to be tried again"), "{error:#}");
    // Nothing is left locked: this takes the lock that the plugin in C held, and others.
    cluster.psql("postgres", "CREATE TABLE after (id int); DROP TABLE after, t; CHECKPOINT")?;
    cluster.stop(Mode::Fast)
}

#[test]
fn a_plugin_that_panics_fails_alone() -> Result<()> {
    fails_alone("panics", "panicked: panics has seen 10 records")
}

#[test]
fn a_plugin_that_raises_an_error_fails_alone() -> Result<()> {
    fails_alone("raises_error", "raises_error has seen 10 records")
}

#[test]
fn what_cannot_be_loaded_is_named_and_left_out() -> Result<()> {
    // pgstattuple is a library without the function; record_count is there twice.
    let cluster = cluster("no_such_plugin, pgstattuple, record_count, Record_Count")?;
    let log = cluster.log()?;
    for expected in [
        "plugin \"no_such_plugin\" could not start: could not access file \"no_such_plugin\"",
        "plugin \"pgstattuple\" could not start: the library has no function _PG_walker_plugin_init",
        "plugin \"record_count\" is named twice",
        "plugins: record_count\n",
    ] {
        assert!(log.contains(expected), "{expected} is not in\n{log}");
    }
    load(&cluster)?;
    cluster.ask_counting_plugin("record_count")?;
    let error = cluster.psql("postgres", "SELECT walker_ask('no_such_plugin')").unwrap_err();
    assert!(format!("{error:#}").contains("plugin \"no_such_plugin\" has failed"), "{error:#}");
    Ok(())
}

#[test]
fn an_invalid_list_is_told_and_the_server_runs() -> Result<()> {
    let cluster = cluster("a,,b")?;
    let log = cluster.log()?;
    assert!(
        log.contains("invalid list in parameter \"walker.plugins\", which changes nothing: a name is missing"),
        "{log}"
    );
    assert_eq!(cluster.psql("postgres", "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn names_may_be_quoted_paths_and_the_first_name_of_garbagemap_holds() -> Result<()> {
    let cluster = cluster("\"$libdir/record_count\", heatmap")?;
    assert!(cluster.log()?.contains("plugins: $libdir/record_count, garbagemap"));
    cluster.psql("postgres", "CREATE EXTENSION garbagemap; CREATE TABLE t AS SELECT 1")?;
    cluster.at_a_quiet_moment("postgres", |session, _| session.execute("SELECT * FROM gs('t')"))?;
    Ok(())
}

#[test]
fn without_the_library_in_the_settings_asking_is_an_error() -> Result<()> {
    let cluster = Cluster::builder(&Installation::for_tests()?).start()?;
    cluster.psql("postgres", "CREATE EXTENSION walker; CREATE EXTENSION garbagemap; CREATE TABLE t AS SELECT 1")?;
    for sql in ["SELECT walker_ask('garbagemap')", "SELECT * FROM garbage_summary('t')"] {
        let error = cluster.psql("postgres", sql).unwrap_err();
        assert!(format!("{error:#}").contains("must be loaded via \"shared_preload_libraries\""), "{error:#}");
    }
    Ok(())
}

#[test]
fn the_worker_answers_signals() -> Result<()> {
    let cluster = cluster("record_count")?;
    let worker = cluster.background_workers("walker")?;
    // SIGHUP: the worker reads the settings and goes on.
    cluster.configure([("log_min_messages", "debug1")])?;
    cluster.reload()?;
    load(&cluster)?;
    cluster.ask_counting_plugin("record_count")?;
    assert_eq!(cluster.background_workers("walker")?, worker);
    // SIGINT: there is nothing to cancel.
    cluster.psql("postgres", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walker'")?;
    cluster.ask_counting_plugin("record_count")?;
    assert_eq!(cluster.background_workers("walker")?, worker);
    // SIGTERM: it stops in order, and PostgreSQL starts another.
    let mark = cluster.log_mark()?;
    cluster.kill_background_worker("walker", Signal::TERM)?;
    cluster.wait_for_log_since(mark, "walker: stopped at", TIMEOUT)?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    cluster.psql("postgres", "INSERT INTO t VALUES (100001, 'after')")?;
    cluster.ask_counting_plugin("record_count")?;
    Ok(())
}

#[test]
fn a_question_is_withdrawn_when_its_asker_is_cancelled() -> Result<()> {
    let cluster = cluster("record_count")?;
    load(&cluster)?;
    // More than there are places for questions: each must be given back.
    let cancelled =
        "SET statement_timeout = 1; SELECT count(walker_ask('record_count')) FROM generate_series(1, 100000)";
    for _ in 0..40 {
        assert!(cluster.psql("postgres", cancelled).is_err());
    }
    cluster.ask_counting_plugin("record_count")?;
    Ok(())
}

#[test]
fn an_idle_worker_sleeps() -> Result<()> {
    let cluster = cluster("record_count")?;
    cluster.flush_wal()?;
    cluster.ask_counting_plugin("record_count")?;
    let worker = cluster.background_workers("walker")?;
    let switches = || -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", worker[0]))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(line.context("no count of context switches")?.trim().parse()?)
    };
    let before = switches()?;
    std::thread::sleep(Duration::from_secs(4));
    // The server wakes it, or else it looks every 200 ms: 20 times, with some room. A tight loop would be thousands.
    let wakeups = switches()? - before;
    let most = if cluster.installation().version().major >= 16 { 10 } else { 60 };
    assert!(wakeups < most, "{wakeups} wake-ups in 4 s");
    Ok(())
}
