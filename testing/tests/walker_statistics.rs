//! The views `pg_stat_walker` and `pg_stat_walker_rmgr`, and wait events, in real servers.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pgwal::Lsn;
use walker_testing::{Cluster, ClusterBuilder, Installation, Mode, Session, Signal, poll};

const TIMEOUT: Duration = Duration::from_secs(60);
/// A server that does nothing for clients still writes to its WAL now and then.
const ATTEMPTS: usize = 10;

fn builder(plugins: &str) -> Result<ClusterBuilder> {
    let builder = Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "walker")
        .setting("walker.plugins", plugins)
        .setting("autovacuum", "off");
    Ok(builder)
}

fn start(builder: ClusterBuilder) -> Result<Cluster> {
    let cluster = builder.start()?;
    cluster.wait_for_log("walker: walking over WAL", TIMEOUT)?;
    cluster.psql("postgres", "CREATE EXTENSION walker")?;
    Ok(cluster)
}

fn cluster(plugins: &str) -> Result<Cluster> {
    start(builder(plugins)?)
}

fn load(cluster: &Cluster) -> Result<()> {
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 2000) g;
         UPDATE t SET v = 'y' WHERE id % 2 = 0; BEGIN; DELETE FROM t; ROLLBACK; DELETE FROM t WHERE id % 5 = 0; VACUUM t;
         CHECKPOINT; UPDATE t SET v = 'z' WHERE id < 50; DROP TABLE t",
    )?;
    Ok(())
}

/// Waits until the first plugin was told everything, and lets `read` look, again until nothing was written meanwhile.
fn at_the_end<T>(cluster: &Cluster, mut read: impl FnMut(&mut Session, Lsn) -> Result<T>) -> Result<T> {
    let mut session = cluster.session("postgres")?;
    for _ in 0..ATTEMPTS {
        let lsn = cluster.flush_wal()?;
        cluster.wait_for_lsn("(SELECT applied_lsn FROM pg_stat_walker LIMIT 1)", lsn, TIMEOUT)?;
        let answer = read(&mut session, lsn)?;
        let (now, applied): (Lsn, Lsn) = pair(
            &session.execute("SELECT pg_current_wal_insert_lsn(), (SELECT applied_lsn FROM pg_stat_walker LIMIT 1)")?,
        )?;
        if now == lsn && applied == lsn {
            return Ok(answer);
        }
    }
    bail!("something was written to the WAL in each of {ATTEMPTS} attempts")
}

fn pair<A, B>(row: &str) -> Result<(A, B)>
where
    A: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    B: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let (first, second) = row.split_once('|').with_context(|| format!("no two columns: {row}"))?;
    Ok((first.parse()?, second.parse()?))
}

/// Records and bytes by name.
type Counts = BTreeMap<String, (u64, u64)>;

/// Records and bytes by resource manager in a range, as pg_waldump counts them; `Total` is among them.
fn by_pg_waldump(cluster: &Cluster, from: Lsn, to: Lsn) -> Result<Counts> {
    let output = cluster.pg_waldump(["--stats", &format!("--start={from}"), &format!("--end={to}")])?;
    let row = |line: &str| {
        // Without the shares, `( 12.34)` and in the last row `[12.34%]`: records, their size, that of images, both.
        let words: Vec<_> = line.split_whitespace().filter(|word| !word.contains(['(', ')', '['])).collect();
        let [name, records, _, _, combined] = words[..] else { return None };
        Some((name.to_owned(), (records.parse().ok()?, combined.parse().ok()?)))
    };
    let mut counts: Counts = output.lines().filter_map(row).collect();
    counts.retain(|_, (records, _)| *records > 0);
    Ok(counts)
}

fn by_rmgr(session: &mut Session) -> Result<Counts> {
    let rows = session.execute("SELECT rm_name, records, bytes FROM pg_stat_walker_rmgr")?;
    let row = |line: &str| {
        let (name, counts) = line.split_once('|').context("no columns")?;
        Ok((name.to_owned(), pair(counts)?))
    };
    rows.lines().map(row).collect()
}

fn of_plugin(session: &mut Session, plugin: &str) -> Result<(u64, u64)> {
    pair(&session.execute(&format!("SELECT records, bytes FROM pg_stat_walker WHERE plugin = '{plugin}'"))?)
}

