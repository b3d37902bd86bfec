//! `--jobs`: several threads come to what one thread comes to, also where the log is damaged.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Result, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, Installation, temporary_directory, walker};

const MAJOR: u32 = 15;

fn read(directory: &Path, range: [Lsn; 2], options: &[&str], jobs: &str) -> Result<Output> {
    let mut command = walker()?;
    command.args(options).args(["--jobs", jobs]).arg("--path").arg(directory);
    command.arg(format!("--start={}", range[0])).arg(format!("--end={}", range[1]));
    Ok(command.output()?)
}

/// That the same comes out; returns it.
fn compare(directory: &Path, range: [Lsn; 2], options: &[&str]) -> Result<Output> {
    let alone = read(directory, range, options, "1")?;
    for jobs in ["2", "3"] {
        let together = read(directory, range, options, jobs)?;
        let said = String::from_utf8_lossy(&together.stderr);
        ensure!(together.stdout == alone.stdout, "{options:?} --jobs={jobs}: not the same output ({said})");
        ensure!(together.stderr == alone.stderr, "{options:?} --jobs={jobs}: not the same messages: {said}");
        ensure!(together.status.code() == alone.status.code(), "{options:?} --jobs={jobs}: {}", together.status);
    }
    Ok(alone)
}

#[test]
fn several_threads_come_to_the_same() -> Result<()> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(MAJOR))?;
    let settings = [("autovacuum", "off"), ("wal_keep_size", "2GB"), ("fsync", "off")];
    let mut cluster = Cluster::builder(&installation).initdb_option("--wal-segsize=4").settings(settings).start()?;
    let start = cluster.flush_wal()?;
    // Records that begin in one piece and end two pieces later, a segment that ends early, and much else.
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY, words text); INSERT INTO t SELECT g, repeat('x', g % 99) FROM generate_series(1, 30000) g;
         SELECT pg_logical_emit_message(false, 'large', repeat('y', 5000000));
         UPDATE t SET words = words || 'z' WHERE id % 3 = 0; SELECT pg_switch_wal();
         DELETE FROM t WHERE id % 5 = 0; CREATE INDEX ON t (words); VACUUM t; CHECKPOINT;",
    )?;
    let end = cluster.flush_wal()?;
    ensure!(end.since(start) > 16_000_000, "the load is too small to be cut into pieces: {start} to {end}");
    cluster.stop(walker_testing::Mode::Fast)?;
    let (wal, range) = (cluster.wal_directory(), [start, end]);
    let all: [&[&str]; 8] = [
        &["dump"],
        &["dump", "--bkp-details"],
        &["dump", "--rmgr=Btree"],
        &["dump", "--stats=record"],
        &["stats"],
        &["stats", "--by=block-range", "--format=csv"],
        &["stats", "--by=transaction"],
        &["stats", "--fullpage", "--by=fork"],
    ];
    for options in all {
        let output = compare(&wal, range, options)?;
        ensure!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // From the middle of a record, to the middle of one, and over what is damaged.
    compare(&wal, [start.advanced(9), Lsn::new(end.get() - 5_000_003)], &["dump"])?;
    let copy = temporary_directory()?;
    let size = 4 * 1024 * 1024u32;
    for entry in fs::read_dir(&wal)? {
        let entry = entry?;
        if entry.path().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
    }
    let damaged = start.floor(size).advanced(u64::from(3 * size + 1_000_000));
    let name = pgwal::SegmentName::new(pgwal::TimelineId::new(1), pgwal::SegmentNo::of(damaged, size), size);
    let path = copy.path().join(name.to_string());
    let mut bytes = fs::read(&path)?;
    bytes[1_000_000] ^= 0x10;
    fs::write(&path, bytes)?;
    for options in [&["dump"][..], &["stats"], &["dump", "--skip-damage"]] {
        let output = compare(copy.path(), range, options)?;
        ensure!(output.status.code() == Some(1), "{options:?}: the damage was not seen");
    }
    Ok(())
}
