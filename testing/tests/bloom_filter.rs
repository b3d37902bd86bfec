//! The extension bloom_filter in SQL: what an index finds is what a sequential scan finds, whatever happened to the table before.
//! What happens to the server is in `bloom_filter_recovery.rs`.

mod filtered_table;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use filtered_table::{DATABASE, SETUP, assert_index_right, builder};
use walker_testing::{Cluster, Mode, Session};

const TIMEOUT: Duration = Duration::from_secs(120);

fn start() -> Result<Cluster> {
    let cluster = builder()?.start()?;
    cluster.psql(DATABASE, SETUP)?;
    Ok(cluster)
}

/// What the server says to SQL that fails.
fn error(cluster: &Cluster, sql: &str) -> String {
    format!("{:#}", cluster.psql(DATABASE, sql).unwrap_err())
}

fn number(cluster: &Cluster, query: &str) -> Result<f64> {
    let answer = cluster.psql(DATABASE, query)?;
    answer.parse().with_context(|| format!("{query}: {answer}"))
}

/// Sends each session the statements at once, and waits for all.
fn at_once(cluster: &Cluster, statements: &[String]) -> Result<()> {
    let mut sessions = statements.iter().map(|_| cluster.session(DATABASE)).collect::<Result<Vec<Session>>>()?;
    for (session, statement) in sessions.iter_mut().zip(statements) {
        session.send(statement)?;
    }
    sessions.iter_mut().try_for_each(|session| session.wait(TIMEOUT).map(drop))
}

#[test]
fn queries_are_answered_as_by_sequential_scans() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "SELECT fill(20000)")?;
    assert_index_right(&cluster).context("after inserts")?;
    cluster.psql(DATABASE, "UPDATE t SET c = 'new' || a WHERE id % 5 = 0; DELETE FROM t WHERE id % 7 = 0;")?;
    assert_index_right(&cluster).context("after updates and deletes")?;
    cluster.psql(DATABASE, "VACUUM t")?;
    assert_index_right(&cluster).context("after VACUUM")?;
    cluster.psql(DATABASE, "SELECT fill(5000)")?;
    assert_index_right(&cluster).context("after pages were filled again")?;
    cluster.psql(DATABASE, "REINDEX INDEX t_filter")?;
    assert_index_right(&cluster).context("after REINDEX")?;
    cluster.psql(DATABASE, "REINDEX INDEX CONCURRENTLY t_filter")?;
    assert_index_right(&cluster).context("after REINDEX CONCURRENTLY")?;
    cluster
        .psql(DATABASE, "DELETE FROM t WHERE id % 2 = 0; VACUUM (PARALLEL 2, INDEX_CLEANUP on) t; VACUUM FULL t;")?;
    assert_index_right(&cluster).context("after VACUUM FULL")
}

#[test]
fn nulls_are_found_by_no_condition_and_kept_for_those_without() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "SET enable_seqscan = off;
         INSERT INTO t (id, a) VALUES (1, 1), (2, NULL); INSERT INTO t (id) VALUES (3);
         CREATE INDEX t_partial ON t USING bloom_filter (a) WHERE id > 1;",
    )?;
    let by_null = "SET enable_seqscan = off; SELECT count(*) FROM (VALUES (NULL::int), (1)) v (a) JOIN t ON t.a = v.a";
    assert_eq!(
        cluster.psql(DATABASE, &format!("SET enable_hashjoin = off; SET enable_mergejoin = off; {by_null}"))?,
        "1"
    );
    // The partial index is read as a whole, without a key.
    let all = "SET enable_seqscan = off; EXPLAIN (COSTS off) SELECT id FROM t WHERE id > 1";
    assert!(cluster.psql(DATABASE, all)?.contains("Bitmap Index Scan on t_partial"));
    let all = "SET enable_seqscan = off; SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE id > 1";
    assert_eq!(cluster.psql(DATABASE, all)?, "2 3");
    Ok(())
}

