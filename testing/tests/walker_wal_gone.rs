//! WAL that is removed or damaged before it was told: the worker says so, plugins are told of a gap, and all that can be read is
//! told. `record_checksum` is compared with `pg_waldump`, the garbage map with pgstattuple.

mod fault;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};
use fault::{
    DATABASE, RUNS, TIMEOUT, has_wal, keep_all, prepare, prepare_with, recycle_soon, restart_lsn, restart_with,
    write_and_recycle,
};
use pgwal::Lsn;
use walker_testing::{
    Cluster, LogMark, RecordChecksum, WalCopy, assert_all_told, assert_garbage_equal,
    assert_garbage_right_and_then_known, change_again, poll, record_checksum_cluster,
};

/// All was told but for one gap, which begins where the worker was and is not longer than it must be.
fn assert_one_gap(cluster: &Cluster, wal: &WalCopy, before: &RecordChecksum) -> Result<()> {
    keep_all(cluster)?;
    let told = assert_all_told(cluster, wal)?;
    ensure!(told.ranges.len() == 2, "{told}");
    let last = |told: &RecordChecksum| told.ranges.first().map(|range| (range.first, range.end));
    let ((first, end), (first_before, end_before)) = last(&told).zip(last(before)).context("no range")?;
    ensure!(first == first_before && end >= end_before, "{told}, and before: {before}");
    assert_garbage_right_and_then_known(cluster)?;
    cluster.wait_for_plugin_row("record_checksum", RUNS)?;
    // It is told once.
    let again = assert_all_told(cluster, wal)?;
    ensure!(again.ranges.len() == 2, "{again}");
    Ok(())
}

/// A WARNING and the row say that WAL could not be read, and why.
fn assert_warned(cluster: &Cluster, mark: LogMark, cause: &str) -> Result<()> {
    let line = cluster.wait_for_log_since(mark, cause, TIMEOUT)?;
    ensure!(line.contains("WARNING"), "{line}");
    cluster.wait_for_plugin_row("record_checksum", &format!("last_error LIKE '%{cause}%'"))
}

/// How PostgreSQL names a segment that is not there any more (`src/backend/access/transam/xlogutils.c`: `wal_segment_open`).
const REMOVED: &str = "has already been removed";

#[test]
fn without_a_slot_wal_is_recycled_under_a_worker_that_stands_still() -> Result<()> {
    let (cluster, wal) = prepare_with(record_checksum_cluster()?.setting("walker.slot_name", ""))?;
    let before = assert_all_told(&cluster, &wal)?;
    recycle_soon(&cluster)?;
    let mark = cluster.log_mark()?;
    let stopped = cluster.stop_worker()?;
    let end = cluster.flush_wal()?;
    // The file that it has open is whole, and in the copy.
    cluster.psql(DATABASE, "SELECT pg_switch_wal()")?;
    wal.renew(&cluster)?;
    while has_wal(&cluster, end)? {
        write_and_recycle(&cluster, &wal)?;
    }
    write_and_recycle(&cluster, &wal)?;
    keep_all(&cluster)?;
    drop(stopped);
    assert_one_gap(&cluster, &wal, &before)?;
    assert_warned(&cluster, mark, REMOVED)
}

#[test]
fn a_slot_that_was_dropped_while_no_worker_ran_is_made_anew() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    let before = assert_all_told(&cluster, &wal)?;
    cluster.stop(walker_testing::Mode::Fast)?;
    cluster.configure([("shared_preload_libraries", "")])?;
    cluster.start()?;
    wal.renew(&cluster)?;
    recycle_soon(&cluster)?;
    let end = cluster.flush_wal()?;
    cluster.psql(DATABASE, "SELECT pg_drop_replication_slot('walker')")?;
    while has_wal(&cluster, end)? {
        write_and_recycle(&cluster, &wal)?;
    }
    let mark = restart_with(&mut cluster, &[("shared_preload_libraries", "walker")])?;
    assert_warned(&cluster, mark, REMOVED)?;
    assert_one_gap(&cluster, &wal, &before)?;
    assert!(restart_lsn(&cluster)? > end);
    Ok(())
}

#[test]
fn a_slot_that_holds_back_more_than_max_slot_wal_keep_size_is_made_anew() -> Result<()> {
    let (cluster, wal) = prepare()?;
    let before = assert_all_told(&cluster, &wal)?;
    cluster.configure([("max_slot_wal_keep_size", "3MB")])?;
    recycle_soon(&cluster)?;
    let mark = cluster.log_mark()?;
    let stopped = cluster.stop_worker()?;
    let end = cluster.flush_wal()?;
    // No checkpoint yet: it would not come to an end.
    for _ in 0..8 {
        cluster.psql(DATABASE, "UPDATE plain SET v = v || 'x'; SELECT pg_switch_wal()")?;
    }
    wal.renew(&cluster)?;
    // The checkpointer waits until the worker has let go.
    let mut checkpoint = cluster.session(DATABASE)?;
    checkpoint.send("CHECKPOINT")?;
    cluster.wait_for_log_since(mark, "to release replication slot \"walker\"", TIMEOUT)?;
    drop(stopped);
    checkpoint.wait(TIMEOUT)?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    assert!(!has_wal(&cluster, end)?);
    assert_one_gap(&cluster, &wal, &before)?;
    assert_warned(&cluster, mark, REMOVED)?;
    let anew = poll(TIMEOUT, || Ok((restart_lsn(&cluster)? > end).then_some(())))?;
    assert!(anew.is_some());
    Ok(())
}

