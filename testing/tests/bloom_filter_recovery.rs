//! The extension bloom_filter after crashes, on standbys, and what it writes to the WAL.

mod filtered_table;

use anyhow::{Context as _, Result};
use filtered_table::{DATABASE, SETUP, assert_index_right, builder};
use pgwal::{DataPage, RmgrId};
use walker_testing::Cluster;
use walker_testing::wal_object::{CrashTest, StandbyTest, WalUsage, Workload};

fn workload() -> Workload {
    Workload::of_generic_wal()
        .setup(SETUP)
        .setup("SELECT fill(8000)")
        .operation("insert few", |_| "SELECT fill(3)".to_owned())
        .operation("insert many", |_| "SELECT fill(60)".to_owned())
        .operation("update", |turn| {
            format!("UPDATE t SET a = a + 1 WHERE id % 400 = {} AND id % 4 = {}", turn.random.u32(..400), turn.session)
        })
        .operation("delete", |turn| {
            format!("DELETE FROM t WHERE id % 100 = {} AND id % 4 = {}", turn.random.u32(..100), turn.session)
        })
        .maintenance("vacuum", |_| "VACUUM (TRUNCATE false, INDEX_CLEANUP on) t".to_owned())
        .maintenance("reindex", |_| "REINDEX INDEX CONCURRENTLY t_filter".to_owned())
        .roll_back_one_in(8)
        .expected_error("deadlock detected")
        .invariant("the index finds what the table holds", |server, _| assert_index_right(server))
        .digest("SELECT b, answer('b = ' || b, true) FROM generate_series(0, 50) b")
}

#[test]
fn after_crashes_the_index_is_right() -> Result<()> {
    let report = CrashTest::new(&workload()).run(builder()?)?;
    println!("{report}");
    Ok(())
}

#[test]
fn a_standby_has_the_same_pages_and_gives_the_same_answers() -> Result<()> {
    let test = |workload: &Workload| StandbyTest::new(workload).compare_pages("t_filter", |_, _| {}).run(builder()?);
    let report = test(&workload())?;
    println!("{report}");
    assert!(report.pages_compared > 20, "{report}");
    Ok(())
}

#[test]
fn an_unlogged_index_is_empty_after_a_crash_and_takes_rows() -> Result<()> {
    let mut cluster = builder()?.start()?;
    cluster.psql(DATABASE, SETUP)?;
    cluster.psql(DATABASE, "ALTER TABLE t SET UNLOGGED; SELECT fill(3000);")?;
    assert_index_right(&cluster).context("unlogged")?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.crash()?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*), pg_relation_size('t_filter') FROM t")?, "0|8192");
    cluster.psql(DATABASE, "SELECT fill(3000)")?;
    assert_index_right(&cluster).context("unlogged, after a crash")
}

#[test]
fn without_wal_an_index_is_right_after_a_crash() -> Result<()> {
    let minimal = [("wal_level", "minimal"), ("max_wal_senders", "0"), ("wal_skip_threshold", "0")];
    let mut cluster = builder()?.settings(minimal).start()?;
    // All of it in one transaction: files are synced at its end, instead of logged.
    cluster.psql(DATABASE, &format!("BEGIN; {SETUP}; SELECT fill(3000); COMMIT;"))?;
    cluster.crash()?;
    cluster.start()?;
    assert_index_right(&cluster)?;
    cluster.psql(DATABASE, "SELECT fill(3000)")?;
    cluster.crash()?;
    cluster.start()?;
    assert_index_right(&cluster)
}

/// As many rows as are inserted to be measured.
const ROWS: u64 = 20_000;

/// Bytes of WAL for each row that is inserted into a table with such an index on three columns, and the index's size afterwards.
fn cost(cluster: &Cluster, access_method: &str) -> Result<(f64, u64)> {
    cluster.psql(
        DATABASE,
        &format!(
            "CREATE EXTENSION {access_method}; CREATE TABLE {access_method}_table (a int, b int, c int);
             CREATE INDEX {access_method}_index ON {access_method}_table USING {access_method} (a, b, c);"
        ),
    )?;
    let usage = WalUsage::measure(cluster, DATABASE, |session| {
        let rows = format!("SELECT g, g / 3, g % 100 FROM generate_series(1, {ROWS}) g");
        session.execute(&format!("INSERT INTO {access_method}_table {rows}")).map(drop)
    })?;
    let volume = usage.of_rmgr(RmgrId::GENERIC).volume();
    let size = cluster.psql(DATABASE, &format!("SELECT pg_relation_size('{access_method}_index')"))?;
    println!("{access_method}: {volume}; {size} bytes in the end");
    Ok((volume.bytes as f64 / ROWS as f64, size.parse()?))
}

#[test]
fn it_is_no_larger_than_contribs_bloom_and_writes_less_wal() -> Result<()> {
    let cluster = builder()?.start()?;
    let (ours, theirs) = (cost(&cluster, "bloom_filter")?, cost(&cluster, "bloom")?);
    // A row has 16 bytes; the record's and the block's headers, 44; two changes with 4 bytes more each, and pd_lower.
    assert!(ours.0 <= 72.5, "{} bytes of WAL for a row", ours.0);
    assert!(ours.0 < theirs.0, "WAL of a row: {} bytes, bloom {}", ours.0, theirs.0);
    assert!(ours.1 <= theirs.1, "size: {} bytes, bloom {}", ours.1, theirs.1);
    Ok(())
}

#[test]
fn a_build_logs_each_page_once() -> Result<()> {
    let cluster = builder()?.start()?;
    let table = "CREATE EXTENSION bloom_filter; CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100000) g";
    cluster.psql(DATABASE, table)?;
    let usage = WalUsage::measure(&cluster, DATABASE, |session| {
        session.execute("CREATE INDEX t_filter ON t USING bloom_filter (a)").map(drop)
    })?;
    let volume = usage.of_rmgr(RmgrId::GENERIC).volume();
    let size: usize = cluster.psql(DATABASE, "SELECT pg_relation_size('t_filter')")?.parse()?;
    assert_eq!(volume.records, (size / DataPage::SIZE) as u64, "{volume}");
    Ok(())
}
