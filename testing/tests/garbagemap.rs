//! The garbage map in a real server, compared with pgstattuple and pageinspect, which read the tables.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use walker_testing::{
    Cluster, ClusterBuilder, Installation, Mode, assert_garbage_equal, change_again, every_kind_of_change,
    garbagemap_cluster, start_garbagemap,
};

const TIMEOUT: Duration = Duration::from_secs(60);

fn builder() -> Result<ClusterBuilder> {
    // After a checkpoint the next change of each page is an image: let there be some.
    Ok(garbagemap_cluster()?.setting("checkpoint_timeout", "30s"))
}

/// With checksums, which are the default from 18 on, reading alone writes pages to the WAL.
fn without_checksums() -> Result<ClusterBuilder> {
    let by_default = Installation::for_tests()?.version().major >= 18;
    let builder = builder()?;
    Ok(if by_default { builder.initdb_option("--no-data-checksums") } else { builder })
}

fn dead_tuples(cluster: &Cluster, table: &str) -> Result<u64> {
    cluster.at_a_quiet_moment("postgres", |session, _| {
        let sum = session.execute(&format!("SELECT sum(n_dead_tuples) FROM garbage_summary('{table}')"))?;
        sum.parse().with_context(|| sum.clone())
    })
}

#[test]
fn an_insert_is_garbage_only_if_it_is_rolled_back() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")?;
    assert_eq!(dead_tuples(&cluster, "t")?, 0);
    cluster.psql("postgres", "BEGIN; INSERT INTO t SELECT generate_series(1, 500); ROLLBACK")?;
    assert_eq!(dead_tuples(&cluster, "t")?, 500);
    assert_garbage_equal(&cluster)
}

#[test]
fn a_delete_is_garbage_only_once_it_is_committed() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")?;
    let mut open = cluster.session("postgres")?;
    open.execute("BEGIN; DELETE FROM t WHERE id <= 400")?;
    assert_eq!(dead_tuples(&cluster, "t")?, 0);
    assert_garbage_equal(&cluster)?;
    open.execute("COMMIT")?;
    assert_eq!(dead_tuples(&cluster, "t")?, 400);
    assert_garbage_equal(&cluster)
}

#[test]
fn subtransactions_count_by_their_own_end() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        "postgres",
        "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id;
         BEGIN; DELETE FROM t WHERE id <= 100; SAVEPOINT a; DELETE FROM t WHERE id BETWEEN 101 AND 300;
         SAVEPOINT b; DELETE FROM t WHERE id BETWEEN 301 AND 350; RELEASE b; ROLLBACK TO a;
         INSERT INTO t SELECT generate_series(1, 7); SAVEPOINT c; INSERT INTO t SELECT generate_series(1, 11);
         ROLLBACK TO c; COMMIT;",
    )?;
    assert_eq!(dead_tuples(&cluster, "t")?, 111);
    assert_garbage_equal(&cluster)
}

#[test]
fn a_prepared_transaction_counts_when_it_ends_even_after_a_crash() -> Result<()> {
    let mut cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        "postgres",
        "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id;
         BEGIN; DELETE FROM t WHERE id <= 100; PREPARE TRANSACTION 'later';",
    )?;
    assert_eq!(dead_tuples(&cluster, "t")?, 0);
    cluster.psql("postgres", "COMMIT PREPARED 'later'")?;
    assert_eq!(dead_tuples(&cluster, "t")?, 100);
    assert_garbage_equal(&cluster)?;
    cluster.crash()?;
    cluster.start()
}

#[test]
fn every_kind_of_change_is_counted_as_pgstattuple_counts_it() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    every_kind_of_change(&cluster)?;
    assert_garbage_equal(&cluster)?;
    // The same once more: now pages are settled, and come back with images.
    cluster.psql("postgres", "CHECKPOINT")?;
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    cluster.psql(
        "postgres",
        "CHECKPOINT; VACUUM hot; VACUUM wide; VACUUM plain; VACUUM FULL plain; CLUSTER hot USING hot_pkey",
    )?;
    assert_garbage_equal(&cluster)?;
    cluster.psql("postgres", "CHECKPOINT; VACUUM FREEZE hot, wide; TRUNCATE plain; DELETE FROM wide; VACUUM wide")?;
    assert_garbage_equal(&cluster)
}