#[test]
fn values_of_different_types_are_compared() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE n AS SELECT g::int2 AS a, g::int4 AS b, g::int8 AS c, g::float4 AS d, g::float8 AS e, g::varchar AS f
             FROM generate_series(-2000, 2000) g;
         CREATE INDEX n_filter ON n USING bloom_filter (a, b, c, d, e, f) WITH (length = 200);",
    )?;
    let types = ["int2", "int4", "int8"];
    let integers = ["a", "b", "c"].into_iter().flat_map(|column| types.map(|name| format!("{column} = {name} '-7'")));
    let floats =
        ["d", "e"].into_iter().flat_map(|column| ["float4", "float8"].map(|name| format!("{column} = {name} '-7'")));
    for condition in integers.chain(floats).chain(["f = '-7'".to_owned(), "c = -7 AND a = -7 AND e = -7".to_owned()]) {
        let query = format!("SELECT count(*), min(b) FROM n WHERE {condition}");
        let plan = cluster.psql(DATABASE, &format!("SET enable_seqscan = off; EXPLAIN {query}"))?;
        assert!(plan.contains("Bitmap Index Scan on n_filter"), "{condition}: {plan}");
        assert_eq!(cluster.psql(DATABASE, &format!("SET enable_seqscan = off; {query}"))?, "1|-7", "{condition}");
    }
    Ok(())
}

#[test]
fn the_planner_uses_it_where_it_is_worth_it() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "SELECT fill(50000); VACUUM ANALYZE t;")?;
    let plan = cluster.psql(DATABASE, "EXPLAIN (COSTS off) SELECT * FROM t WHERE b = 3 AND d = md5('5')::uuid")?;
    assert!(plan.contains("Bitmap Index Scan on t_filter"), "{plan}");
    let plan = cluster.psql(DATABASE, "EXPLAIN (COSTS off) SELECT * FROM t WHERE a > 3 ORDER BY a")?;
    assert!(!plan.contains("t_filter"), "{plan}");
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 't_filter'";
    cluster.psql(DATABASE, "SET enable_seqscan = off; SELECT count(*) FROM t WHERE a = 5;")?;
    cluster.wait_until_true(DATABASE, &format!("SELECT ({scans}) = 1"), TIMEOUT)
}

#[test]
fn as_many_rows_are_looked_at_in_vain_as_the_parameters_let_expect() -> Result<()> {
    let cluster = builder()?.start()?;
    // 80 bits, of which 6 columns set 2 each.
    cluster.psql(
        DATABASE,
        "CREATE EXTENSION bloom_filter; CREATE TABLE t AS SELECT (random() * 1e9)::int a, (random() * 1e9)::int b,
             (random() * 1e9)::int c, (random() * 1e9)::int d, (random() * 1e9)::int e, (random() * 1e9)::int f
             FROM generate_series(1, 100000);
         CREATE INDEX t_filter ON t USING bloom_filter (a, b, c, d, e, f); ANALYZE t;",
    )?;
    let removed = |condition: &str| -> Result<f64> {
        let plan = format!("EXPLAIN (ANALYZE, TIMING off, COSTS off) SELECT * FROM t WHERE {condition}");
        let sql =
            format!("SET work_mem = '1GB'; SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0; {plan}");
        let plan = cluster.psql(DATABASE, &sql)?;
        let line = plan.lines().find_map(|line| line.trim().strip_prefix("Rows Removed by Index Recheck: "));
        line.map_or(Ok(0.0), |count| Ok(count.parse()?))
    };
    // Twelve draws set a given bit with 1 - (79 / 80)^12 = 0.140, two given ones with 0.0185, four with 0.00029.
    let one: f64 = (0..10).map(|value| removed(&format!("a = {value}"))).sum::<Result<f64>>()? / 10.0;
    assert!((1300.0..2500.0).contains(&one), "{one}");
    let two: f64 = (0..10).map(|value| removed(&format!("a = {value} AND d = {value}"))).sum::<Result<f64>>()? / 10.0;
    assert!((5.0..80.0).contains(&two), "{two}");
    Ok(())
}

