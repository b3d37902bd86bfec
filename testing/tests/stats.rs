//! `walker stats` counts what `pg_waldump --stats` counts.

use std::fs::{self, OpenOptions};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt as _;
use std::process::Output;

use anyhow::{Result, ensure};
use pgwal::{DEFAULT_SEGMENT_SIZE, SegmentName, SegmentNo, TimelineId};
use walker_testing::{Cluster, Installation, temporary_directory, walker};

/// The major version that is taken if none is named.
const MAJOR: u32 = 15;
/// Before 15, the statistics do not say what they are of.
const MAJORS: RangeInclusive<u32> = MAJOR..=18;

const LOAD: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int);
    INSERT INTO t SELECT g, 0 FROM generate_series(1, 5000) g;
    CHECKPOINT;
    UPDATE t SET n = 1 WHERE id % 3 = 0;
    DELETE FROM t WHERE id % 5 = 0;
    BEGIN; INSERT INTO t VALUES (100000); SAVEPOINT s; INSERT INTO t VALUES (100001); PREPARE TRANSACTION 'x';
    COMMIT PREPARED 'x';
    COPY t (id) FROM PROGRAM 'seq 200000 202000';
    VACUUM t;
    CREATE SEQUENCE s; SELECT nextval('s');
    TRUNCATE t;
    DROP TABLE t;";

fn text(output: Output) -> Result<String> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A cluster that keeps all of its WAL, or none where the tests run with another major version.
fn cluster() -> Result<Option<Cluster>> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(MAJOR))?;
    if !MAJORS.contains(&installation.version().major) {
        eprintln!("skipped: the table is that of PostgreSQL {MAJORS:?}");
        return Ok(None);
    }
    let settings = [("autovacuum", "off"), ("wal_keep_size", "2GB"), ("max_prepared_transactions", "10")];
    Cluster::builder(&installation).settings(settings).start().map(Some)
}

#[test]
fn the_numbers_are_those_of_pg_waldump() -> Result<()> {
    let Some(cluster) = cluster()? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", LOAD)?;
    let end = cluster.flush_wal()?;
    let range = [format!("--start={start}"), format!("--end={end}")];
    let path = cluster.wal_directory();
    let ours = |options: &[&str]| -> Result<String> {
        text(walker()?.arg("stats").args(&range).args(options).arg("--path").arg(&path).output()?)
    };
    let theirs = |options: &[&str]| -> Result<String> {
        text(cluster.program("pg_waldump")?.args(&range).args(options).arg("--path").arg(&path).output()?)
    };

    assert_eq!(ours(&[])?, theirs(&["--stats"])?);
    assert_eq!(ours(&["--rmgr=Heap", "--limit=5"])?, theirs(&["--stats", "--rmgr=Heap", "--limit=5"])?);
    assert_eq!(ours(&["--xid=1"])?, theirs(&["--stats", "--xid=1"])?);

    let rows = theirs(&["--stats=record"])?;
    assert!(rows.contains("Transaction/COMMIT_PREPARED") && rows.contains("Btree/SPLIT_R"));
    assert_eq!(ours(&["--per-record"])?, rows);

    let json = ours(&["--format", "json"])?;
    assert!(json.contains(&format!("\"start\": \"{start}\"")), "{json}");
    Ok(())
}

#[test]
fn what_was_counted_before_damage_is_shown() -> Result<()> {
    let Some(cluster) = cluster()? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")?;
    let end = cluster.flush_wal()?;
    let damaged = start.advanced(end.since(start) / 2);
    let name = SegmentName::new(TimelineId::new(1), SegmentNo::of(damaged, DEFAULT_SEGMENT_SIZE), DEFAULT_SEGMENT_SIZE);
    let directory = temporary_directory()?;
    let copy = directory.path().join(name.to_string());
    fs::copy(cluster.wal_directory().join(name.to_string()), &copy)?;
    let file = OpenOptions::new().write(true).open(&copy)?;
    file.write_all_at(&[0xFF; 16], u64::from(damaged.offset_in(DEFAULT_SEGMENT_SIZE)))?;

    let options = [format!("--start={start}"), format!("--end={end}"), "--path".to_owned()];
    let ours = walker()?.arg("stats").args(&options).arg(directory.path()).output()?;
    let theirs = cluster.program("pg_waldump")?.arg("--stats").args(&options).arg(directory.path()).output()?;
    assert_eq!((ours.status.code(), theirs.status.code()), (Some(1), Some(1)));
    assert_eq!(String::from_utf8(ours.stdout)?, String::from_utf8(theirs.stdout)?);
    let message = String::from_utf8(ours.stderr)?;
    assert!(message.starts_with("walker: error: could not read WAL: "), "{message}");
    assert!(message.contains(&name.to_string()), "{message}");
    Ok(())
}
