//! The garbage map over restarts: what it kept is what it goes on with, or it begins anew and says so.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgwal::Lsn;
use walker_testing::{
    Cluster, Mode, Signal, assert_garbage_equal, garbagemap_cluster, poll, start_garbagemap, temporary_directory,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "postgres";

fn prepare() -> Result<Cluster> {
    // What is not held back by the slot is gone soon.
    let builder = garbagemap_cluster()?.setting("min_wal_size", "32MB").setting("max_wal_size", "64MB");
    let cluster = start_garbagemap(builder)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE quiet (id int PRIMARY KEY, v text);
         INSERT INTO quiet SELECT g, repeat('x', 100) FROM generate_series(1, 3000) g;
         UPDATE quiet SET v = 'y' WHERE id % 3 = 0; DELETE FROM quiet WHERE id % 7 = 0;
         CREATE TABLE busy (id int PRIMARY KEY, v int, filler text) WITH (fillfactor = 80);
         INSERT INTO busy SELECT g, 0, repeat('x', 60) FROM generate_series(1, 3000) g;",
    )?;
    Ok(cluster)
}

/// Changes of all kinds in `busy`: some are rolled back, `round` decides which rows.
fn change(cluster: &Cluster, round: u32) -> Result<()> {
    cluster.psql(
        DATABASE,
        &format!(
            "UPDATE busy SET v = v + 1 WHERE id % 5 = {round} % 5;
             BEGIN; DELETE FROM busy WHERE id % 11 = {round} % 11; SAVEPOINT s;
             UPDATE busy SET v = 0 WHERE id % 3 = 0; ROLLBACK TO s; COMMIT;
             BEGIN; INSERT INTO busy SELECT g, 1, 'new' FROM generate_series(100000, 100200) g; ROLLBACK;
             INSERT INTO busy SELECT g, 1, 'new' FROM generate_series(1, 3000) g WHERE g % 11 = {round} % 11
                 ON CONFLICT DO NOTHING;"
        ),
    )?;
    Ok(())
}

fn snapshot(cluster: &Cluster) -> PathBuf {
    cluster.data_directory().join("walker/garbagemap.snapshot")
}

/// Where the worker that started last began.
fn beginning(cluster: &Cluster) -> Result<Lsn> {
    let log = cluster.log()?;
    let (_, last) = log.rsplit_once("walker: walking over WAL from ").context("the worker says where it begins")?;
    Ok(last.split_once(',').context("then come the plugins")?.0.parse()?)
}

fn restart_lsn(cluster: &Cluster) -> Result<Lsn> {
    let slot = "SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'walker' AND active";
    Ok(cluster.psql(DATABASE, slot)?.trim().parse()?)
}

#[test]
fn after_a_restart_the_worker_goes_on_where_it_was() -> Result<()> {
    let mut cluster = prepare()?;
    change(&cluster, 1)?;
    let before = cluster.flush_wal()?;
    assert_garbage_equal(&cluster)?;
    let mark = cluster.log_mark()?;
    cluster.restart(Mode::Fast)?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    let begun = beginning(&cluster)?;
    assert!(begun >= before, "{begun} {before}");
    // Nothing was changed since: all is known only from what was kept.
    assert_garbage_equal(&cluster)?;
    change(&cluster, 2)?;
    assert_garbage_equal(&cluster)?;
    assert!(!cluster.log()?.contains("begins anew"), "{}", cluster.log()?);
    Ok(())
}

#[test]
fn what_was_written_while_the_server_crashed_again_and_again_is_counted_once() -> Result<()> {
    let mut cluster = prepare()?;
    cluster.psql(DATABASE, "BEGIN; DELETE FROM quiet WHERE id % 13 = 0; PREPARE TRANSACTION 'later'")?;
    for round in 0..6 {
        let mut open = cluster.session(DATABASE)?;
        open.execute("BEGIN; DELETE FROM quiet WHERE id % 17 = 0 AND id % 13 <> 0")?;
        change(&cluster, round)?;
        let mark = cluster.log_mark()?;
        match round % 3 {
            // With and without a map kept shortly before.
            0 => cluster.crash()?,
            1 => {
                cluster.psql(DATABASE, "CHECKPOINT")?;
                change(&cluster, round + 1)?;
                cluster.stop(Mode::Immediate)?;
            }
            // The worker alone, which takes the server with it.
            _ => drop(cluster.kill_background_worker("walker", Signal::KILL)?),
        }
        drop(open);
        if round % 3 == 2 {
            cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
            cluster.wait_until_accepting(TIMEOUT)?;
        } else {
            cluster.start()?;
            cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
        }
        assert_garbage_equal(&cluster).with_context(|| format!("round {round}"))?;
    }
    cluster.psql(DATABASE, "COMMIT PREPARED 'later'")?;
    assert_garbage_equal(&cluster)?;
    assert!(!cluster.log()?.contains("begins anew"), "{}", cluster.log()?);
    Ok(())
}

