//! Standbys, promotions and rewound servers: the worker follows the log from one timeline to the next, and does not go on with
//! what is not part of it. `record_checksum` is compared with `pg_waldump`, the garbage map with pgstattuple.

mod fault;

use std::fs;

use anyhow::{Result, ensure};
use fault::{DATABASE, Load, RUNS, TIMEOUT, prepare, prepare_with, start, wait_for_wal};
use pgwal::Lsn;
use walker_testing::{
    Cluster, Mode, RecordChecksum, RecordRange, WalCopy, assert_all_told, assert_garbage_equal,
    assert_garbage_right_and_then_known, assert_told_up_to, change_again, poll, record_checksum_cluster,
};

const MUCH: u64 = 4 << 20;

/// A standby that streams from the primary, and whose worker knows nothing yet.
fn standby(primary: &Cluster) -> Result<Cluster> {
    let mut standby = primary.base_backup(record_checksum_cluster()?)?;
    fs::remove_dir_all(standby.data_directory().join("walker"))?;
    standby.follow(primary)?;
    start(&mut standby)?;
    Ok(standby)
}

/// Waits until the standby has replayed all that the primary wrote. Returns how far that is.
fn wait_for_replay(standby: &Cluster, primary: &Cluster) -> Result<Lsn> {
    let lsn = primary.flush_wal()?;
    standby.wait_for_lsn("pg_last_wal_replay_lsn()", lsn, TIMEOUT)?;
    Ok(lsn)
}

/// All was told, on one timeline and the next, without a gap.
fn assert_told_without_gap(cluster: &Cluster, wal: &WalCopy) -> Result<()> {
    let told = assert_all_told(cluster, wal)?;
    ensure!(told.ranges.len() == 1, "{told}");
    let log = cluster.log()?;
    assert!(!log.contains("begins anew") && !log.contains("begin anew"), "{log}");
    cluster.wait_for_plugin_row("record_checksum", RUNS)
}

#[test]
fn on_a_standby_that_streams_all_is_told_and_so_it_is_when_it_is_promoted_under_load() -> Result<()> {
    let (primary, wal_of_primary) = prepare()?;
    let mut standby = standby(&primary)?;
    let wal = WalCopy::of(&standby)?;
    let load = Load::start(&primary)?;
    wait_for_wal(&primary, MUCH)?;
    assert_told_up_to(&standby, wait_for_replay(&standby, &primary)?, &wal)?;
    standby.promote()?;
    drop(load);
    change_again(&standby)?;
    assert_told_without_gap(&standby, &wal)?;
    assert_garbage_right_and_then_known(&standby)?;
    // The old primary has a log of its own from there on.
    change_again(&primary)?;
    assert_told_without_gap(&primary, &wal_of_primary)?;
    assert_garbage_equal(&primary)?;
    // What was kept before and behind the switch.
    for _ in 0..2 {
        standby.crash()?;
        start(&mut standby)?;
        assert_told_without_gap(&standby, &wal)?;
        assert_garbage_equal(&standby)?;
        change_again(&standby)?;
        standby.psql(DATABASE, "CHECKPOINT")?;
    }
    Ok(())
}

#[test]
fn on_a_standby_that_replays_an_archive_all_is_told_and_so_it_is_when_it_is_promoted() -> Result<()> {
    let (primary, _) = prepare()?;
    let mut standby = primary.base_backup(record_checksum_cluster()?)?;
    fs::remove_dir_all(standby.data_directory().join("walker"))?;
    let restore = format!("cp {}/%f %p", primary.wal_directory().display());
    standby.configure([("restore_command", restore.as_str())])?;
    standby.signal_file("standby.signal")?;
    start(&mut standby)?;
    let wal = WalCopy::of(&standby)?;
    for _ in 0..2 {
        change_again(&primary)?;
        let lsn = primary.flush_wal()?;
        primary.psql(DATABASE, "SELECT pg_switch_wal(); CHECKPOINT")?;
        standby.wait_for_lsn("pg_last_wal_replay_lsn()", lsn, TIMEOUT)?;
        assert_told_up_to(&standby, lsn, &wal)?;
    }
    standby.promote()?;
    change_again(&standby)?;
    assert_told_without_gap(&standby, &wal)?;
    assert_garbage_right_and_then_known(&standby)
}

#[test]
fn a_worker_that_is_behind_when_the_timeline_changes_follows_it() -> Result<()> {
    let (primary, _) = prepare()?;
    let standby = standby(&primary)?;
    let wal = WalCopy::of(&standby)?;
    assert_told_up_to(&standby, wait_for_replay(&standby, &primary)?, &wal)?;
    standby.wait_for_plugin_row("record_checksum", RUNS)?;
    let stopped = standby.stop_worker()?;
    change_again(&primary)?;
    primary.psql(DATABASE, "CHECKPOINT")?;
    change_again(&primary)?;
    wait_for_replay(&standby, &primary)?;
    standby.promote()?;
    for _ in 0..2 {
        change_again(&standby)?;
        standby.psql(DATABASE, "SELECT pg_switch_wal(); CHECKPOINT")?;
    }
    standby.wait_for_plugin_row("record_checksum", "lag_bytes > 1000000 AND lag > '0'")?;
    drop(stopped);
    assert_told_without_gap(&standby, &wal)?;
    assert_garbage_right_and_then_known(&standby)
}