/// Where the worker began, which it says in the log.
fn beginning(cluster: &Cluster) -> Result<Lsn> {
    let line = cluster.wait_for_log("walker: walking over WAL from ", TIMEOUT)?;
    let (_, behind) = line.split_once("WAL from ").context("no position")?;
    let (lsn, _) = behind.split_once(',').context("no end of the position")?;
    Ok(lsn.parse()?)
}

#[test]
fn records_and_bytes_are_those_of_pg_waldump() -> Result<()> {
    let cluster = cluster("record_count, record_count_rust")?;
    let from = beginning(&cluster)?;
    let compare = |from: Lsn| {
        load(&cluster)?;
        let (to, rmgrs, plugins) = at_the_end(&cluster, |session, lsn| {
            let plugins = ["record_count", "record_count_rust"].map(|plugin| of_plugin(session, plugin));
            Ok((lsn, by_rmgr(session)?, plugins))
        })?;
        let mut expected = by_pg_waldump(&cluster, from, to)?;
        let total = expected.remove("Total").context("no total")?;
        assert!(total.0 > 2000, "{total:?}");
        assert_eq!(rmgrs, expected);
        for plugin in plugins {
            assert_eq!(plugin?, total);
        }
        anyhow::Ok(())
    };
    compare(from)?;
    // From a reset on, only what comes after it; the time of the reset is told.
    let before = cluster.psql("postgres", "SELECT DISTINCT stats_reset FROM pg_stat_walker")?;
    let (from, plugins, rmgrs) = at_the_end(&cluster, |session, lsn| {
        session.execute("SELECT pg_stat_walker_reset()")?;
        let plugins = session.execute("SELECT sum(records), sum(bytes), sum(total_time) FROM pg_stat_walker")?;
        Ok((lsn, plugins, session.execute("SELECT count(*) FROM pg_stat_walker_rmgr")?))
    })?;
    assert_eq!((plugins.as_str(), rmgrs.as_str()), ("0|0|0", "0"));
    let moved = format!("SELECT every(stats_reset > '{before}' AND stats_reset <= now()) FROM pg_stat_walker");
    assert_eq!(cluster.psql("postgres", &moved)?, "t");
    compare(from)
}

#[test]
fn a_row_tells_how_a_plugin_stands() -> Result<()> {
    let cluster = cluster("record_count_rust, record_count")?;
    load(&cluster)?;
    let worker = cluster.background_workers("walker")?;
    let columns =
        "plugin, pid, state, applied_lsn, received_lsn, lag_bytes, lag, failures, last_error, last_error_time,
                   retry_time";
    let (lsn, rows) = at_the_end(&cluster, |session, lsn| {
        Ok((lsn, session.execute(&format!("SELECT {columns} FROM pg_stat_walker"))?))
    })?;
    let same = format!("{}|running|{lsn}|{lsn}|0|00:00:00|0|||", worker[0]);
    assert_eq!(rows, format!("record_count_rust|{same}\nrecord_count|{same}"));
    // Counted since the server was started.
    let row = "SELECT every(total_time > 0 AND stats_reset < now()
                            AND stats_reset > pg_postmaster_start_time() - interval '1 min')
               FROM pg_stat_walker";
    assert_eq!(cluster.psql("postgres", row)?, "t");
    // Known after five seconds; then some time without a record.
    let known = "SELECT every(records_per_second > 0) FROM pg_stat_walker";
    let session = &mut cluster.session("postgres")?;
    poll(TIMEOUT, || {
        cluster.flush_wal()?;
        Ok((session.execute(known)? == "t").then_some(()))
    })?
    .context("no rate")?;
    Ok(())
}

#[test]
fn the_lag_grows_while_the_worker_stands_still() -> Result<()> {
    let cluster = cluster("record_count")?;
    at_the_end(&cluster, |_, _| Ok(()))?;
    cluster.kill_background_worker("walker", Signal::STOP)?;
    // It stands still after the next record at the latest.
    load(&cluster)?;
    let behind =
        "SELECT lag_bytes > 100000 AND lag > '1 s' AND lag < '1 min' AND state = 'running' FROM pg_stat_walker";
    cluster.wait_until_true("postgres", behind, TIMEOUT)?;
    let (bytes, lag): (u64, f64) =
        pair(&cluster.psql("postgres", "SELECT lag_bytes, extract(epoch FROM lag) FROM pg_stat_walker")?)?;
    std::thread::sleep(Duration::from_secs(1));
    cluster.flush_wal()?;
    let grown = format!("SELECT lag_bytes > {bytes} AND extract(epoch FROM lag) >= {lag} + 1 FROM pg_stat_walker");
    assert_eq!(cluster.psql("postgres", &grown)?, "t");
    cluster.kill_background_worker("walker", Signal::CONT)?;
    let fallen = "SELECT lag_bytes = 0 AND lag = '0' FROM pg_stat_walker";
    cluster.wait_until_true("postgres", fallen, TIMEOUT)
}

