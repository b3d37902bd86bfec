//! The garbage map after backups were restored, servers were rewound, and while its file cannot be written: right
//! numbers, or it says that it does not know.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{
    Cluster, ClusterBuilder, LogMark, Mode, assert_garbage_equal, change_again, every_kind_of_change,
    garbage_differences, garbagemap_cluster, poll, start_garbagemap, wait_until_garbage_known,
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

/// Runs a program of PostgreSQL to its end.
fn run(mut command: Command) -> Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A server that was not started yet, whose data directory is a base backup of `original`.
fn base_backup(original: &Cluster) -> Result<Cluster> {
    let copy = builder()?.build()?;
    let settings = fs::read(copy.data_directory().join("postgresql.conf"))?;
    fs::remove_dir_all(copy.data_directory())?;
    let mut backup = original.program("pg_basebackup")?;
    backup.args(["--checkpoint=fast", "--no-sync", "--pgdata"]).arg(copy.data_directory());
    // Into the copy's directory: whoever the server runs as may not make one there.
    fs::create_dir(copy.data_directory())?;
    give_as(&copy.socket_directory(), &copy.data_directory())?;
    run(backup)?;
    fs::write(copy.data_directory().join("postgresql.conf"), settings)?;
    Ok(copy)
}

/// Gives `path` the owner and the rights of `model`.
fn give_as(model: &Path, path: &Path) -> Result<()> {
    let metadata = fs::metadata(model)?;
    chown(path, Some(metadata.uid()), Some(metadata.gid()))?;
    fs::set_permissions(path, metadata.permissions())?;
    Ok(())
}

/// Starts the server, and waits for its worker.
fn start(cluster: &mut Cluster) -> Result<()> {
    // The first time there is no log yet.
    let mark = if cluster.log_file().exists() { cluster.log_mark()? } else { LogMark::BEGINNING };
    cluster.start()?;
    cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    Ok(())
}

/// Nothing that is said to be exact is wrong; and once files may be read, all is known and right.
fn assert_right_and_then_known(cluster: &Cluster) -> Result<()> {
    let differences = garbage_differences(cluster, DATABASE)?;
    let columns = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
    let silent = |line: &&str| columns(line)[3] == "0" && columns(line)[4].is_empty();
    let wrong: Vec<_> = differences.lines().filter(silent).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    cluster.psql(DATABASE, "CHECKPOINT")?;
    wait_until_garbage_known(cluster, DATABASE)?;
    assert_eq!(garbage_differences(cluster, DATABASE)?, "");
    assert_garbage_equal(cluster)?;
    change_again(cluster)?;
    assert_garbage_equal(cluster)
}

#[test]
fn a_base_backup_brings_the_map_as_it_was_then() -> Result<()> {
    let original = prepare()?;
    original.psql(
        DATABASE,
        "CREATE TABLE held AS SELECT generate_series(1, 1000) AS id; CHECKPOINT;
         BEGIN; DELETE FROM held WHERE id % 13 = 0; PREPARE TRANSACTION 'later'",
    )?;
    let mut copy = base_backup(&original)?;
    ensure!(snapshot(&copy).exists(), "the backup holds the map's file");
    // Both go on along the same timeline, in different ways.
    change_again(&original)?;
    original.psql(DATABASE, "CHECKPOINT; COMMIT PREPARED 'later'")?;
    start(&mut copy)?;
    assert_right_and_then_known(&copy)?;
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
    let mut copy = base_backup(&original)?;
    change_again(&original)?;
    original.psql(DATABASE, "CHECKPOINT")?;
    change_again(&original)?;
    original.psql(DATABASE, "SELECT pg_switch_wal()")?;
    let restore = format!("cp {}/%f %p", original.wal_directory().display());
    copy.configure([("restore_command", restore.as_str())])?;
    fs::write(copy.data_directory().join("recovery.signal"), "")?;
    copy.start()?;
    copy.wait_until_true(DATABASE, "SELECT NOT pg_is_in_recovery()", TIMEOUT)?;
    assert_right_and_then_known(&copy)?;
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
    let mut new = base_backup(&old)?;
    new.configure([("primary_conninfo", old.connection_string(DATABASE).as_str())])?;
    fs::write(new.data_directory().join("standby.signal"), "")?;
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
    assert_right_and_then_known(&new)?;

    // pg_rewind needs the settings only to recover, which a clean stop has spared it.
    let settings = fs::read(old.data_directory().join("postgresql.conf"))?;
    let mut rewind = new.program("pg_rewind")?;
    rewind.arg("--no-sync").arg("--source-server").arg(new.connection_string(DATABASE)).arg("--target-pgdata");
    rewind.arg(old.data_directory());
    run(rewind)?;
    fs::write(old.data_directory().join("postgresql.conf"), settings)?;
    old.configure([("primary_conninfo", new.connection_string(DATABASE).as_str())])?;
    // Once with the map that pg_rewind brings, once with the one from before, as if it had not been there to be replaced.
    for before in [false, true] {
        if before {
            let kept = snapshot(&old);
            fs::write(&kept, &undone)?;
        }
        fs::write(old.data_directory().join("standby.signal"), "")?;
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
    assert_right_and_then_known(&old)
}

/// Lets the worker's files grow to so many bytes only, as on a disk that is full.
fn limit_files(cluster: &Cluster, bytes: &str) -> Result<()> {
    let worker = cluster.background_workers("walker")?;
    let worker = worker.first().context("the worker runs")?;
    // The server's user may do so, with a process of its own.
    cluster.psql(DATABASE, &format!("COPY (SELECT) TO PROGRAM 'prlimit --pid {worker} --fsize={bytes}:'"))?;
    Ok(())
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
    limit_files(&cluster, "262144")?;
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
    limit_files(&cluster, "262144")?;
    let mark = cluster.log_mark()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.wait_for_log_since(mark, "plugin \"garbagemap\" could not keep its state", TIMEOUT)?;
    // There is room again.
    limit_files(&cluster, "unlimited")?;
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
