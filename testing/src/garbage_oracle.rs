//! The garbage map against those who read the tables: pgstattuple, pageinspect and pg_visibility.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::builder::ClusterBuilder;
use crate::cluster::Cluster;
use crate::garbage_load::change_again;
use crate::installation::Installation;
use crate::poll::poll;
use crate::session::Session;

/// A server whose worker keeps the garbage map.
///
/// # Errors
/// If there is no PostgreSQL to test with.
pub fn garbagemap_cluster() -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "walker")
        .setting("walker.plugins", "garbagemap")
        .setting("autovacuum", "off")
        .setting("max_prepared_transactions", "10")
        // A test that waits for itself is to fail.
        .setting("lock_timeout", "30s"))
}

/// Starts the server, waits until its worker walks, and makes the extensions in database postgres.
///
/// # Errors
/// If one of that fails.
pub fn start_garbagemap(builder: ClusterBuilder) -> Result<Cluster> {
    let cluster = builder.start()?;
    cluster.wait_for_log("walker: walking over WAL", TIMEOUT)?;
    cluster.psql("postgres", CREATE_GARBAGE_EXTENSIONS)?;
    Ok(cluster)
}

/// Makes the extensions that ask the map, and those that it is compared with.
pub const CREATE_GARBAGE_EXTENSIONS: &str = "CREATE EXTENSION garbagemap; CREATE EXTENSION pgstattuple;
     CREATE EXTENSION pageinspect; CREATE EXTENSION pg_visibility;";

/// Tables of the database that were created by a test, and their TOAST tables.
const TABLES: &str = "SELECT oid::regclass FROM pg_class c WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p'
     AND oid >= 16384 AND relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace) ORDER BY 1";

/// Dead tuples of each table and, block by block, tuples, free bytes and all-visible, as both sides have them.
fn compare(cluster: &Cluster) -> Result<Vec<Compared>> {
    cluster.at_a_quiet_moment("postgres", |session, _| {
        let tables = session.execute(TABLES)?;
        tables.lines().map(|table| Compared::read(session, table)).collect()
    })
}

#[derive(Debug)]
struct Compared {
    #[allow(dead_code)] // for the message of a failure
    table: String,
    /// Dead tuples, then bytes free, as WALker and as pgstattuple have them.
    walker: String,
    oracle: String,
    /// Block, then WALker's and PostgreSQL's tuples, free bytes, all-visible: those that differ.
    blocks: String,
}

impl Compared {
    fn read(session: &mut Session, table: &str) -> Result<Self> {
        // One row for each block.
        session.execute("SET garbagemap.summary_size = 1")?;
        let walker = session.execute(&format!(
            "SELECT coalesce(sum(n_dead_tuples), 0), coalesce(sum(n_tuples - n_dead_tuples), 0),
                    count(*) FILTER (WHERE known_blocks = 0), max(inexact)
             FROM garbage_summary('{table}')"
        ))?;
        let oracle = session
            .execute(&format!("SELECT dead_tuple_count, tuple_count, 0, NULL FROM pgstattuple('{table}'::regclass)"))?;
        let blocks = session.execute(&format!(
            "SELECT * FROM (
               SELECT rangeno, n_tuples, freespace, n_all_visible,
                 (SELECT count(*) FILTER (WHERE lp_flags = 1) FROM heap_page_items(page)) AS tuples,
                 CASE WHEN upper = 0 THEN 0 ELSE greatest(upper - lower - 4, 0) END AS free,
                 (SELECT all_visible::int FROM pg_visibility_map('{table}'::regclass, rangeno)) AS all_visible
               FROM garbage_summary('{table}'), get_raw_page('{table}', rangeno) AS page, page_header(page)
             ) AS block
             WHERE (n_tuples, freespace, n_all_visible) IS DISTINCT FROM (tuples, free, all_visible) LIMIT 5"
        ))?;
        Ok(Self { table: table.to_owned(), walker, oracle, blocks })
    }
}

