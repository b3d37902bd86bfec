//! The garbage map after backups were restored, servers were rewound, and while its file cannot be written: right
//! numbers, or it says that it does not know.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use walker_testing::{
    Cluster, ClusterBuilder, LogMark, Mode, assert_garbage_equal, assert_garbage_right_and_then_known, change_again,
    every_kind_of_change, garbagemap_cluster, poll, start_garbagemap,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "postgres";

fn builder() -> Result<ClusterBuilder> {
    Ok(garbagemap_cluster()?
        // For pg_rewind.
        .setting("wal_log_hints", "on")
        .setting("wal_keep_size", "1GB")
        .setting("checkpoint_timeout", "1h")
        .setting("garbagemap.baseline_rate", "1000"))
}

fn prepare() -> Result<Cluster> {
    let cluster = start_garbagemap(builder()?)?;
    every_kind_of_change(&cluster)?;
    Ok(cluster)
}

fn snapshot(cluster: &Cluster) -> PathBuf {
    cluster.data_directory().join("walker/garbagemap.snapshot")
}

/// Starts the server, and waits for its worker.
fn start(cluster: &mut Cluster) -> Result<()> {
    // The first time there is no log yet.
    let mark = if cluster.log_file().exists() { cluster.log_mark()? } else { LogMark::BEGINNING };
    cluster.start()?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    Ok(())
}

#[test]
fn a_base_backup_brings_the_map_as_it_was_then() -> Result<()> {
    let original = prepare()?;
    original.psql(
        DATABASE,
        "CREATE TABLE held AS SELECT generate_series(1, 1000) AS id; CHECKPOINT;
         BEGIN; DELETE FROM held WHERE id % 13 = 0; PREPARE TRANSACTION 'later'",
    )?;
    let mut copy = original.base_backup(builder()?)?;
    ensure!(snapshot(&copy).exists(), "the backup holds the map's file");
    // Both go on along the same timeline, in different ways.
    change_again(&original)?;
    original.psql(DATABASE, "CHECKPOINT; COMMIT PREPARED 'later'")?;
    start(&mut copy)?;
    assert_garbage_right_and_then_known(&copy)?;
    copy.psql(DATABASE, "ROLLBACK PREPARED 'later'")?;
    assert_garbage_equal(&copy)?;
    assert_garbage_equal(&original)?;
    copy.crash()?;
    start(&mut copy)?;
    assert_garbage_equal(&copy)
}

#[test]
fn a_base_backup_is_followed_along_the_archive() -> Result<()> {
    let original = prepare()?;
    let mut copy = original.base_backup(builder()?)?;
    change_again(&original)?;
    original.psql(DATABASE, "CHECKPOINT")?;
    change_again(&original)?;
    original.psql(DATABASE, "SELECT pg_switch_wal()")?;
    let restore = format!("cp {}/%f %p", original.wal_directory().display());
    copy.configure([("restore_command", restore.as_str())])?;
    copy.signal_file("recovery.signal")?;
    copy.start()?;
    copy.wait_until_true(DATABASE, "SELECT NOT pg_is_in_recovery()", TIMEOUT)?;
    assert_garbage_right_and_then_known(&copy)?;
    // What is kept on the new timeline holds.
    copy.psql(DATABASE, "CHECKPOINT")?;
    change_again(&copy)?;
    copy.crash()?;
    start(&mut copy)?;
    assert_garbage_equal(&copy)
}

#[test]
fn a_rewound_server_does_not_go_on_with_what_was_undone() -> Result<()> {
    let mut old = prepare()?;
    let mut new = old.base_backup(builder()?)?;
    new.follow(&old)?;
    start(&mut new)?;
    let lsn = old.flush_wal()?;
    new.wait_for_lsn("pg_last_wal_replay_lsn()", lsn, TIMEOUT)?;
    new.promote()?;
    // The old one goes on, and keeps a map of what is going to be undone.
    change_again(&old)?;
    old.psql(DATABASE, "CHECKPOINT; DELETE FROM hot WHERE id % 2 = 0; CHECKPOINT")?;
    assert_garbage_equal(&old)?;
    old.stop(Mode::Fast)?;
    let undone = fs::read(snapshot(&old))?;
    new.psql(DATABASE, "UPDATE hot SET v = v + 3 WHERE id % 5 = 0; CHECKPOINT; DELETE FROM plain WHERE id % 3 = 0")?;
    assert_garbage_right_and_then_known(&new)?;

    old.rewind(&new)?;
    // Once with the map that pg_rewind brings, once with the one from before, as if it had not been there to be replaced.
    for before in [false, true] {
        if before {
            let kept = snapshot(&old);
            fs::write(&kept, &undone)?;
        }
        old.follow(&new)?;
        let mark = old.log_mark()?;
        start(&mut old)?;
        assert_eq!(old.log_since(mark)?.contains("this log does not hold"), before, "{}", old.log_since(mark)?);
        let lsn = new.flush_wal()?;
        old.wait_for_lsn("pg_last_wal_replay_lsn()", lsn, TIMEOUT)?;
        if !before {
            old.stop(Mode::Fast)?;
        }
    }
    old.promote()?;
    assert_garbage_right_and_then_known(&old)
}

#[test]
fn while_the_disk_is_full_counting_goes_on_and_what_was_kept_stays() -> Result<()> {
    let mut cluster = prepare()?;
    cluster
        .psql(DATABASE, "CREATE TABLE large AS SELECT g AS id, 0 AS v FROM generate_series(1, 100000) g; CHECKPOINT")?;
    let written = |cluster: &Cluster| -> Result<_> { Ok(fs::metadata(snapshot(cluster))?.modified()?) };
    // The map has come past the checkpoint, so that it is kept.
    assert_garbage_equal(&cluster)?;
    let kept = written(&cluster)?;
    // An open transaction: its pages are kept in detail, more than fits.
    let mut open = cluster.session(DATABASE)?;
    open.execute("BEGIN; UPDATE large SET v = 1")?;
    cluster.limit_worker_files("262144")?;
    let mark = cluster.log_mark()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.wait_for_log_since(mark, "plugin \"garbagemap\" could not keep its state", TIMEOUT)?;
    ensure!(cluster.log_since(mark)?.contains("could not write file"), "{}", cluster.log_since(mark)?);
    assert_eq!(written(&cluster)?, kept);
    assert!(!snapshot(&cluster).with_extension("tmp").exists());
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    // A crash now: what was kept before is what it begins with.
    drop(open);
    cluster.crash()?;
    start(&mut cluster)?;
    assert_garbage_equal(&cluster)?;
    let mut open = cluster.session(DATABASE)?;
    open.execute("BEGIN; UPDATE large SET v = 2")?;
    cluster.limit_worker_files("262144")?;
    let mark = cluster.log_mark()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.wait_for_log_since(mark, "plugin \"garbagemap\" could not keep its state", TIMEOUT)?;
    // There is room again.
    cluster.limit_worker_files("unlimited")?;
    let before = written(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let renewed = poll(TIMEOUT, || Ok((written(&cluster)? != before).then_some(())))?;
    assert!(renewed.is_some(), "{}", cluster.log_since(mark)?);
    open.execute("COMMIT")?;
    assert_garbage_equal(&cluster)?;
    cluster.crash()?;
    start(&mut cluster)?;
    assert_garbage_equal(&cluster)?;
    assert!(!cluster.log()?.contains("begins anew"), "{}", cluster.log()?);
    Ok(())
}
