//! Where the worker is in the log: how it wakes for more, what it reads over timeline switches, and the replication slot that
//! keeps WAL for its plugins.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, ClusterBuilder, Installation, LogMark, Mode, Signal, poll};

const TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "postgres";
const WALKING: &str = "walker: walking over WAL";
const MIB: u64 = 1 << 20;

fn builder(plugins: &str) -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&Installation::for_tests()?)
        .initdb_option("--wal-segsize=1")
        .setting("shared_preload_libraries", "walker")
        .setting("walker.plugins", plugins)
        .setting("autovacuum", "off")
        .setting("checkpoint_timeout", "1h")
        .setting("min_wal_size", "2MB")
        // Files that are not needed go away, and are not kept for later.
        .setting("wal_recycle", "off")
        .setting("max_wal_size", "1GB"))
}

fn start(builder: ClusterBuilder) -> Result<Cluster> {
    let cluster = builder.start()?;
    cluster.wait_for_log(WALKING, TIMEOUT)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    Ok(cluster)
}

fn lsn(cluster: &Cluster, query: &str) -> Result<Lsn> {
    Ok(cluster.psql(DATABASE, query)?.trim().parse()?)
}

fn restart_lsn(cluster: &Cluster) -> Result<Lsn> {
    lsn(cluster, "SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'walker'")
}

/// The log grows by some MiB, in several segments.
fn write(cluster: &Cluster, mebibytes: u32) -> Result<()> {
    for _ in 0..mebibytes {
        cluster.psql(DATABASE, "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")?;
    }
    cluster.psql(DATABASE, "CHECKPOINT")?;
    Ok(())
}

/// Bytes of all segments in `pg_wal`.
fn wal_size(cluster: &Cluster) -> Result<u64> {
    let query = "SELECT sum(size) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'";
    Ok(cluster.psql(DATABASE, query)?.trim().parse()?)
}

/// What record_count says: how many records it was told, from where to where.
struct Counted {
    from: Lsn,
    to: Lsn,
    all: u64,
}

fn counted(cluster: &Cluster) -> Result<Counted> {
    // from 0/1 to 0/2: all 3, heap 1, ...
    let answer = cluster.psql(DATABASE, "SELECT walker_ask('record_count')")?;
    let words: Vec<_> = answer.split([' ', ':', ',']).filter(|word| !word.is_empty()).collect();
    let ["from", from, "to", to, "all", all, ..] = words[..] else { bail!("{answer}") };
    Ok(Counted { from: from.parse()?, to: to.parse()?, all: all.parse()? })
}

/// Where record_count has come to.
fn counted_to(cluster: &Cluster) -> Result<Lsn> {
    Ok(counted(cluster)?.to)
}

/// How long the plugin takes to hear of a checkpoint after the worker was idle, at most. Nothing else wakes the worker: a
/// question would.
fn longest_lag(cluster: &Cluster) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..4 {
        // So that the worker has found nothing more, and sleeps: without being woken, another four seconds.
        std::thread::sleep(Duration::from_secs(1));
        let mark = cluster.log_mark()?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
        let written = Instant::now();
        cluster.wait_for_log_since(mark, "record_count: from", TIMEOUT)?;
        longest = longest.max(written.elapsed());
    }
    Ok(longest)
}

#[test]
fn an_idle_worker_hears_at_once_of_new_wal() -> Result<()> {
    let cluster = start(builder("record_count")?)?;
    let lag = longest_lag(&cluster)?;
    assert!(lag < Duration::from_secs(2), "{lag:?}");
    Ok(())
}

#[test]
fn without_senders_an_idle_worker_looks_for_new_wal() -> Result<()> {
    let cluster = start(builder("record_count")?.setting("max_wal_senders", "0"))?;
    let lag = longest_lag(&cluster)?;
    assert!(lag < Duration::from_secs(2), "{lag:?}");
    Ok(())
}

