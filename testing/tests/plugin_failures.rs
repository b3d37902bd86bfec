//! Plugins that fail, leak or are slow: the worker, the others and the server go on, and the views say so.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pgwal::Lsn;
use walker_testing::{
    Cluster, Installation, Mode, Signal, assert_garbage_equal, garbagemap_cluster, poll, start_garbagemap,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "postgres";

fn cluster(plugins: &str) -> Result<Cluster> {
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .settings([("shared_preload_libraries", "walker"), ("walker.plugins", plugins), ("autovacuum", "off")])
        .settings([("walker.retry_interval", "20ms"), ("walker.max_failures", "3"), ("max_connections", "20")])
        .start()?;
    cluster.wait_for_log("walker: walking over WAL", TIMEOUT)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker; CREATE EXTENSION garbagemap")?;
    Ok(cluster)
}

/// Tells the plugin does_as_told what to do.
fn tell(cluster: &Cluster, what: &str) -> Result<()> {
    cluster.psql(DATABASE, &format!("SELECT pg_logical_emit_message(false, 'does_as_told', '{what}')"))?;
    Ok(())
}

/// Columns of the plugin's row in pg_stat_walker.
fn row(cluster: &Cluster, plugin: &str, columns: &str) -> Result<String> {
    cluster.psql(DATABASE, &format!("SELECT {columns} FROM pg_stat_walker WHERE plugin = '{plugin}'"))
}

/// Waits until the plugin was told all that is written now.
fn wait_until_told(cluster: &Cluster, plugin: &str) -> Result<()> {
    let end = cluster.flush_wal()?;
    cluster.wait_for_plugin_row(plugin, &format!("applied_lsn >= '{end}'"))
}

/// So many records does pg_waldump see in the range that record_count was told, and it itself.
fn counts(cluster: &Cluster) -> Result<(u64, u64)> {
    let counted = cluster.ask_counting_plugin("record_count")?;
    Ok((cluster.count_by_pg_waldump(counted.from, counted.to)?["Total"], counted.counts["all"]))
}

#[test]
fn one_that_fails_is_tried_again_at_the_same_record() -> Result<()> {
    let cluster = cluster("does_as_told, record_count")?;
    tell(&cluster, "fail 2")?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 100)")?;
    wait_until_told(&cluster, "does_as_told")?;
    cluster.wait_for_plugin_row("does_as_told", "state = 'running' AND failures = 2")?;
    let error = row(&cluster, "does_as_told", "last_error, last_error_time <= now(), retry_time IS NULL")?;
    assert!(
        error.contains("does_as_told fails for the 2. time") && error.ends_with("t\tt") | error.ends_with("t|t"),
        "{error}"
    );
    let log = cluster.log()?;
    for expected in
        ["WARNING:  walker: plugin \"does_as_told\" failed at WAL record", "it is tried again in 20ms", "in 40ms"]
    {
        assert!(log.contains(expected), "{expected}\n{log}");
    }
    // Both were told the same records: the one that failed missed nothing, and was told nothing twice but where it failed.
    let records = "SELECT count(DISTINCT records), min(records) > 100, max(failures) FROM pg_stat_walker";
    let same = poll(TIMEOUT, || {
        wait_until_told(&cluster, "does_as_told")?;
        let same = cluster.psql(DATABASE, records)?;
        Ok((same.replace('|', "\t") == "1\tt\t2").then_some(()))
    })?;
    assert!(same.is_some(), "{}", cluster.psql(DATABASE, "SELECT * FROM pg_stat_walker")?);
    let (theirs, ours) = counts(&cluster)?;
    assert_eq!(theirs, ours);
    let told = cluster.psql(DATABASE, "SELECT walker_ask('does_as_told')")?;
    assert!(told.ends_with("failures 2"), "{told}");
    Ok(())
}