#[test]
fn the_slot_keeps_wal_until_the_map_is_kept() -> Result<()> {
    let cluster = prepare()?;
    let first = restart_lsn(&cluster)?;
    change(&cluster, 1)?;
    let before = cluster.flush_wal()?;
    assert_eq!(restart_lsn(&cluster)?, first);
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let moved = poll(TIMEOUT, || Ok(Some(restart_lsn(&cluster)?).filter(|lsn| *lsn > before)))?;
    assert!(moved.is_some(), "{first} {before} {}", restart_lsn(&cluster)?);
    assert!(snapshot(&cluster).exists());
    // A map that cannot be kept: no disk is full here, but a directory is in the way.
    let obstacle = snapshot(&cluster).with_extension("tmp");
    fs::create_dir(&obstacle)?;
    let (mark, kept) = (cluster.log_mark()?, restart_lsn(&cluster)?);
    change(&cluster, 2)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.wait_for_log_since(mark, "plugin \"garbagemap\" could not keep its state", TIMEOUT)?;
    assert_eq!(restart_lsn(&cluster)?, kept);
    assert_garbage_equal(&cluster)?;
    fs::remove_dir(&obstacle)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let moved = poll(TIMEOUT, || Ok(Some(restart_lsn(&cluster)?).filter(|lsn| *lsn > kept)))?;
    assert!(moved.is_some());
    assert_garbage_equal(&cluster)
}

#[test]
fn a_map_that_is_damaged_or_of_another_log_is_not_used() -> Result<()> {
    let mut cluster = prepare()?;
    // From another server: its map is sound, but not of this log.
    let mut other = prepare()?;
    other.stop(Mode::Fast)?;
    let foreign = fs::read(snapshot(&other))?;
    cluster.stop(Mode::Fast)?;
    let own = fs::read(snapshot(&cluster))?;
    let mut damaged = own.clone();
    damaged[own.len() / 2] ^= 1;
    for (bytes, message) in [(damaged, "its checksum does not match"), (foreign, "this log does not hold")] {
        // As the server's user has it.
        let file = fs::OpenOptions::new().write(true).truncate(true).open(snapshot(&cluster))?;
        std::io::Write::write_all(&mut &file, &bytes)?;
        let mark = cluster.log_mark()?;
        cluster.start()?;
        cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
        assert!(cluster.log_since(mark)?.contains(message), "{}", cluster.log_since(mark)?);
        // What is not known is not told.
        let known = cluster.at_a_quiet_moment(DATABASE, |session, _| {
            session.execute("SELECT sum(known_blocks), max(n_dead_tuples) IS NULL FROM garbage_summary('quiet')")
        })?;
        ensure!(known == "0|t" || known == "0\tt", "{known}");
        cluster.psql(DATABASE, "VACUUM FULL quiet; VACUUM FULL busy")?;
        change(&cluster, 3)?;
        assert_garbage_equal(&cluster)?;
        cluster.stop(Mode::Fast)?;
    }
    Ok(())
}

