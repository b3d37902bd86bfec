//! Servers with tables of raw pages, whose changes and redo fail where they are asked to.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use walker_testing::{Cluster, ClusterBuilder, Installation, Session};

pub(crate) const DATABASE: &str = "postgres";
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// Kinds of faults, and what they say.
pub(crate) const KINDS: [(&str, &str); 3] = [
    ("panic", "a panic was asked for"),
    ("error", "resource manager with ID 240 not registered"),
    ("raise", "an ERROR was asked for"),
];
pub(crate) const CANCEL: (&str, &str) = ("cancel", "canceling statement due to user request");
/// What a table of raw pages is like.
pub(crate) const TABLES: &str = "CREATE EXTENSION wal_faults;
    CREATE TABLE pages () WITH (autovacuum_enabled = off);
    CREATE UNLOGGED TABLE unlogged () WITH (autovacuum_enabled = off);
    SELECT wal_faults_make('pages', 3), wal_faults_make('unlogged', 3);";

pub(crate) fn builder() -> Result<ClusterBuilder> {
    let settings = [
        ("shared_preload_libraries", "wal_faults"),
        ("autovacuum", "off"),
        ("wal_level", "logical"),
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "1h"),
    ];
    Ok(Cluster::builder(&Installation::for_tests()?).settings(settings))
}

pub(crate) fn start() -> Result<Cluster> {
    let cluster = builder()?.start()?;
    cluster.psql(DATABASE, TABLES)?;
    Ok(cluster)
}

pub(crate) fn counters(session: &mut Session, table: &str) -> Result<String> {
    session.execute(&format!("SELECT wal_faults_counters('{table}')"))
}

/// Runs what has to fail; returns what it says.
pub(crate) fn failure(session: &mut Session, sql: &str) -> Result<String> {
    match session.execute(sql) {
        Ok(answer) => bail!("no error, but {answer}: {sql}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// The session goes on as if nothing had happened, and nothing is locked.
pub(crate) fn assert_unharmed(session: &mut Session, other: &mut Session, table: &str) -> Result<()> {
    assert_eq!(session.execute("SELECT wal_faults_counts()")?, "0 0");
    let cancelled = failure(session, "SET statement_timeout = '10ms'; SELECT pg_sleep(60);");
    session.execute("RESET statement_timeout")?;
    ensure!(cancelled?.contains("due to statement timeout"));
    for block in 0..3 {
        let free = format!("SELECT wal_faults_try_lock('{table}', {block})");
        assert_eq!(session.execute(&free)?, "t");
        if !table.starts_with("temporary") {
            assert_eq!(other.execute(&free)?, "t");
        }
    }
    Ok(())
}

/// Nothing in the log tells of pins, locks or memory that were left.
pub(crate) fn assert_nothing_left(cluster: &Cluster) -> Result<()> {
    let log = cluster.log()?;
    for word in ["leak", "not closed", "TRAP", "is not held", "WARNING"] {
        ensure!(!log.contains(word), "{word}: {log}");
    }
    Ok(())
}

/// Makes the server's redo fail so, or not any more.
pub(crate) fn set_fault(cluster: &Cluster, step: &str, kind: &str) -> Result<()> {
    cluster.configure([("wal_faults.step", step), ("wal_faults.kind", kind)])
}

/// Starts a server that must not; returns its log.
pub(crate) fn fail_to_start(cluster: &mut Cluster) -> Result<String> {
    let mark = cluster.log_mark()?;
    ensure!(cluster.start().is_err(), "it has started");
    cluster.log_since(mark)
}