#[test]
fn concurrent_sessions_leave_what_pgstattuple_finds() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.pgbench(["--initialize", "--scale=1", "--quiet"])?;
    for round in 1..=3 {
        cluster.pgbench(["--client=4", "--jobs=2", "--transactions=500", &format!("--random-seed={round}")])?;
        cluster.psql("postgres", if round == 2 { "CHECKPOINT" } else { "VACUUM pgbench_branches" })?;
        assert_garbage_equal(&cluster)?;
    }
    Ok(())
}

/// Each transaction does one of several things to random rows: rolls back, rolls back to a savepoint, locks for a
/// foreign key, deletes, updates.
const MIXED_TRANSACTIONS: &str = "
\\set aid random(1, 20000)
\\set kind random(1, 10)
\\if :kind < 3
BEGIN; UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid; ROLLBACK;
\\elif :kind < 5
BEGIN; SAVEPOINT a; DELETE FROM pgbench_accounts WHERE aid = :aid; ROLLBACK TO a;
UPDATE pgbench_accounts SET filler = 'x' WHERE aid = :aid; END;
\\elif :kind < 6
BEGIN; SELECT abalance FROM pgbench_accounts WHERE aid = :aid FOR KEY SHARE;
INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (1, 1, :aid, 1); END;
\\elif :kind < 7
DELETE FROM pgbench_history WHERE ctid = (SELECT ctid FROM pgbench_history LIMIT 1 OFFSET :kind);
\\else
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = :kind;
\\endif
";

#[test]
fn transactions_of_all_kinds_beside_autovacuum_and_checkpoints_leave_what_pgstattuple_finds() -> Result<()> {
    let cluster = start_garbagemap(
        builder()?
            .setting("autovacuum", "on")
            .setting("autovacuum_naptime", "1s")
            .setting("autovacuum_vacuum_threshold", "50")
            .setting("autovacuum_vacuum_scale_factor", "0.01")
            .setting("synchronous_commit", "off"),
    )?;
    cluster.pgbench(["--initialize", "--scale=1", "--quiet"])?;
    let directory = walker_testing::temporary_directory()?;
    let script = directory.path().join("mixed.sql");
    std::fs::write(&script, MIXED_TRANSACTIONS)?;
    let script = format!("--file={}", script.display());
    for round in 1..=3 {
        let seed = format!("--random-seed={round}");
        cluster.pgbench(["--no-vacuum", "--client=4", "--jobs=2", "--transactions=3000", &seed, &script])?;
        cluster.psql("postgres", "CHECKPOINT")?;
    }
    cluster.psql("postgres", "ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()")?;
    let running = "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'";
    cluster.wait_until_true("postgres", running, TIMEOUT)?;
    assert_garbage_equal(&cluster)
}

#[test]
fn compressed_images_and_checksums_change_nothing() -> Result<()> {
    let installation = Installation::for_tests()?;
    let configured = installation.configured()?;
    for compression in ["pglz", "lz4", "zstd"] {
        // Not all are built with all of them.
        if compression != "pglz" && !configured.contains(&format!("--with-{compression}")) {
            continue;
        }
        let cluster = start_garbagemap(builder()?.setting("wal_compression", compression).data_checksums())?;
        every_kind_of_change(&cluster)?;
        cluster.psql("postgres", "CHECKPOINT")?;
        change_again(&cluster)?;
        assert_garbage_equal(&cluster)?;
    }
    Ok(())
}