#[test]
fn a_standby_goes_on_and_so_does_the_server_that_it_becomes() -> Result<()> {
    let mut cluster = prepare()?;
    change(&cluster, 1)?;
    cluster.stop(Mode::Immediate)?;
    // A standby of nobody: it replays what there is and waits.
    fs::write(cluster.data_directory().join("standby.signal"), "")?;
    let mark = cluster.log_mark()?;
    cluster.start()?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    assert!(restart_lsn(&cluster)?.is_valid());
    cluster.promote()?;
    assert_garbage_equal(&cluster)?;
    change(&cluster, 2)?;
    assert_garbage_equal(&cluster)?;
    // What was kept on the first timeline, then on the second.
    for round in 3..5 {
        cluster.crash()?;
        let mark = cluster.log_mark()?;
        cluster.start()?;
        cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
        assert_garbage_equal(&cluster)?;
        change(&cluster, round)?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
    }
    assert!(!cluster.log()?.contains("begins anew"), "{}", cluster.log()?);
    Ok(())
}

#[test]
fn a_slot_that_another_holds_is_waited_for_without_harm() -> Result<()> {
    let mut cluster = prepare()?;
    cluster.stop(Mode::Fast)?;
    // Somebody else's, of another kind.
    cluster.configure([("wal_level", "logical"), ("walker.slot_name", "taken")])?;
    cluster.configure([("shared_preload_libraries", "")])?;
    cluster.start()?;
    cluster.psql(DATABASE, "SELECT pg_create_logical_replication_slot('taken', 'pgoutput')")?;
    cluster.configure([("shared_preload_libraries", "walker")])?;
    let mark = cluster.log_mark()?;
    cluster.restart(Mode::Fast)?;
    cluster.wait_for_log_since(mark, "replication slot \"taken\" cannot be used: it is a logical slot", TIMEOUT)?;
    change(&cluster, 1)?;
    assert_garbage_equal(&cluster)?;
    // Once it is free, the worker makes its own.
    cluster.psql(DATABASE, "SELECT pg_drop_replication_slot('taken')")?;
    let slot = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'taken' AND slot_type = 'physical' AND active";
    let made = poll(TIMEOUT, || Ok((cluster.psql(DATABASE, slot)?.trim() == "1").then_some(())))?;
    assert!(made.is_some(), "{}", cluster.log()?);
    assert_garbage_equal(&cluster)
}

/// How often servers are killed; more by the variable, for long runs.
fn kills() -> u32 {
    env::var("WALKER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// Changes of random rows: some are rolled back, in whole or in part, and now and then there is a checkpoint or a vacuum.
const RANDOM_CHANGES: &str = "
\\set aid random(1, 20000)
\\set kind random(1, 200)
\\if :kind < 40
BEGIN; UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid; ROLLBACK;
\\elif :kind < 80
BEGIN; SAVEPOINT a; DELETE FROM pgbench_accounts WHERE aid = :aid; ROLLBACK TO a;
UPDATE pgbench_accounts SET filler = 'x' WHERE aid = :aid; END;
\\elif :kind < 120
DELETE FROM pgbench_accounts WHERE aid = :aid;
INSERT INTO pgbench_accounts VALUES (:aid, 1, 0, 'y') ON CONFLICT DO NOTHING;
\\elif :kind = 198
VACUUM pgbench_accounts;
\\elif :kind = 199
CHECKPOINT;
\\else
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
\\endif
";

#[test]
fn killed_under_load_at_any_moment_it_counts_everything_once() -> Result<()> {
    let mut cluster = prepare()?;
    cluster.pgbench(["--initialize", "--scale=1", "--quiet"])?;
    let directory = temporary_directory()?;
    let script = directory.path().join("changes.sql");
    fs::write(&script, RANDOM_CHANGES)?;
    for round in 0..kills() {
        let mut pgbench = cluster.program("pgbench")?;
        pgbench
            .args(["--no-vacuum", "--client=3", "--time=60", &format!("--random-seed={round}"), "--file"])
            .arg(&script);
        pgbench.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut load = pgbench.spawn()?;
        thread::sleep(Duration::from_millis(u64::from(50 + round * 277 % 900)));
        let mark = cluster.log_mark()?;
        if round % 2 == 0 {
            cluster.crash()?;
            cluster.start()?;
        } else {
            cluster.kill_background_worker("walker", Signal::KILL)?;
        }
        load.kill()?;
        load.wait()?;
        cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
        cluster.wait_until_accepting(TIMEOUT)?;
        assert_garbage_equal(&cluster).with_context(|| format!("round {round}"))?;
    }
    assert!(!cluster.log()?.contains("begins anew"), "{}", cluster.log()?);
    Ok(())
}
