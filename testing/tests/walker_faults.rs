//! Signals, crashes, a full disk and wrong settings: the worker goes on where it was, each record is told once and in order,
//! and the log says what was wrong. `record_checksum` is compared with `pg_waldump`, the garbage map with pgstattuple.

mod fault;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use fault::{
    DATABASE, Load, RUNS, TIMEOUT, prepare, prepare_with, recycle_soon, restart_lsn, restart_with, start, wait_for_wal,
};
use walker_testing::{
    Cluster, Mode, Signal, WalCopy, assert_all_told, assert_garbage_equal, assert_garbage_right, change_again, poll,
    record_checksum_cluster, wait_until_garbage_known,
};

/// So much WAL is written beside the worker while something is wrong.
const MUCH: u64 = 4 << 20;

/// All was told, without a gap, and the garbage map is right.
fn assert_nothing_was_lost(cluster: &Cluster, wal: &WalCopy) -> Result<()> {
    let told = assert_all_told(cluster, wal)?;
    ensure!(told.ranges.len() == 1, "{told}");
    assert_garbage_equal(cluster)?;
    let log = cluster.log()?;
    assert!(!log.contains("begins anew") && !log.contains("begin anew"), "{log}");
    cluster.wait_for_plugin_row("record_checksum", RUNS)?;
    cluster.wait_for_plugin_row("garbagemap", RUNS)
}

#[test]
fn a_worker_that_is_told_to_stop_under_load_goes_on_where_it_was() -> Result<()> {
    let (cluster, wal) = prepare()?;
    let load = Load::start(&cluster)?;
    for _ in 0..2 {
        wait_for_wal(&cluster, MUCH)?;
        let mark = cluster.log_mark()?;
        cluster.kill_background_worker("walker", Signal::TERM)?;
        cluster.wait_for_log_since(mark, "walker: stopped at", TIMEOUT)?;
        cluster.wait_for_plugin_row("record_checksum", "state = 'stopped' AND pid IS NULL AND lag_bytes > 0")?;
        cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    }
    wait_for_wal(&cluster, MUCH)?;
    drop(load);
    assert_nothing_was_lost(&cluster, &wal)?;
    cluster.wait_for_plugin_row("record_checksum", "failures = 0 AND last_error IS NULL AND wal_kept")
}

#[test]
fn a_worker_or_a_postmaster_that_is_killed_under_load_goes_on_with_what_was_kept() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    for round in 0..4 {
        let load = Load::start(&cluster)?;
        wait_for_wal(&cluster, MUCH)?;
        // Something is kept now, and something else is not.
        cluster.psql(DATABASE, "CHECKPOINT")?;
        wait_for_wal(&cluster, MUCH / 2)?;
        let mark = cluster.log_mark()?;
        if round % 2 == 0 {
            let worker = cluster.kill_background_worker("walker", Signal::KILL)?;
            let line = format!("(PID {}) was terminated by signal 9", worker[0]);
            cluster.wait_for_log_since(mark, &line, TIMEOUT)?;
            cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
            cluster.wait_until_accepting(TIMEOUT)?;
        } else {
            cluster.crash()?;
            start(&mut cluster)?;
        }
        drop(load);
        assert_nothing_was_lost(&cluster, &wal).with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

#[test]
fn while_the_worker_stands_still_the_server_goes_on_and_wal_is_held_back() -> Result<()> {
    let (cluster, wal) = prepare()?;
    let load = Load::start(&cluster)?;
    assert_all_told(&cluster, &wal)?;
    let stopped = cluster.stop_worker()?;
    let (mark, held) = (cluster.log_mark()?, restart_lsn(&cluster)?);
    recycle_soon(&cluster)?;
    for _ in 0..3 {
        wait_for_wal(&cluster, MUCH)?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
    }
    drop(load);
    assert_eq!(restart_lsn(&cluster)?, held);
    cluster.wait_for_plugin_row(
        "record_checksum",
        &format!("lag_bytes > {MUCH} AND lag > '0' AND flushed_lsn = '{held}'"),
    )?;
    wal.renew(&cluster)?;
    drop(stopped);
    assert_nothing_was_lost(&cluster, &wal)?;
    assert!(!cluster.log_since(mark)?.contains("WARNING"), "{}", cluster.log_since(mark)?);
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let moved = poll(TIMEOUT, || Ok((restart_lsn(&cluster)? > held).then_some(())))?;
    assert!(moved.is_some(), "{held}");
    Ok(())
}

#[test]
fn prepared_transactions_end_after_crashes() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    let prepare_one = |cluster: &Cluster, name: &str, remainder: u32| {
        let delete = format!("DELETE FROM plain WHERE id % 19 = {remainder}");
        cluster.psql(DATABASE, &format!("BEGIN; {delete}; PREPARE TRANSACTION '{name}'"))
    };
    prepare_one(&cluster, "before the checkpoint", 1)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    prepare_one(&cluster, "behind it", 2)?;
    cluster.crash()?;
    start(&mut cluster)?;
    assert_nothing_was_lost(&cluster, &wal)?;
    cluster.psql(DATABASE, "COMMIT PREPARED 'before the checkpoint'")?;
    prepare_one(&cluster, "a third", 3)?;
    cluster.stop(Mode::Immediate)?;
    start(&mut cluster)?;
    cluster.psql(DATABASE, "ROLLBACK PREPARED 'behind it'")?;
    assert_nothing_was_lost(&cluster, &wal)?;
    cluster.crash()?;
    start(&mut cluster)?;
    cluster.psql(DATABASE, "COMMIT PREPARED 'a third'")?;
    assert_nothing_was_lost(&cluster, &wal)
}