#[test]
fn with_wal_level_minimal_the_worker_walks_and_says_that_nothing_is_held_back() -> Result<()> {
    let cluster = start(builder("record_count")?.setting("max_wal_senders", "0").setting("wal_level", "minimal"))?;
    let log = cluster.log()?;
    let warning = "WAL is not held back: replication slot \"walker\" cannot be used: \"wal_level\" is minimal";
    assert!(log.contains(warning) && log.contains("may be recycled when the worker is behind"), "{log}");
    let end = cluster.flush_wal()?;
    let arrived = poll(TIMEOUT, || Ok((counted_to(&cluster)? >= end).then_some(())))?;
    arrived.context("the plugin hears of what is written")
}

#[test]
fn on_a_standby_replay_wakes_the_worker() -> Result<()> {
    let primary = start(builder("record_count")?)?;
    let mut standby = copy(&primary)?;
    follow(&primary, &standby)?;
    standby.start()?;
    standby.wait_for_log(WALKING, TIMEOUT)?;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(1));
        let mark = standby.log_mark()?;
        primary.psql(DATABASE, "CHECKPOINT")?;
        let written = Instant::now();
        standby.wait_for_log_since(mark, "record_count: from", TIMEOUT)?;
        let lag = written.elapsed();
        assert!(lag < Duration::from_secs(2), "{lag:?}");
    }
    Ok(())
}

/// A server that was not started yet, with the data of `original` by a base backup, and its own settings.
fn copy(original: &Cluster) -> Result<Cluster> {
    let copy = builder("record_count")?.build()?;
    let data = copy.data_directory();
    let settings = fs::read(data.join("postgresql.conf"))?;
    fs::remove_dir_all(&data)?;
    // Into a directory that is there: whoever the server runs as may not make one beside it.
    fs::create_dir(&data)?;
    let owner = fs::metadata(copy.socket_directory())?;
    chown(&data, Some(owner.uid()), Some(owner.gid()))?;
    fs::set_permissions(&data, owner.permissions())?;
    let output =
        original.program("pg_basebackup")?.args(["--checkpoint=fast", "--no-sync", "--pgdata"]).arg(&data).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(data.join("postgresql.conf"), settings)?;
    Ok(copy)
}

fn follow(primary: &Cluster, standby: &Cluster) -> Result<()> {
    standby.configure([("primary_conninfo", primary.connection_string(DATABASE).as_str())])?;
    fs::write(standby.data_directory().join("standby.signal"), "")?;
    Ok(())
}

/// An archive that keeps all WAL of the server, in its own directory.
fn archive(cluster: &Cluster) -> Result<PathBuf> {
    let archive = cluster.data_directory().join("archive");
    fs::create_dir(&archive)?;
    let owner = fs::metadata(cluster.data_directory())?;
    chown(&archive, Some(owner.uid()), Some(owner.gid()))?;
    Ok(archive)
}