#[test]
fn one_that_always_fails_is_switched_off_and_gets_another_chance_at_a_reload() -> Result<()> {
    let cluster = cluster("does_as_told, garbagemap")?;
    tell(&cluster, "fail 4")?;
    cluster.wait_for_plugin_row(
        "does_as_told",
        "state = 'off' AND failures = 3 AND NOT wal_kept AND retry_time IS NULL",
    )?;
    let line = cluster.wait_for_log("it is switched off after 3 failures", TIMEOUT)?;
    assert!(line.contains("a configuration reload gives it another chance"), "{line}");
    let error = cluster.psql(DATABASE, "SELECT walker_ask('does_as_told')").unwrap_err();
    assert!(format!("{error:#}").contains("plugin \"does_as_told\" is switched off"), "{error:#}");
    // The other one goes on, and WAL is not held back for the one that is off.
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 100); DELETE FROM t; CHECKPOINT")?;
    let end = cluster.flush_wal()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let slot = format!("SELECT restart_lsn > '{end}' FROM pg_replication_slots WHERE slot_name = 'walker'");
    cluster.wait_until_true(DATABASE, &slot, TIMEOUT)?;
    cluster.psql(DATABASE, "SELECT garbagemap_wait(pg_current_wal_flush_lsn(), 10000)")?;
    assert_eq!(cluster.psql(DATABASE, "SELECT sum(n_dead_tuples) FROM garbage_summary('t')")?, "100");
    cluster.reload()?;
    cluster.wait_for_plugin_row("does_as_told", "state = 'running' AND failures = 4")?;
    wait_until_told(&cluster, "does_as_told")
}