#[test]
fn while_the_disk_is_full_wal_is_held_back_and_what_was_kept_stays() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    assert_nothing_was_lost(&cluster, &wal)?;
    let state = cluster.data_directory().join("walker/record_checksum.state");
    let kept = fs::read(&state)?;
    for room_again in [false, true] {
        // Less than the file has, and more than the server's log.
        cluster.limit_worker_files("262144")?;
        let (mark, held) = (cluster.log_mark()?, restart_lsn(&cluster)?);
        change_again(&cluster)?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
        let line = cluster.wait_for_log_since(mark, "plugin \"record_checksum\" could not keep its state", TIMEOUT)?;
        assert!(line.contains("WARNING") && line.contains("could not write file"), "{line}");
        if !room_again {
            assert_eq!(fs::read(&state)?, kept);
        }
        assert_eq!(restart_lsn(&cluster)?, held);
        let row = format!(
            "flushed_lsn = '{held}' AND failures > 0 AND last_error LIKE '%could not write file%' AND wal_kept"
        );
        cluster.wait_for_plugin_row("record_checksum", &row)?;
        assert_nothing_was_lost(&cluster, &wal)?;
        if room_again {
            cluster.limit_worker_files("unlimited")?;
            cluster.psql(DATABASE, "CHECKPOINT")?;
            let moved = poll(TIMEOUT, || Ok((restart_lsn(&cluster)? > held).then_some(())))?;
            assert!(moved.is_some(), "{held}");
        }
        cluster.crash()?;
        start(&mut cluster)?;
        change_again(&cluster)?;
        assert_nothing_was_lost(&cluster, &wal)?;
    }
    Ok(())
}

#[test]
fn without_a_slot_everything_is_told_and_once_one_is_free_it_is_taken() -> Result<()> {
    let builder = record_checksum_cluster()?.settings([("max_replication_slots", "0"), ("max_wal_senders", "0")]);
    let (mut cluster, wal) = prepare_with(builder)?;
    let unusable = "replication slot \"walker\" cannot be used";
    let line = cluster.wait_for_log(unusable, TIMEOUT)?;
    assert!(line.contains("WARNING") && line.contains("\"max_replication_slots\" is zero"), "{line}");
    cluster.wait_for_plugin_row("record_checksum", "NOT wal_kept")?;
    assert_nothing_was_lost(&cluster, &wal)?;

    restart_with(&mut cluster, &[("max_replication_slots", "1"), ("walker.slot_name", "")])?;
    cluster.psql(DATABASE, "SELECT pg_create_physical_replication_slot('another')")?;
    assert_nothing_was_lost(&cluster, &wal)?;
    let mark = restart_with(&mut cluster, &[("walker.slot_name", "walker")])?;
    let line = cluster.wait_for_log_since(mark, unusable, TIMEOUT)?;
    assert!(line.contains("WARNING") && line.contains("all replication slots are in use"), "{line}");
    change_again(&cluster)?;
    assert_nothing_was_lost(&cluster, &wal)?;

    cluster.psql(DATABASE, "SELECT pg_drop_replication_slot('another')")?;
    let taken = "SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name = 'walker' AND active";
    cluster.wait_until_true(DATABASE, taken, TIMEOUT)?;
    cluster.wait_for_plugin_row("record_checksum", "wal_kept")?;
    assert_nothing_was_lost(&cluster, &wal)
}