#[test]
fn rows_stay_while_there_is_no_worker() -> Result<()> {
    let cluster = cluster("record_count")?;
    load(&cluster)?;
    let records = at_the_end(&cluster, |session, _| Ok(of_plugin(session, "record_count")?.0))?;
    let mark = cluster.log_mark()?;
    cluster.kill_background_worker("walker", Signal::TERM)?;
    // PostgreSQL starts another after five seconds.
    let stopped = format!("SELECT state = 'stopped' AND pid IS NULL AND records >= {records} FROM pg_stat_walker");
    cluster.wait_until_true("postgres", &stopped, TIMEOUT)?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    let again = format!("SELECT state = 'running' AND pid IS NOT NULL AND records >= {records} FROM pg_stat_walker");
    cluster.wait_until_true("postgres", &again, TIMEOUT)
}

#[test]
fn pg_monitor_may_look_and_nobody_else_may_reset() -> Result<()> {
    let cluster = cluster("record_count")?;
    cluster.psql("postgres", "CREATE ROLE monitor IN ROLE pg_monitor; CREATE ROLE anyone; CREATE ROLE resetter")?;
    cluster.psql("postgres", "GRANT EXECUTE ON FUNCTION pg_stat_walker_reset() TO resetter")?;
    let asks = |role: &str, sql: &str| cluster.psql("postgres", &format!("SET ROLE {role}; {sql}"));
    let look = [
        "SELECT count(*) > 0 FROM pg_stat_walker",
        "SELECT count(*) >= 0 FROM pg_stat_walker_rmgr",
        "SELECT count(*) > 0 FROM pg_stat_get_walker()",
        "SELECT count(*) >= 0 FROM pg_stat_get_walker_rmgr()",
    ];
    cluster.wait_until_true("postgres", look[0], TIMEOUT)?;
    for sql in look {
        assert_eq!(asks("monitor", sql)?, "t", "{sql}");
        let error = asks("anyone", sql).unwrap_err();
        assert!(format!("{error:#}").contains("permission denied for"), "{sql}: {error:#}");
    }
    for role in ["monitor", "anyone"] {
        let error = asks(role, "SELECT pg_stat_walker_reset()").unwrap_err();
        assert!(format!("{error:#}").contains("permission denied for function pg_stat_walker_reset"), "{error:#}");
    }
    asks("resetter", "SELECT pg_stat_walker_reset()")?;
    Ok(())
}

#[test]
fn a_search_path_changes_nothing() -> Result<()> {
    let cluster = cluster("record_count")?;
    load(&cluster)?;
    at_the_end(&cluster, |_, _| Ok(()))?;
    let told = cluster.psql(
        "postgres",
        "CREATE SCHEMA other;
         CREATE FUNCTION other.trap() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
         CREATE FUNCTION other.pg_stat_get_walker() RETURNS text LANGUAGE sql AS 'SELECT other.trap()';
         CREATE FUNCTION other.pg_stat_get_walker_rmgr() RETURNS text LANGUAGE sql AS 'SELECT other.trap()';
         CREATE FUNCTION other.minus(pg_lsn, pg_lsn) RETURNS numeric LANGUAGE sql AS 'SELECT other.trap()::numeric';
         CREATE OPERATOR other.- (LEFTARG = pg_lsn, RIGHTARG = pg_lsn, FUNCTION = other.minus);
         CREATE FUNCTION other.minus(timestamptz, timestamptz) RETURNS interval LANGUAGE sql
            AS 'SELECT other.trap()::interval';
         CREATE OPERATOR other.- (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = other.minus);
         CREATE DOMAIN other.text AS pg_catalog.text CHECK (other.trap() IS NULL);
         SET search_path = other, pg_catalog;
         SELECT plugin, lag_bytes IS NOT NULL, lag IS NOT NULL FROM public.pg_stat_walker;
         SELECT count(*) OPERATOR(pg_catalog.>) 0 FROM public.pg_stat_walker_rmgr;
         SELECT public.pg_stat_walker_reset();
         DROP EXTENSION walker CASCADE; CREATE EXTENSION walker SCHEMA public;
         SELECT count(*) FROM public.pg_stat_walker",
    )?;
    assert_eq!(told, "record_count|t|t\nt\n\n1");
    Ok(())
}