#[test]
fn a_standby_that_follows_another_goes_on_after_a_restart_on_the_timeline_that_it_had_come_to() -> Result<()> {
    let (primary, _) = prepare()?;
    let middle = standby(&primary)?;
    let mut last = standby(&middle)?;
    let update = |cluster: &Cluster| cluster.psql(DATABASE, "UPDATE hot SET v = v + 1 WHERE id % 9 = 0");
    // What it writes to its files by itself would have to be replayed before it is consistent.
    last.configure([("bgwriter_lru_maxpages", "0")])?;
    last.reload()?;
    let wal = WalCopy::of(&last)?;
    change_again(&primary)?;
    assert_told_up_to(&last, wait_for_replay(&last, &primary)?, &wal)?;
    update(&primary)?;
    wait_for_replay(&last, &primary)?;
    middle.promote()?;
    // What is kept is of the new timeline, and after a crash the standby stays on the one before for a while.
    update(&middle)?;
    let kept = middle.flush_wal()?;
    middle.psql(DATABASE, "CHECKPOINT")?;
    assert_told_up_to(&last, wait_for_replay(&last, &middle)?, &wal)?;
    last.crash()?;
    last.configure([("recovery_min_apply_delay", "1h")])?;
    let mark = last.log_mark()?;
    last.start()?;
    let waits = poll(TIMEOUT, || Ok(last.worker().ok()))?;
    let replayed: Lsn = last.psql(DATABASE, "SELECT pg_last_wal_replay_lsn()")?.parse()?;
    ensure!(waits.is_some() && replayed < kept, "{replayed} {kept}");
    // There is nothing that it could be told yet.
    last.wait_for_plugin_row("record_checksum", "state = 'starting' AND applied_lsn IS NULL")?;
    last.configure([("recovery_min_apply_delay", "0")])?;
    last.reload()?;
    last.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    for _ in 0..2 {
        change_again(&middle)?;
        let told = assert_told_up_to(&last, wait_for_replay(&last, &middle)?, &wal)?;
        ensure!(told.ranges.len() == 1, "{told}");
        last.stop(Mode::Fast)?;
        start(&mut last)?;
    }
    last.promote()?;
    change_again(&last)?;
    assert_told_without_gap(&last, &wal)?;
    assert_garbage_right_and_then_known(&last)
}

#[test]
fn a_worker_that_stopped_before_the_timeline_changed_twice_follows_it() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    assert_told_without_gap(&cluster, &wal)?;
    // Without the plugin; what it has kept stays.
    cluster.stop(Mode::Fast)?;
    cluster.configure([("walker.plugins", "garbagemap")])?;
    for _ in 0..2 {
        cluster.signal_file("standby.signal")?;
        start(&mut cluster)?;
        cluster.promote()?;
        change_again(&cluster)?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
        change_again(&cluster)?;
        cluster.stop(Mode::Immediate)?;
    }
    cluster.configure([("walker.plugins", "record_checksum, garbagemap")])?;
    start(&mut cluster)?;
    assert_told_without_gap(&cluster, &wal)?;
    assert_garbage_equal(&cluster)
}

#[test]
fn a_rewound_server_goes_on_with_the_log_that_it_has_now() -> Result<()> {
    // For pg_rewind.
    let (mut old, _) = prepare_with(record_checksum_cluster()?.setting("wal_log_hints", "on"))?;
    let new = standby(&old)?;
    wait_for_replay(&new, &old)?;
    let wal = WalCopy::of(&old)?;
    wal.renew(&new)?;
    new.promote()?;
    // What is told and kept here is going to be undone.
    change_again(&old)?;
    old.psql(DATABASE, "CHECKPOINT; DELETE FROM hot WHERE id % 2 = 0; CHECKPOINT")?;
    let undone = assert_all_told(&old, &WalCopy::of(&old)?)?;
    old.stop(Mode::Fast)?;
    let kept = old.data_directory().join("walker/record_checksum.state");
    let state = fs::read(&kept)?;
    change_again(&new)?;
    new.psql(DATABASE, "CHECKPOINT; DELETE FROM plain WHERE id % 3 = 0")?;
    assert_told_without_gap(&new, &wal)?;

    old.rewind(&new)?;
    for undone_state in [false, true] {
        // Once with the file that pg_rewind brings, once with the one from before, as if it had not been replaced.
        if undone_state {
            fs::write(&kept, &state)?;
        }
        old.follow(&new)?;
        let mark = start(&mut old)?;
        let log = old.log_since(mark)?;
        let unusable = log.lines().find(|line| line.contains("plugin \"record_checksum\" cannot use the state"));
        assert_eq!(unusable.is_some(), undone_state, "{log}");
        let lsn = wait_for_replay(&old, &new)?;
        let told = RecordChecksum::ask(&old, lsn)?;
        wal.renew(&new)?;
        wal.renew(&old)?;
        if undone_state {
            assert!(unusable.is_some_and(|line| line.contains("this log does not hold")), "{log}");
            old.wait_for_plugin_row("record_checksum", "failures > 0 AND last_error LIKE '%this log does not hold%'")?;
            // What it was told of the other branch stays told; behind the gap it is the log of the new one.
            let (before, behind) = told.ranges.split_at(undone.ranges.len());
            let end = |ranges: &[RecordRange]| ranges.last().map(|range| range.end);
            assert!(end(before) >= end(&undone.ranges) && behind.len() == 1, "{told}");
            RecordChecksum { ranges: behind.to_vec(), problems: told.problems.clone() }.compare(&old, &wal)?;
        } else {
            told.compare(&old, &wal)?;
            old.stop(Mode::Fast)?;
        }
    }
    old.promote()?;
    change_again(&old)?;
    let told = RecordChecksum::ask(&old, old.flush_wal()?)?;
    wal.renew(&old)?;
    let behind = told.ranges[undone.ranges.len()..].to_vec();
    assert_eq!(behind.len(), 1, "{told}");
    RecordChecksum { ranges: behind, problems: told.problems }.compare(&old, &wal)?;
    assert_garbage_right_and_then_known(&old)
}