#[test]
fn what_one_leaves_in_its_memory_context_is_freed_after_each_record() -> Result<()> {
    let cluster = cluster("does_as_told")?;
    let resident = || -> Result<u64> {
        let worker = cluster.background_workers("walker")?;
        let status = fs::read_to_string(format!("/proc/{}/status", worker.first().context("a worker")?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    wait_until_told(&cluster, "does_as_told")?;
    let before = resident()?;
    // 100 kB for each of 5000 records.
    tell(&cluster, "leak 100000")?;
    cluster.psql(DATABASE, "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5000)")?;
    wait_until_told(&cluster, "does_as_told")?;
    let grown = resident()?.saturating_sub(before);
    assert!(grown < 20_000, "{grown} kB");
    Ok(())
}

#[test]
fn one_that_is_slow_has_a_lag_and_neither_the_others_nor_the_server_have_one() -> Result<()> {
    let mut cluster = cluster("does_as_told, record_count")?;
    tell(&cluster, "slow 20000")?;
    // 20 s of work for it.
    cluster.psql(DATABASE, "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 1000)")?;
    let end = cluster.flush_wal()?;
    let lag = "lag_bytes > 5000 AND state = 'catching up' AND total_time > 100 AND lag > '0'::interval";
    cluster.wait_for_plugin_row("does_as_told", lag)?;
    // Work goes on while it is far behind.
    cluster.psql(DATABASE, "INSERT INTO t SELECT 1; UPDATE t SET id = 2 WHERE id = 1; DROP TABLE t; CHECKPOINT")?;
    wait_until_told(&cluster, "record_count")?;
    let (theirs, ours) = counts(&cluster)?;
    assert_eq!(theirs, ours);
    assert_eq!(row(&cluster, "does_as_told", &format!("applied_lsn < '{end}'"))?, "t");
    // It does not keep the server from stopping.
    cluster.stop(Mode::Fast)
}

#[test]
fn one_that_ends_the_process_is_to_blame_for_it() -> Result<()> {
    let cluster = cluster("record_count, does_as_told")?;
    let mark = cluster.log_mark()?;
    tell(&cluster, "end 1")?;
    cluster.wait_for_log_since(mark, "FATAL:  does_as_told ends the process", TIMEOUT)?;
    let line = cluster.wait_for_log_since(mark, "plugin \"does_as_told\" ended the process", TIMEOUT)?;
    assert!(line.contains("WARNING") && line.contains("it is tried again in 20ms"), "{line}");
    // It keeps nothing, so that it begins behind what made it do so.
    cluster.wait_for_plugin_row(
        "does_as_told",
        "state = 'running' AND failures = 1 AND last_error LIKE '%ended the process%'",
    )?;
    cluster.wait_for_plugin_row("record_count", "state = 'running' AND failures = 0 AND last_error IS NULL")?;
    // Told to end, the worker ends by itself, and nobody is to blame.
    let mark = cluster.log_mark()?;
    cluster.kill_background_worker("walker", Signal::TERM)?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    assert!(!cluster.log_since(mark)?.contains("ended the process"), "{}", cluster.log_since(mark)?);
    // With exit(0) too the worker is started again.
    let mark = cluster.log_mark()?;
    tell(&cluster, "end 0")?;
    cluster.wait_for_log_since(mark, "plugin \"does_as_told\" ended the process", TIMEOUT)?;
    cluster.wait_for_plugin_row("does_as_told", "state = 'running' AND failures = 2")
}

#[test]
fn one_that_waits_does_not_keep_the_worker_from_being_ended() -> Result<()> {
    let mut cluster = cluster("does_as_told")?;
    let mark = cluster.log_mark()?;
    tell(&cluster, "wait 1000")?;
    cluster.wait_for_log_since(mark, "does_as_told waits", TIMEOUT)?;
    cluster.kill_background_worker("walker", Signal::TERM)?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    let log = cluster.log_since(mark)?;
    assert!(log.contains("due to administrator command") && !log.contains("ended the process"), "{log}");
    tell(&cluster, "wait 1000")?;
    cluster.stop(Mode::Fast)
}

#[test]
fn plugins_come_and_go_by_a_reload() -> Result<()> {
    let cluster = start_garbagemap(garbagemap_cluster()?.setting("walker.plugins", "garbagemap, record_count"))?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    let worker = cluster.background_workers("walker")?;
    let names = || cluster.psql(DATABASE, "SELECT string_agg(plugin, ' ') FROM pg_stat_walker");
    let set = |plugins: &str| -> Result<()> {
        cluster.configure([("walker.plugins", plugins)])?;
        cluster.reload()
    };
    let become_ = |expected: &str| -> Result<()> {
        let there = poll(TIMEOUT, || Ok((names()? == expected).then_some(())))?;
        there.with_context(|| format!("{expected}: {:?}\n{:?}", names(), cluster.log()))
    };
    become_("garbagemap record_count")?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 1000) id; DELETE FROM t WHERE id % 2 = 0")?;
    wait_until_told(&cluster, "garbagemap")?;
    let mark = cluster.log_mark()?;
    set("record_count, does_as_told")?;
    become_("record_count does_as_told")?;
    // It was shut down in order, kept its map, and is not asked any more.
    assert!(cluster.data_directory().join("walker/garbagemap.snapshot").exists());
    let error = cluster.psql(DATABASE, "SELECT garbagemap_lsn()").unwrap_err();
    assert!(format!("{error:#}").contains("there is no plugin \"garbagemap\""), "{error:#}");
    cluster.psql(DATABASE, "DELETE FROM t WHERE id % 3 = 0; CHECKPOINT; DELETE FROM t WHERE id % 5 = 0")?;
    wait_until_told(&cluster, "does_as_told")?;
    // It goes on where it was, if WAL is still there: no table is read again.
    set("does_as_told, garbagemap, record_count")?;
    become_("does_as_told garbagemap record_count")?;
    wait_until_told(&cluster, "garbagemap")?;
    let log = cluster.log_since(mark)?;
    assert!(log.contains("parameter \"walker.plugins\" changed to \"record_count, does_as_told\""), "{log}");
    assert!(log.contains("plugin \"garbagemap\" begins at ") && !log.contains("begins anew"), "{log}");
    assert_garbage_equal(&cluster)?;
    // The one that was there all the time has missed nothing.
    wait_until_told(&cluster, "record_count")?;
    let (theirs, ours) = counts(&cluster)?;
    assert_eq!(theirs, ours);
    assert_eq!(cluster.background_workers("walker")?, worker, "the worker is another");
    // An invalid list says so and changes nothing.
    set("a,,b")?;
    cluster.wait_for_log_since(mark, "invalid list in parameter \"walker.plugins\", which changes nothing", TIMEOUT)?;
    become_("does_as_told garbagemap record_count")?;
    set("")?;
    become_("")?;
    set("record_count")?;
    become_("record_count")?;
    let line: Lsn = row(&cluster, "record_count", "received_lsn")?.parse()?;
    assert!(line.is_valid());
    Ok(())
}