#[test]
fn the_old_timeline_is_read_where_only_the_new_one_has_the_segment() -> Result<()> {
    let mut old = start(builder("record_count")?.setting("wal_keep_size", "100MB"))?;
    let mut copy = copy(&old)?;
    // One more segment on the old timeline, and the beginning of another, where the new one begins.
    old.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 100) AS id; SELECT pg_switch_wal()")?;
    old.psql(DATABASE, "INSERT INTO t SELECT 1 FROM generate_series(1, 100)")?;
    let middle = old.flush_wal()?;
    old.psql(DATABASE, "INSERT INTO t SELECT 2 FROM generate_series(1, 100)")?;
    let fork = old.flush_wal()?;
    old.stop(Mode::Immediate)?;
    fs::write(old.data_directory().join("recovery.signal"), "")?;
    old.configure([("restore_command", "false")])?;
    old.start()?;
    old.wait_until_true(DATABASE, "SELECT NOT pg_is_in_recovery()", TIMEOUT)?;
    old.psql(DATABASE, "INSERT INTO t SELECT 3 FROM generate_series(1, 100); SELECT pg_switch_wal()")?;
    // An archive of what is complete: of the segment with the fork only the new timeline's file.
    let name = |timeline: u32| {
        let name = format!("SELECT overlay(pg_walfile_name('{fork}') placing lpad('{timeline}', 8, '0') from 1)");
        old.psql(DATABASE, &name)
    };
    let (old_name, new_name) = (name(1)?, name(2)?);
    let files = archive(&copy)?;
    for entry in fs::read_dir(old.wal_directory())? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != *old_name {
            // Not by fs::copy: the server must be able to read it.
            fs::write(files.join(entry.file_name()), fs::read(entry.path())?)?;
        }
    }
    ensure!(files.join(new_name).exists(), "the new timeline's file is in the archive");

    let restore = format!("cp {}/%f %p", files.display());
    copy.configure([
        ("walker.plugins", "refuses_to_flush"),
        ("restore_command", restore.as_str()),
        ("recovery_target_lsn", middle.to_string().as_str()),
        ("recovery_target_action", "pause"),
    ])?;
    fs::write(copy.data_directory().join("recovery.signal"), "")?;
    copy.start()?;
    copy.wait_for_log(WALKING, TIMEOUT)?;
    copy.wait_until_true(DATABASE, "SELECT pg_get_wal_replay_pause_state() = 'paused'", TIMEOUT)?;
    let replayed = lsn(&copy, "SELECT pg_last_wal_replay_lsn()")?;
    ensure!(replayed >= middle && replayed < fork, "{middle} {replayed} {fork}");
    assert!(!copy.wal_directory().join(old_name).exists());
    // From the last checkpoint on all that was replayed of the old timeline is told, out of the new one's file.
    let told_to = || lsn(&copy, "SELECT walker_ask('refuses_to_flush')");
    let arrived = poll(TIMEOUT, || Ok((told_to()? >= replayed).then_some(())))?;
    assert!(arrived.is_some(), "{}", copy.log()?);
    copy.psql(DATABASE, "SELECT pg_wal_replay_resume()")?;
    copy.wait_until_true(DATABASE, "SELECT NOT pg_is_in_recovery()", TIMEOUT)?;
    let end = copy.flush_wal()?;
    let arrived = poll(TIMEOUT, || Ok((told_to()? >= end).then_some(())))?;
    assert!(arrived.is_some(), "{}", copy.log()?);
    let log = copy.log()?;
    assert!(!log.contains("could not read WAL") && !log.contains("refuses_to_flush: gap"), "{log}");
    Ok(())
}

/// Records from `from` to `to` on one timeline, as pg_waldump counts them.
fn by_pg_waldump(cluster: &Cluster, timeline: u32, from: Lsn, to: Lsn) -> Result<u64> {
    let arguments = ["--stats", &format!("--timeline={timeline}"), &format!("--start={from}"), &format!("--end={to}")];
    let output = cluster.pg_waldump(arguments)?;
    let total = output.lines().find_map(|line| line.strip_prefix("Total"));
    Ok(total.context("a total")?.split_whitespace().next().context("a number")?.parse()?)
}

#[test]
fn a_worker_that_is_behind_reads_on_over_a_promotion() -> Result<()> {
    let primary = start(builder("record_count")?.setting("wal_keep_size", "100MB"))?;
    let mut standby = copy(&primary)?;
    follow(&primary, &standby)?;
    standby.configure([("wal_keep_size", "100MB")])?;
    standby.start()?;
    standby.wait_for_log(WALKING, TIMEOUT)?;
    write(&primary, 2)?;
    let end = primary.flush_wal()?;
    poll(TIMEOUT, || Ok((counted_to(&standby)? >= end).then_some(())))?.context("the worker follows")?;
    // It stands still in the old timeline, segments before the new one begins.
    standby.kill_background_worker("walker", Signal::STOP)?;
    write(&primary, 3)?;
    let end = primary.flush_wal()?;
    standby.wait_for_lsn("pg_last_wal_replay_lsn()", end, TIMEOUT)?;
    standby.promote()?;
    write(&standby, 3)?;
    standby.kill_background_worker("walker", Signal::CONT)?;
    let end = standby.flush_wal()?;
    poll(TIMEOUT, || Ok((counted_to(&standby)? >= end).then_some(())))?.context("the worker catches up")?;

    let history = fs::read_to_string(standby.wal_directory().join("00000002.history"))?;
    let switch = history.split_whitespace().nth(1).context("where the timeline begins")?;
    let Counted { from, to, all } = counted(&standby)?;
    let expected =
        by_pg_waldump(&standby, 1, from, switch.parse()?)? + by_pg_waldump(&standby, 2, switch.parse()?, to)?;
    assert_eq!(all, expected, "from {from} over {switch} to {to}");
    assert!(!standby.log()?.contains("could not read WAL"), "{}", standby.log()?);
    Ok(())
}