#[test]
fn a_plugin_that_was_left_out_until_its_position_was_gone_is_told_of_a_gap_and_others_are_not() -> Result<()> {
    let (mut cluster, wal) = prepare()?;
    let before = assert_all_told(&cluster, &wal)?;
    restart_with(&mut cluster, &[("walker.plugins", "garbagemap")])?;
    wal.renew(&cluster)?;
    recycle_soon(&cluster)?;
    let end = cluster.flush_wal()?;
    while has_wal(&cluster, end)? {
        write_and_recycle(&cluster, &wal)?;
        // The worker lets go of it.
        assert_garbage_equal(&cluster)?;
    }
    let mark = restart_with(&mut cluster, &[("walker.plugins", "record_checksum, garbagemap")])?;
    // The garbage map goes on where it was: nothing was lost for it.
    assert_garbage_equal(&cluster)?;
    assert_warned(&cluster, mark, REMOVED)?;
    assert!(!cluster.log_since(mark)?.contains("plugin \"garbagemap\""), "{}", cluster.log_since(mark)?);
    assert_one_gap(&cluster, &wal, &before)
}

/// Changes a byte of a record, and changes it back when this is dropped.
struct Damage {
    segment: File,
    offset: u64,
    byte: u8,
}

impl Damage {
    /// In the middle of the record that begins at `lsn`.
    fn of_record(cluster: &Cluster, lsn: Lsn) -> Result<Self> {
        let name = cluster.psql(DATABASE, &format!("SELECT pg_walfile_name('{lsn}'::pg_lsn + 1)"))?;
        let segment = File::options().read(true).write(true).open(cluster.wal_directory().join(name))?;
        // Behind the fixed header, where the checksum covers it.
        let offset = u64::from(lsn.advanced(25).offset_in(1 << 20));
        let mut byte = [0];
        segment.read_exact_at(&mut byte, offset)?;
        segment.write_all_at(&[byte[0] ^ 0x55], offset)?;
        Ok(Self { segment, offset, byte: byte[0] })
    }
}

impl Drop for Damage {
    fn drop(&mut self) {
        let _ = self.segment.write_all_at(&[self.byte], self.offset);
    }
}

/// A record between two positions, that is on one page with what is changed of it.
fn a_record_between(cluster: &Cluster, start: Lsn, end: Lsn) -> Result<Lsn> {
    let lines = cluster.pg_waldump([format!("--start={start}"), format!("--end={end}")])?;
    let position = |line: &str| line.split("lsn: ").nth(1)?.split(',').next()?.parse::<Lsn>().ok();
    let all: Vec<Lsn> = lines.lines().filter_map(position).filter(|lsn| lsn.offset_in(8192) < 8192 - 64).collect();
    all.get(all.len() / 2).copied().context("no record")
}

#[test]
fn a_damaged_record_is_tried_again_and_then_told_as_a_gap() -> Result<()> {
    let (cluster, wal) = prepare()?;
    let before = assert_all_told(&cluster, &wal)?;
    let stopped = cluster.stop_worker()?;
    let start = cluster.flush_wal()?;
    change_again(&cluster)?;
    let end = cluster.flush_wal()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    change_again(&cluster)?;
    wal.renew(&cluster)?;
    let damaged = a_record_between(&cluster, start, end)?;
    let damage = Damage::of_record(&cluster, damaged)?;
    let mark = cluster.log_mark()?;
    drop(stopped);
    assert_warned(&cluster, mark, "incorrect resource manager data checksum")?;
    // Up to the damage and from the checkpoint behind it on, all is told.
    let told = RecordChecksum::ask(&cluster, cluster.flush_wal()?)?;
    drop(damage);
    assert_one_gap(&cluster, &wal, &before)?;
    let (first, second) = (&told.ranges[0], &told.ranges[1]);
    assert!(first.end <= damaged && damaged.since(first.end) <= 24 && damaged < second.first, "{damaged} {told}");
    Ok(())
}

#[test]
fn a_damaged_record_that_is_repaired_while_it_is_tried_again_is_no_gap() -> Result<()> {
    let (cluster, wal) = prepare()?;
    assert_all_told(&cluster, &wal)?;
    let stopped = cluster.stop_worker()?;
    let start = cluster.flush_wal()?;
    change_again(&cluster)?;
    let end = cluster.flush_wal()?;
    let damaged = a_record_between(&cluster, start, end)?;
    let damage = Damage::of_record(&cluster, damaged)?;
    drop(stopped);
    // It comes to the damage and stays there.
    let at_damage = poll(TIMEOUT, || {
        let told = RecordChecksum::ask(&cluster, start)?;
        Ok(told.ranges.last().is_some_and(|range| damaged.since(range.end) <= 24).then_some(()))
    })?;
    ensure!(at_damage.is_some(), "the worker does not come to {damaged}");
    drop(damage);
    let told = assert_all_told(&cluster, &wal)?;
    assert_eq!(told.ranges.len(), 1, "{told}");
    assert_garbage_equal(&cluster)
}