#[test]
fn a_table_from_before_the_walk_says_which_blocks_are_known() -> Result<()> {
    let mut cluster = start_garbagemap(without_checksums()?.setting("garbagemap.baseline_rate", "0"))?;
    cluster.psql("postgres", "CREATE TABLE old AS SELECT generate_series(1, 10000) AS id")?;
    cluster.stop(Mode::Fast)?;
    // As if the worker had not been there.
    fs::remove_dir_all(cluster.data_directory().join("walker"))?;
    cluster.start()?;
    cluster.psql("postgres", "CHECKPOINT; DELETE FROM old WHERE id = 1")?;
    let summary = cluster.at_a_quiet_moment("postgres", |session, _| {
        session.execute("SELECT n_dead_tuples, known_blocks, n_blocks > 40, inexact FROM garbage_summary('old')")
    })?;
    assert_eq!(summary, "1|1|t|");
    let unknown = cluster.at_a_quiet_moment("postgres", |session, _| {
        session.execute("SET garbagemap.summary_size = 1")?;
        session.execute(
            "SELECT n_tuples, n_dead_tuples, freespace, known_blocks FROM garbage_summary('old') OFFSET 5 LIMIT 1",
        )
    })?;
    assert_eq!(unknown, "|||0");
    Ok(())
}

#[test]
fn transactions_from_before_the_walk_are_looked_up_in_the_server() -> Result<()> {
    let mut cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        "postgres",
        "CREATE TABLE old (id int PRIMARY KEY, v text) WITH (fillfactor = 50);
         INSERT INTO old SELECT g, repeat('x', 100) FROM generate_series(1, 3000) g;
         BEGIN; INSERT INTO old SELECT g, 'never' FROM generate_series(9001, 9020) g; ROLLBACK;
         INSERT INTO old SELECT g, repeat('x', 100) FROM generate_series(3001, 3200) g;
         UPDATE old SET v = 'y' WHERE id % 7 = 1; BEGIN; DELETE FROM old WHERE id % 5 = 1; ROLLBACK;
         DELETE FROM old WHERE id % 11 = 1; BEGIN; DELETE FROM old WHERE id % 13 = 1 AND id % 9 <> 1; PREPARE TRANSACTION 'later';",
    )?;
    // Rows that one locks and another updates have a set of transactions.
    let mut locks = cluster.session("postgres")?;
    locks.execute("BEGIN; SELECT count(*) FROM (SELECT id FROM old WHERE id % 9 = 1 FOR KEY SHARE) AS s")?;
    cluster.psql("postgres", "UPDATE old SET v = 'z' WHERE id % 9 = 1")?;
    locks.execute("COMMIT")?;
    cluster.crash()?;
    // As if the worker had not been there.
    fs::remove_dir_all(cluster.data_directory().join("walker"))?;
    cluster.start()?;
    // One row of each page, found without looking at the others, which would leave hints on them.
    cluster.psql(
        "postgres",
        "CHECKPOINT; SET enable_seqscan = off; SET enable_bitmapscan = off;
         DELETE FROM old WHERE id IN (SELECT g * 10 FROM generate_series(1, 320) g WHERE g * 10 % 13 <> 1);",
    )?;
    assert_garbage_equal(&cluster)?;
    cluster.psql("postgres", "COMMIT PREPARED 'later'")?;
    assert_garbage_equal(&cluster)
}

#[test]
fn what_the_wal_does_not_tell_is_not_told() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql("postgres", "CREATE UNLOGGED TABLE u AS SELECT 1; CREATE TABLE p (a int) PARTITION BY LIST (a)")?;
    let answer = cluster.psql("postgres", "SELECT n_tuples, known_blocks, inexact FROM garbage_summary('u')")?;
    assert_eq!(answer, "|0|unlogged and temporary tables are not in the WAL");
    let error = cluster.psql("postgres", "SELECT * FROM garbage_summary('p')").unwrap_err();
    assert!(format!("{error:#}").contains("is a partitioned table"), "{error:#}");
    cluster.psql("postgres", "CREATE SEQUENCE s")?;
    let error = cluster.psql("postgres", "SELECT * FROM garbage_summary('s')").unwrap_err();
    assert!(format!("{error:#}").contains("\"s\" is not a table"), "{error:#}");
    Ok(())
}