#[test]
fn a_record_that_a_crash_cut_is_passed_over() -> Result<()> {
    let mut primary = start(builder("record_count")?.setting("wal_keep_size", "100MB"))?;
    let mut standby = copy(&primary)?;
    follow(&primary, &standby)?;
    // A record over the end of a segment, of which the crash leaves the first part alone.
    primary.psql(
        DATABASE,
        "CREATE TABLE filler (v text);
         DO $$ BEGIN LOOP
             INSERT INTO filler SELECT repeat('x', 100) FROM generate_series(1, 10);
             EXIT WHEN 1048576 - (pg_current_wal_insert_lsn() - '0/0') % 1048576 < 16384;
         END LOOP; END $$",
    )?;
    let file = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())";
    let first = primary.psql(DATABASE, file)?;
    primary.psql(DATABASE, "SELECT pg_logical_emit_message(true, 'test', repeat('x', 100000))")?;
    let second = primary.psql(DATABASE, file)?;
    ensure!(first != second, "the record crosses the end of a segment");
    primary.stop(Mode::Immediate)?;
    fs::remove_file(primary.wal_directory().join(second))?;
    primary.start()?;
    primary.psql(DATABASE, "INSERT INTO filler VALUES ('after')")?;
    let end = primary.flush_wal()?;
    let dump = primary.pg_waldump([
        "--rmgr=XLOG",
        "--start",
        &format!("{}", end.floor(1 << 20)),
        "--end",
        &end.to_string(),
    ])?;
    ensure!(dump.contains("OVERWRITE_CONTRECORD"), "{dump}");

    standby.start()?;
    standby.wait_for_log(WALKING, TIMEOUT)?;
    let arrived = poll(TIMEOUT, || Ok((counted_to(&standby)? >= end).then_some(())))?;
    assert!(arrived.is_some(), "{}", standby.log()?);
    let Counted { from, to, all } = counted(&standby)?;
    ensure!(from < end.floor(1 << 20), "it has begun before: {from}");
    assert_eq!(all, by_pg_waldump(&primary, 1, from, to)?, "from {from} to {to}");
    assert!(!standby.log()?.contains("could not read WAL"), "{}", standby.log()?);
    Ok(())
}

fn no_flush(cluster: &Cluster) -> PathBuf {
    cluster.data_directory().join("no_flush")
}

/// A server whose plugin holds back all WAL.
fn start_with_plugin_behind(builder: ClusterBuilder) -> Result<Cluster> {
    let mut cluster = builder.build()?;
    fs::write(no_flush(&cluster), "")?;
    cluster.start()?;
    cluster.wait_for_log(WALKING, TIMEOUT)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    Ok(cluster)
}

#[test]
fn all_wal_is_held_back_until_plugins_have_kept_theirs() -> Result<()> {
    let cluster = start_with_plugin_behind(builder("refuses_to_flush")?.setting("walker.max_retained_wal", "-1"))?;
    let kept_from = restart_lsn(&cluster)?;
    write(&cluster, 12)?;
    write(&cluster, 12)?;
    assert_eq!(restart_lsn(&cluster)?, kept_from);
    assert!(wal_size(&cluster)? > 22 * MIB);
    fs::remove_file(no_flush(&cluster))?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let moved = poll(TIMEOUT, || Ok((restart_lsn(&cluster)? > kept_from).then_some(())))?;
    moved.context("the slot follows")?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    write(&cluster, 1)?;
    assert!(wal_size(&cluster)? < 12 * MIB, "{}", wal_size(&cluster)?);
    Ok(())
}