#[test]
fn a_custom_resource_manager_has_the_name_of_its_library() -> Result<()> {
    let cluster = start(builder("record_count")?.setting("shared_preload_libraries", "walker, custom_rmgr"))?;
    cluster.psql(
        "postgres",
        "CREATE FUNCTION write_record(text) RETURNS pg_lsn AS 'custom_rmgr' LANGUAGE C;
         SELECT write_record(repeat('x', n)) FROM generate_series(1, 100) n",
    )?;
    let (lsn, row) = at_the_end(&cluster, |session, lsn| {
        let row = "SELECT rm_name, records, bytes FROM pg_stat_walker_rmgr WHERE rm_id = 128";
        Ok((lsn, session.execute(row)?))
    })?;
    // pg_waldump cannot know the name.
    let expected = by_pg_waldump(&cluster, beginning(&cluster)?, lsn)?;
    let (records, bytes) = expected["custom128"];
    assert_eq!((records, row), (100, format!("walker test|100|{bytes}")));
    Ok(())
}

#[test]
fn wait_events_have_their_names() -> Result<()> {
    let cluster = cluster("record_count")?;
    let named = cluster.installation().version().major >= 17;
    let event = |of: &str| {
        let query = format!("SELECT wait_event_type || ' ' || wait_event FROM pg_stat_activity WHERE {of}");
        cluster.psql("postgres", &query)
    };
    let expected = |name: &str| format!("Extension {}", if named { name } else { "Extension" });
    at_the_end(&cluster, |_, _| Ok(()))?;
    let idle = poll(TIMEOUT, || Ok((event("backend_type = 'walker'")? == expected("WalkerMain")).then_some(())))?;
    idle.with_context(|| event("backend_type = 'walker'").unwrap_or_default())?;
    // Who asks waits for the worker.
    cluster.kill_background_worker("walker", Signal::STOP)?;
    let mut session = cluster.session("postgres")?;
    session.send("SELECT walker_ask('record_count')")?;
    let asker = format!("pid = {}", session.backend_id());
    let waits = poll(TIMEOUT, || Ok((event(&asker)? == expected("WalkerAnswer")).then_some(())))?;
    waits.with_context(|| event(&asker).unwrap_or_default())?;
    cluster.kill_background_worker("walker", Signal::CONT)?;
    session.wait(TIMEOUT)?;
    Ok(())
}

#[test]
fn a_standby_has_the_views_too() -> Result<()> {
    let mut cluster = cluster("record_count")?;
    load(&cluster)?;
    cluster.stop(Mode::Immediate)?;
    // A standby of nobody: it replays what there is and waits.
    fs::write(cluster.data_directory().join("standby.signal"), "")?;
    cluster.start()?;
    let caught_up = "SELECT state = 'running' AND lag_bytes = 0 AND applied_lsn = pg_last_wal_replay_lsn()
                     FROM pg_stat_walker";
    cluster.wait_until_true("postgres", caught_up, TIMEOUT)?;
    cluster.psql("postgres", "SELECT pg_stat_walker_reset()")?;
    cluster.promote()?;
    load(&cluster)?;
    at_the_end(&cluster, |session, _| {
        assert!(of_plugin(session, "record_count")?.0 > 2000);
        Ok(())
    })
}

#[test]
fn without_the_library_in_the_settings_the_views_are_an_error() -> Result<()> {
    let cluster = Cluster::builder(&Installation::for_tests()?).start()?;
    cluster.psql("postgres", "CREATE EXTENSION walker")?;
    for sql in ["TABLE pg_stat_walker", "TABLE pg_stat_walker_rmgr", "SELECT pg_stat_walker_reset()"] {
        let error = cluster.psql("postgres", sql).unwrap_err();
        assert!(format!("{error:#}").contains("walker must be loaded via \"shared_preload_libraries\""), "{error:#}");
    }
    Ok(())
}