#[test]
fn what_does_not_fit_into_memory_is_said_and_dead_tuples_come_last() -> Result<()> {
    // Only the checkpoints that are told.
    let cluster = start_garbagemap(
        without_checksums()?.setting("garbagemap.max_memory", "1MB").setting("checkpoint_timeout", "1h"),
    )?;
    // More pages than fit, until they are settled.
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int, v text) WITH (fillfactor = 10); ALTER TABLE t ALTER v SET STORAGE PLAIN;
         INSERT INTO t SELECT g, repeat('x', 300 + g * 7 % 100) FROM generate_series(1, 20000) g;",
    )?;
    let rows = "SELECT sum(n_dead_tuples), sum(n_tuples), sum(known_blocks) = sum(n_blocks), max(inexact) FROM garbage_summary('t')";
    let given_up = cluster.at_a_quiet_moment("postgres", |session, _| session.execute(rows))?;
    assert!(given_up.contains("|f|blocks were given up to save memory (garbagemap.max_memory)"), "{given_up}");
    // They are read again from the file.
    cluster.psql("postgres", "CHECKPOINT")?;
    cluster.wait_until_true(
        "postgres",
        &format!("SELECT known AND inexact IS NULL FROM ({rows}) AS t (dead, tuples, known, inexact)"),
        TIMEOUT,
    )?;
    cluster.psql("postgres", "DELETE FROM t WHERE id % 500 = 3")?;
    let all = cluster.at_a_quiet_moment("postgres", |session, _| session.execute(rows))?;
    let oracle = cluster
        .psql("postgres", "SELECT dead_tuple_count, tuple_count + dead_tuple_count, true FROM pgstattuple('t')")?;
    assert_eq!(all, format!("{}|", oracle.trim()));
    Ok(())
}

#[test]
fn a_checkpoint_logs_where_dead_tuples_are() -> Result<()> {
    let cluster =
        start_garbagemap(builder()?.setting("garbagemap.log_level", "log").setting("garbagemap.summary_size", "8"))?;
    // 226 rows fill a block.
    cluster.psql(
        "postgres",
        "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 226 * 40) g;
         DELETE FROM t WHERE id BETWEEN 226 * 16 + 1 AND 226 * 16 + 100; CHECKPOINT;",
    )?;
    assert_eq!(cluster.psql("postgres", "SHOW garbagemap.log_level")?.trim(), "log");
    let file = cluster.psql("postgres", "SELECT relfilenode FROM pg_class WHERE relname = 't'")?;
    cluster.wait_for_log(&format!(",{}) garbagemap (0:2, 100, 0:2)", file.trim()), TIMEOUT)?;
    Ok(())
}

#[test]
fn ranks_are_by_dead_tuples_and_add_up_to_all() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        "postgres",
        "CREATE TABLE t AS SELECT g AS id, repeat('x', 100) AS v FROM generate_series(1, 20000) g;
         DELETE FROM t WHERE id BETWEEN 5000 AND 9000 OR id % 10 = 0;",
    )?;
    let rows = cluster.at_a_quiet_moment("postgres", |session, _| {
        session.execute("SET garbagemap.summary_size = 32")?;
        session.execute(
            "SELECT array_agg(n_dead_tuples ORDER BY rownum) = array_agg(n_dead_tuples ORDER BY n_dead_tuples DESC),
                    max(percent), bool_and(n_tuples = 0 OR dead_tuple_ratio = round(n_dead_tuples::numeric / nullif(n_tuples, 0), 4)),
                    min(percent_blocks), max(percent_blocks), count(*) = ceil(pg_relation_size('t') / 8192.0 / 32)
             FROM gs_rank('t')",
        )
    })?;
    assert_eq!(rows, "t|100.0000|t|0.0000|100.0000|t");
    Ok(())
}
