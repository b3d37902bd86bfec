//! Each resource manager has its callback, in the C struct and in its place there.

use std::time::Duration;

use anyhow::Result;
use walker_testing::{Cluster, Installation};

const TIMEOUT: Duration = Duration::from_secs(120);
const DATABASE: &str = "postgres";

/// Callbacks, and what pg_waldump calls their resource managers.
const NAMES: [(&str, &str); 23] = [
    ("xlog", "XLOG"),
    ("xact", "Transaction"),
    ("smgr", "Storage"),
    ("clog", "CLOG"),
    ("dbase", "Database"),
    ("tblspc", "Tablespace"),
    ("multixact", "MultiXact"),
    ("relmap", "RelMap"),
    ("standby", "Standby"),
    ("heap2", "Heap2"),
    ("heap", "Heap"),
    ("btree", "Btree"),
    ("hash", "Hash"),
    ("gin", "Gin"),
    ("gist", "Gist"),
    ("seq", "Sequence"),
    ("spgist", "SPGist"),
    ("brin", "BRIN"),
    ("commit_ts", "CommitTs"),
    ("replorigin", "ReplicationOrigin"),
    ("generic", "Generic"),
    ("logicalmsg", "LogicalMessage"),
    ("custom", "custom128"),
];

#[test]
fn each_resource_manager_has_a_callback_that_gets_all_its_records() -> Result<()> {
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .settings([("shared_preload_libraries", "walker, custom_rmgr"), ("walker.plugins", "every_callback")])
        .settings([("autovacuum", "off"), ("track_commit_timestamp", "on"), ("allow_in_place_tablespaces", "on")])
        // pg_waldump is asked for all of it.
        .setting("wal_keep_size", "1GB")
        .start()?;
    cluster.wait_for_log("walker: walking over WAL", TIMEOUT)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    cluster.psql(DATABASE, include_str!("callbacks/every_rmgr.sql"))?;
    let bloom = cluster.psql(DATABASE, "SELECT count(*) FROM pg_available_extensions WHERE name = 'bloom'")? == "1";
    if bloom {
        cluster.psql(DATABASE, include_str!("regression/bloom.sql"))?;
    }
    let counted = cluster.ask_counting_plugin("every_callback")?;
    let (counts, expected) = (counted.counts, cluster.count_by_pg_waldump(counted.from, counted.to)?);
    for (callback, rmgr) in NAMES {
        let theirs = expected.get(rmgr).copied().unwrap_or_default();
        assert_eq!(counts[callback], theirs, "{callback}");
        assert!(theirs > 0 || rmgr == "Generic" && !bloom, "the load has nothing of {rmgr}");
    }
    assert_eq!(counts.values().sum::<u64>(), expected["Total"]);
    Ok(())
}