#[test]
fn beyond_the_limit_wal_is_let_go() -> Result<()> {
    let cluster = start_with_plugin_behind(builder("refuses_to_flush")?.setting("walker.max_retained_wal", "8MB"))?;
    let kept_from = restart_lsn(&cluster)?;
    write(&cluster, 6)?;
    assert_eq!(restart_lsn(&cluster)?, kept_from);
    for _ in 0..4 {
        write(&cluster, 6)?;
        let followed = poll(TIMEOUT, || {
            let behind = cluster.flush_wal()?.since(restart_lsn(&cluster)?);
            Ok((behind <= 9 * MIB).then_some(()))
        })?;
        followed.context("the slot lets go")?;
    }
    write(&cluster, 1)?;
    assert!(wal_size(&cluster)? < 16 * MIB, "{}", wal_size(&cluster)?);
    let warning = "it exceeds \"walker.max_retained_wal\"; plugins that need it will be told of a gap";
    let again = "all WAL that plugins need is held back again";
    let log = cluster.log()?;
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains(again), "{log}");
    // Once the plugin has kept its state, nothing is missing any more; and the limit holds anew.
    fs::remove_file(no_flush(&cluster))?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.wait_for_log(again, TIMEOUT)?;
    fs::write(no_flush(&cluster), "")?;
    write(&cluster, 12)?;
    let warned = poll(TIMEOUT, || Ok((cluster.log()?.matches(warning).count() == 2).then_some(())))?;
    warned.context("it is told again")?;
    // Without a limit nothing more is let go.
    cluster.configure([("walker.max_retained_wal", "-1")])?;
    cluster.reload()?;
    write(&cluster, 1)?;
    let kept_from = restart_lsn(&cluster)?;
    write(&cluster, 12)?;
    assert_eq!(restart_lsn(&cluster)?, kept_from);
    Ok(())
}

#[test]
fn an_invalidated_slot_is_made_anew() -> Result<()> {
    let cluster = start_with_plugin_behind(builder("refuses_to_flush")?.setting("max_slot_wal_keep_size", "4MB"))?;
    let kept_from = restart_lsn(&cluster)?;
    write(&cluster, 12)?;
    write(&cluster, 1)?;
    let line = cluster.wait_for_log("replication slot \"walker\" had been invalidated, and was made anew", TIMEOUT)?;
    assert!(line.contains("WARNING"), "{line}");
    let made = poll(TIMEOUT, || Ok(restart_lsn(&cluster).ok().filter(|lsn| *lsn > kept_from)))?;
    made.context("the slot holds WAL again")?;
    Ok(())
}

#[test]
fn what_was_removed_while_the_server_stood_still_is_named() -> Result<()> {
    // garbagemap wants to go on where it was.
    let mut cluster = start(builder("garbagemap")?)?;
    write(&cluster, 2)?;
    cluster.stop(Mode::Immediate)?;
    let snapshot = cluster.data_directory().join("walker/garbagemap.snapshot");
    let kept = fs::read(&snapshot)?;
    cluster.start()?;
    cluster.wait_for_log_since(LogMark::BEGINNING, WALKING, TIMEOUT)?;
    for _ in 0..3 {
        write(&cluster, 3)?;
        let end = cluster.flush_wal()?;
        let followed = poll(TIMEOUT, || Ok((restart_lsn(&cluster)?.advanced(MIB) >= end).then_some(())))?;
        followed.context("the slot follows")?;
    }
    write(&cluster, 1)?;
    cluster.stop(Mode::Fast)?;
    // As after a restore of this file alone.
    fs::write(&snapshot, kept)?;
    let mark = cluster.log_mark()?;
    cluster.start()?;
    cluster.wait_for_log_since(mark, WALKING, TIMEOUT)?;
    let log = cluster.log_since(mark)?;
    assert!(log.contains("has already been removed") && log.contains("begins anew"), "{log}");
    // Nobody has tried to read it.
    assert!(!log.contains("could not read WAL"), "{log}");
    Ok(())
}

#[test]
fn the_slot_has_the_name_of_the_setting() -> Result<()> {
    let cluster = start(builder("record_count")?.setting("walker.slot_name", "of_another_name"))?;
    let slots = "SELECT string_agg(slot_name || ' ' || active, ', ') FROM pg_replication_slots";
    assert_eq!(cluster.psql(DATABASE, slots)?, "of_another_name true");
    Ok(())
}

#[test]
fn without_a_name_there_is_no_slot() -> Result<()> {
    let cluster = start(builder("record_count")?.setting("walker.slot_name", ""))?;
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) FROM pg_replication_slots")?, "0");
    assert!(!cluster.log()?.contains("WARNING"), "{}", cluster.log()?);
    let error = cluster.psql(DATABASE, "SELECT walker_drop_slot()").unwrap_err();
    assert!(format!("{error:#}").contains("\"walker.slot_name\" is empty"), "{error:#}");
    Ok(())
}