#[test]
fn vacuum_gives_pages_back_to_the_index() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "SELECT fill(30000)")?;
    let size = "SELECT pg_relation_size('t_filter')";
    let full = number(&cluster, size)?;
    // All pages get empty, and are taken from the free space map.
    cluster.psql(DATABASE, "DELETE FROM t; VACUUM t; SELECT fill(30000); VACUUM t;")?;
    assert_eq!(number(&cluster, size)?, full);
    assert_index_right(&cluster)?;
    // Half of each page, which is noted in the meta page.
    cluster.psql(DATABASE, "DELETE FROM t WHERE id % 2 = 0; VACUUM t; SELECT fill(14000)")?;
    assert_eq!(number(&cluster, size)?, full);
    assert_index_right(&cluster)?;
    let told = cluster.psql(DATABASE, "DELETE FROM t WHERE id < 35000; SELECT count(*) FROM t; VACUUM t;")?;
    assert_eq!(number(&cluster, "SELECT reltuples FROM pg_class WHERE relname = 't_filter'")?, told.parse::<f64>()?);
    Ok(())
}

#[test]
fn sessions_insert_at_the_same_time() -> Result<()> {
    let cluster = start()?;
    let mut statements: Vec<String> = (0..6)
        .map(|_| "DO $$ BEGIN FOR i IN 1..300 LOOP PERFORM fill(5); COMMIT; END LOOP; END $$;".to_owned())
        .collect();
    statements
        .push("DO $$ BEGIN FOR i IN 1..60 LOOP DELETE FROM t WHERE id % 60 = i; COMMIT; END LOOP; END $$;".to_owned());
    statements.push("VACUUM t; SELECT pg_sleep(0.2); VACUUM t; SELECT pg_sleep(0.2); VACUUM t; VACUUM t;".to_owned());
    statements.push("CREATE INDEX CONCURRENTLY t_second ON t USING bloom_filter (a, b, c, d, e);".to_owned());
    at_once(&cluster, &statements)?;
    cluster.psql(DATABASE, "ALTER INDEX t_filter RENAME TO t_first; ALTER INDEX t_second RENAME TO t_filter")?;
    cluster.psql(DATABASE, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_first'::regclass")?;
    assert_index_right(&cluster).context("the index that was made meanwhile")?;
    cluster.psql(DATABASE, "DROP INDEX t_filter; ALTER INDEX t_first RENAME TO t_filter")?;
    cluster.psql(DATABASE, "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 't_filter'::regclass")?;
    assert_index_right(&cluster)
}

#[test]
fn temporary_tables_have_such_indexes_too() -> Result<()> {
    let cluster = start()?;
    let temporary = "CREATE TEMPORARY TABLE s AS SELECT g AS a, g / 2 AS b FROM generate_series(1, 5000) g;
         CREATE INDEX s_filter ON s USING bloom_filter (a, b); INSERT INTO s SELECT g, g FROM generate_series(5001, 6000) g;
         DELETE FROM s WHERE a % 2 = 0; VACUUM s; INSERT INTO s SELECT 7, g FROM generate_series(1, 2000) g;
         SET enable_seqscan = off; SELECT count(*) FROM s WHERE a = 7; SELECT count(*) FROM s WHERE a = 5001 AND b = 5001;";
    assert_eq!(cluster.psql(DATABASE, temporary)?, "2001\n1");
    Ok(())
}

/// The index's file.
fn file(cluster: &Cluster) -> Result<PathBuf> {
    Ok(cluster.data_directory().join(cluster.psql(DATABASE, "SELECT pg_relation_filepath('t_filter')")?))
}

#[test]
fn parameters_are_checked_as_postgresql_does() -> Result<()> {
    let cluster = start()?;
    let error = |sql: &str| error(&cluster, sql);
    let with_error = |with: &str| error(&format!("CREATE INDEX ON t USING bloom_filter (a) WITH ({with})"));
    for (with, expected) in [
        ("length = 0", "value 0 out of bounds for option \"length\""),
        ("length = 4097", "value 4097 out of bounds for option \"length\""),
        ("col1 = 0", "value 0 out of bounds for option \"col1\""),
        ("col32 = 4096", "value 4096 out of bounds for option \"col32\""),
        ("col33 = 1", "unrecognized parameter \"col33\""),
        ("length = many", "invalid value for integer option \"length\": many"),
        ("fillfactor = 50", "unrecognized parameter \"fillfactor\""),
    ] {
        let found = with_error(with);
        assert!(found.contains(expected), "{with}: {found}");
    }
    let unique = error("CREATE UNIQUE INDEX ON t USING bloom_filter (a)");
    assert!(unique.contains("access method \"bloom_filter\" does not support unique indexes"), "{unique}");
    // A change takes effect with the next REINDEX.
    cluster
        .psql(DATABASE, "SELECT fill(3000); ALTER INDEX t_filter SET (length = 4000, col2 = 9); SELECT fill(100);")?;
    assert_index_right(&cluster)?;
    let size = number(&cluster, "SELECT pg_relation_size('t_filter')")?;
    cluster.psql(DATABASE, "REINDEX INDEX t_filter")?;
    assert_index_right(&cluster)?;
    assert!(number(&cluster, "SELECT pg_relation_size('t_filter')")? > 10.0 * size);
    Ok(())
}

#[test]
fn operator_classes_are_valid_and_others_are_told() -> Result<()> {
    let cluster = start()?;
    let classes =
        "SELECT count(*), count(*) FILTER (WHERE amvalidate(c.oid)) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
         WHERE amname = 'bloom_filter'";
    assert_eq!(cluster.psql(DATABASE, classes)?, "15|15");
    // As docs/bloom_filter.md makes one.
    let of_dates = "CREATE OPERATOR CLASS date_ops DEFAULT FOR TYPE date USING bloom_filter AS
             OPERATOR 1 =, FUNCTION 1 hashint4extended(int4, int8);
         CREATE TABLE days AS SELECT '2020-01-01'::date + g AS day FROM generate_series(1, 5000) g;
         CREATE INDEX ON days USING bloom_filter (day) WITH (col1 = 5);
         SET enable_seqscan = off; SELECT count(*) FROM days WHERE day = '2021-02-03';";
    assert_eq!(cluster.psql(DATABASE, of_dates)?, "1");
    assert_eq!(cluster.psql(DATABASE, classes)?, "16|16");
    let mut session = cluster.session(DATABASE)?;
    session.execute(
        "CREATE OPERATOR CLASS wrong FOR TYPE int4 USING bloom_filter AS OPERATOR 1 =, FUNCTION 1 hashint4(int4);
         CREATE OPERATOR CLASS missing FOR TYPE int4 USING bloom_filter AS OPERATOR 1 =;",
    )?;
    let invalid = "SELECT string_agg(opcname, ' ' ORDER BY opcname) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
         WHERE amname = 'bloom_filter' AND NOT amvalidate(c.oid)";
    assert_eq!(session.execute(invalid)?, "missing wrong");
    let without = "INSERT INTO t (a) VALUES (1); CREATE INDEX ON t USING bloom_filter (a missing)";
    let error = format!("{:#}", session.execute(without).unwrap_err());
    assert!(error.contains("missing support function 1"), "{error}");
    Ok(())
}

#[test]
fn a_damaged_page_is_an_error_that_names_it() -> Result<()> {
    // Else a checksum, which is the default from 18 on, hides from the access method what is on the page.
    let mut cluster = builder()?.setting("ignore_checksum_failure", "on").start()?;
    cluster.psql(DATABASE, SETUP)?;
    cluster.psql(DATABASE, "SELECT fill(3000)")?;
    let path = file(&cluster)?;
    cluster.stop(Mode::Fast)?;
    let whole = fs::read(&path)?;
    let mut damaged = whole.clone();
    damaged[3 * 8192 - 8..3 * 8192].fill(7);
    fs::write(&path, &damaged)?;
    cluster.start()?;
    let found = error(&cluster, "SET enable_seqscan = off; SELECT count(*) FROM t WHERE a = 1");
    assert!(found.contains("index \"t_filter\", block 2: the page is not one of a Bloom-filter index"), "{found}");
    let found = error(&cluster, "DELETE FROM t WHERE a = 1; VACUUM t");
    assert!(found.contains("index \"t_filter\", block 2"), "{found}");
    cluster.psql(DATABASE, "REINDEX INDEX t_filter")?;
    assert_index_right(&cluster)
}