#[test]
fn wrong_settings_are_told_and_the_right_ones_hold() -> Result<()> {
    let builder = record_checksum_cluster()?
        .setting("walker.plugins", "no_such_plugin, record_checksum, pgstattuple, garbagemap")
        .setting("walker.slot_name", "Not valid!");
    let (mut cluster, wal) = prepare_with(builder)?;
    for (what, why) in [
        ("plugin \"no_such_plugin\"", "could not access file \"no_such_plugin\""),
        ("plugin \"pgstattuple\"", "the library has no function _PG_walker_plugin_init"),
        ("replication slot \"Not valid!\" cannot be used", "contains invalid character"),
    ] {
        let line = cluster.wait_for_log(what, TIMEOUT)?;
        assert!(line.contains("WARNING") && line.contains(why), "{line}");
    }
    let waits = "state = 'waiting' AND failures > 0 AND retry_time > last_error_time AND last_error LIKE '%{}%'";
    cluster.wait_for_plugin_row("no_such_plugin", &waits.replace("{}", "could not access file"))?;
    cluster.wait_for_plugin_row("pgstattuple", &waits.replace("{}", "has no function"))?;
    cluster.wait_for_plugin_row("record_checksum", "failures = 0 AND last_error IS NULL AND NOT wal_kept")?;
    assert_nothing_was_lost(&cluster, &wal)?;
    // With a list that says nothing no plugin is told anything; once it is right, all of what was written meanwhile.
    cluster.stop(Mode::Fast)?;
    cluster.configure([("walker.plugins", "record_checksum,, garbagemap"), ("walker.slot_name", "walker")])?;
    let mark = cluster.log_mark()?;
    cluster.start()?;
    let line = cluster.wait_for_log_since(mark, "invalid list in parameter \"walker.plugins\"", TIMEOUT)?;
    assert!(line.contains("a name is missing"), "{line}");
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) FROM pg_stat_walker")?, "0");
    change_again(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    restart_with(&mut cluster, &[("walker.plugins", "record_checksum, garbagemap")])?;
    assert_nothing_was_lost(&cluster, &wal)
}

#[test]
fn with_the_minimal_level_all_that_is_in_the_log_is_told_and_no_number_is_said_to_be_exact() -> Result<()> {
    let builder = record_checksum_cluster()?.settings([
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        // Of tables that are made in the same transaction nothing at all is in the log.
        ("wal_skip_threshold", "0"),
    ]);
    let (mut cluster, wal) = prepare_with(builder)?;
    let line = cluster.wait_for_log("replication slot \"walker\" cannot be used", TIMEOUT)?;
    assert!(line.contains("WARNING") && line.contains("\"wal_level\" is minimal"), "{line}");
    cluster.psql(
        DATABASE,
        "BEGIN; CREATE TABLE unlogged_so_far (id int, v text);
         INSERT INTO unlogged_so_far SELECT g, 'x' FROM generate_series(1, 5000) g;
         DELETE FROM unlogged_so_far WHERE id % 3 = 0; COMMIT; DELETE FROM unlogged_so_far WHERE id = 5000;
         BEGIN; TRUNCATE plain; INSERT INTO plain SELECT g, 'z' FROM generate_series(1, 3000) g; COMMIT",
    )?;
    cluster.wait_for_plugin_row("record_checksum", "NOT wal_kept")?;
    let exact = "SELECT count(*) FROM pg_class c, garbage_summary(c.oid::regclass)
                 WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p' AND inexact IS NULL";
    let assert_told_and_inexact = |cluster: &Cluster| -> Result<()> {
        let told = assert_all_told(cluster, &wal)?;
        ensure!(told.ranges.len() == 1, "{told}");
        assert_garbage_right(cluster)?;
        assert_eq!(cluster.psql(DATABASE, exact)?, "0");
        Ok(())
    };
    assert_told_and_inexact(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.crash()?;
    start(&mut cluster)?;
    assert_told_and_inexact(&cluster)?;
    // When it leaves out nothing more, the map begins anew, and the files tell what was left out.
    restart_with(&mut cluster, &[("wal_level", "replica"), ("max_wal_senders", "10")])?;
    assert!(restart_lsn(&cluster)?.is_valid());
    change_again(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    assert_nothing_was_lost(&cluster, &wal)
}

#[test]
fn a_plugin_that_was_left_out_for_a_while_goes_on_where_it_was() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    restart_with(&mut cluster, &[("walker.plugins", "garbagemap")])?;
    let error = cluster.psql(DATABASE, "SELECT walker_ask('record_checksum')").unwrap_err();
    assert!(format!("{error:#}").contains("there is no plugin \"record_checksum\""), "{error:#}");
    assert_eq!(cluster.psql(DATABASE, "SELECT string_agg(plugin, ' ') FROM pg_stat_walker")?, "garbagemap");
    change_again(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    change_again(&cluster)?;
    restart_with(&mut cluster, &[("walker.plugins", "record_checksum, garbagemap")])?;
    assert_nothing_was_lost(&cluster, &wal)?;
    change_again(&cluster)?;
    assert_nothing_was_lost(&cluster, &wal)
}