/// Compares the garbage map of each table of database postgres that was created since initdb, and of its TOAST table, with
/// what pgstattuple, pageinspect and pg_visibility find by reading it: dead tuples in all, and tuples, free bytes and
/// all-visible block by block. All blocks must be known and exact.
///
/// # Errors
/// If one of both sides does not answer.
///
/// # Panics
/// If they differ, or there is no table.
pub fn assert_garbage_equal(cluster: &Cluster) -> Result<()> {
    let tables = compare(cluster)?;
    assert!(!tables.is_empty());
    for compared in &tables {
        assert_eq!(compared.walker, compared.oracle, "{compared:#?}");
        assert_eq!(compared.blocks, "", "{compared:#?}");
    }
    Ok(())
}

/// Long enough to read all that a test has from its files.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until each block of each table of the database is known, catalogs too.
///
/// # Errors
/// If some are not after two minutes.
pub fn wait_until_garbage_known(cluster: &Cluster, database: &str) -> Result<()> {
    let unknown = "SELECT coalesce(sum(n_blocks - known_blocks), 0) FROM pg_class c, garbage_summary(c.oid::regclass)
                   WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p'";
    let known = poll(TIMEOUT, || Ok((cluster.psql(database, unknown)?.trim() == "0").then_some(())))?;
    ensure!(known.is_some(), "still unknown: {}", cluster.psql(database, unknown)?);
    Ok(())
}

/// Every table of the database, catalogs too: those whose dead tuples differ from pgstattuple's, or are not known or not
/// exact. A line for each: name, dead tuples, tuples, unknown blocks, why the numbers are not exact; then pgstattuple's
/// dead and live tuples.
///
/// # Errors
/// If one of both sides does not answer.
pub fn garbage_differences(cluster: &Cluster, database: &str) -> Result<String> {
    cluster.at_a_quiet_moment(database, |session, _| {
        session.execute(
            "SELECT c.oid::regclass, s.*, d.dead_tuple_count, d.tuple_count FROM pg_class c,
                 LATERAL (SELECT coalesce(sum(n_dead_tuples), 0) AS dead, coalesce(sum(n_tuples), 0) AS tuples,
                              coalesce(sum(n_blocks - known_blocks), 0) AS unknown, max(inexact) AS inexact
                          FROM garbage_summary(c.oid::regclass)) AS s,
                 LATERAL pgstattuple(c.oid::regclass) AS d
             WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p'
                 AND (s.dead, s.tuples - s.dead, s.unknown, s.inexact)
                     IS DISTINCT FROM (d.dead_tuple_count, d.tuple_count, 0, NULL)",
        )
    })
}

/// Nothing that the map of database postgres says to be exact is wrong.
///
/// # Errors
/// If one of both sides does not answer.
///
/// # Panics
/// If something is wrong.
pub fn assert_garbage_right(cluster: &Cluster) -> Result<()> {
    let differences = garbage_differences(cluster, "postgres")?;
    let columns = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
    let silent = |line: &&str| columns(line)[3] == "0" && columns(line)[4].is_empty();
    let wrong: Vec<_> = differences.lines().filter(silent).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

/// Nothing that the map of database postgres says to be exact is wrong. Once files may be read, all is known and right, and
/// stays so when the tables of [`every_kind_of_change`](crate::every_kind_of_change) are changed.
///
/// # Errors
/// If one of both sides does not answer, or the files are not read.
///
/// # Panics
/// If something is wrong.
pub fn assert_garbage_right_and_then_known(cluster: &Cluster) -> Result<()> {
    assert_garbage_right(cluster)?;
    cluster.psql("postgres", "CHECKPOINT")?;
    wait_until_garbage_known(cluster, "postgres")?;
    assert_eq!(garbage_differences(cluster, "postgres")?, "");
    assert_garbage_equal(cluster)?;
    change_again(cluster)?;
    assert_garbage_equal(cluster)
}