#[test]
fn a_name_that_cannot_be_one_is_told_and_the_worker_walks() -> Result<()> {
    let cluster = start(builder("record_count")?.setting("walker.slot_name", "Not-A-Name"))?;
    let log = cluster.log()?;
    assert!(log.contains("replication slot \"Not-A-Name\" cannot be used: replication slot name"), "{log}");
    let end = cluster.flush_wal()?;
    let arrived = poll(TIMEOUT, || Ok((counted_to(&cluster)? >= end).then_some(())))?;
    arrived.context("the plugin hears of what is written")
}

#[test]
fn a_running_worker_drops_its_slot_and_makes_none_until_a_reload() -> Result<()> {
    let cluster = start(builder("record_count")?)?;
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'walker'";
    assert_eq!(cluster.psql(DATABASE, slots)?, "1");
    cluster.psql(DATABASE, "SELECT walker_drop_slot()")?;
    assert_eq!(cluster.psql(DATABASE, slots)?, "0");
    let error = cluster.psql(DATABASE, "SELECT walker_drop_slot()").unwrap_err();
    assert!(format!("{error:#}").contains("replication slot \"walker\" does not exist"), "{error:#}");
    // The worker goes on without.
    write(&cluster, 1)?;
    let end = cluster.flush_wal()?;
    let arrived = poll(TIMEOUT, || Ok((counted_to(&cluster)? >= end).then_some(())))?;
    arrived.context("the plugin hears of what is written")?;
    assert_eq!(cluster.psql(DATABASE, slots)?, "0");
    cluster.reload()?;
    cluster.wait_until_true(DATABASE, "SELECT count(*) = 1 FROM pg_replication_slots WHERE active", TIMEOUT)?;
    // After a restart of the worker too.
    cluster.psql(DATABASE, "SELECT walker_drop_slot()")?;
    cluster.kill_background_worker("walker", Signal::TERM)?;
    cluster.wait_until_true(DATABASE, "SELECT count(*) = 1 FROM pg_replication_slots WHERE active", TIMEOUT)
}

#[test]
fn the_slot_of_a_worker_that_does_not_run_can_be_dropped() -> Result<()> {
    let mut cluster = start(builder("record_count")?.setting("walker.slot_name", "left_over"))?;
    cluster.configure([("shared_preload_libraries", "")])?;
    cluster.restart(Mode::Fast)?;
    let slots = "SELECT string_agg(slot_name || ' ' || active, ', ') FROM pg_replication_slots";
    assert_eq!(cluster.psql(DATABASE, slots)?, "left_over false");
    cluster.psql(DATABASE, "SELECT walker_drop_slot()")?;
    assert_eq!(cluster.psql(DATABASE, slots)?, "");
    let error = cluster.psql(DATABASE, "SELECT walker_drop_slot()").unwrap_err();
    assert!(format!("{error:#}").contains("replication slot \"left_over\" does not exist"), "{error:#}");
    Ok(())
}

#[test]
fn only_who_may_replicate_drops_the_slot() -> Result<()> {
    let cluster = start(builder("record_count")?)?;
    cluster.psql(DATABASE, "CREATE ROLE plain; CREATE ROLE replicator REPLICATION; CREATE ROLE granted")?;
    cluster.psql(DATABASE, "GRANT EXECUTE ON FUNCTION walker_drop_slot() TO replicator, granted")?;
    for (role, refusal) in
        [("plain", "permission denied for function walker_drop_slot"), ("granted", "to use replication slots")]
    {
        let error = cluster.psql(DATABASE, &format!("SET ROLE {role}; SELECT walker_drop_slot()")).unwrap_err();
        assert!(format!("{error:#}").contains(refusal), "{error:#}");
    }
    cluster.psql(DATABASE, "SET ROLE replicator; SELECT walker_drop_slot()")?;
    // The question behind it cannot be asked of the worker in another way.
    let error = cluster.psql(DATABASE, "SELECT walker_ask('', 'drop slot')").unwrap_err();
    assert!(format!("{error:#}").contains("the name of the plugin is empty"), "{error:#}");
    Ok(())
}
