//! The index access method `hyperloglog`: what it counts, and what SQL can do with it.

use anyhow::Result;
use walker_testing::{Cluster, ClusterBuilder, Installation, Mode};

const DATABASE: &str = "postgres";

fn builder() -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "hyperloglog")
        .setting("autovacuum", "off"))
}

fn start() -> Result<Cluster> {
    let cluster = builder()?.start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION hyperloglog")?;
    Ok(cluster)
}

fn count(cluster: &Cluster, index: &str) -> Result<f64> {
    Ok(cluster.psql(DATABASE, &format!("SELECT hyperloglog_count('{index}')"))?.parse()?)
}

fn registers(cluster: &Cluster, index: &str) -> Result<String> {
    cluster.psql(DATABASE, &format!("SELECT hyperloglog_registers('{index}')"))
}

/// What psql says of an error.
fn failure(cluster: &Cluster, sql: &str) -> String {
    format!("{:#}", cluster.psql(DATABASE, sql).expect_err(sql))
}

fn assert_fails(cluster: &Cluster, sql: &str, message: &str) {
    let failure = failure(cluster, sql);
    assert!(failure.contains(message), "{failure}");
}

/// Types, and how a number becomes a value of it.
const TYPES: [(&str, &str); 16] = [
    ("int2", "(n % 20000)::int2"),
    ("int4", "n"),
    ("int8", "n::int8 << 20"),
    ("oid", "n::oid"),
    ("float8", "n / 7.0"),
    ("numeric", "n / 3.0"),
    ("text", "md5(n::text)"),
    ("varchar(10)", "n::text"),
    ("char(20)", "n::text"),
    ("bytea", "decode(md5(n::text), 'hex')"),
    ("uuid", "md5(n::text)::uuid"),
    ("inet", "'10.0.0.0'::inet + n"),
    ("date", "'2000-01-01'::date + n"),
    ("timestamp", "'2000-01-01'::timestamp + n * interval '1 s'"),
    ("timestamptz", "'2000-01-01'::timestamptz + n * interval '1 ms'"),
    ("name_of_type", "n::text::name_of_type"),
];

#[test]
fn values_of_each_type_are_counted_whether_they_were_there_before_the_index_or_not() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE DOMAIN name_of_type AS text")?;
    for (type_name, value) in TYPES {
        let fill = |table: &str| format!("INSERT INTO {table} SELECT {value} FROM generate_series(1, 30000) n");
        cluster.psql(
            DATABASE,
            &format!(
                "DROP TABLE IF EXISTS built, inserted;
                 CREATE TABLE built (v {type_name}); {fill_built}; {fill_built} LIMIT 10000;
                 CREATE INDEX built_index ON built USING hyperloglog (v);
                 CREATE TABLE inserted (v {type_name});
                 CREATE INDEX inserted_index ON inserted USING hyperloglog (v);
                 {fill_inserted}; {fill_inserted} LIMIT 10000;",
                fill_built = fill("built"),
                fill_inserted = fill("inserted"),
            ),
        )?;
        let distinct: f64 = cluster.psql(DATABASE, "SELECT count(DISTINCT v) FROM built")?.parse()?;
        let estimate = count(&cluster, "built_index")?;
        // 1.6 % is the standard error; the values are the same in each run.
        assert!((estimate / distinct - 1.0).abs() < 0.04, "{type_name}: {estimate} of {distinct}");
        assert_eq!(registers(&cluster, "built_index")?, registers(&cluster, "inserted_index")?, "{type_name}");
    }
    Ok(())
}

#[test]
fn the_error_is_as_small_as_the_precision_says() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE TABLE t (v int)")?;
    for precision in 4..=16 {
        let index = format!("i{precision}");
        cluster.psql(
            DATABASE,
            &format!("CREATE INDEX {index} ON t USING hyperloglog (v) WITH (precision = {precision})"),
        )?;
        assert_eq!(count(&cluster, &index)?.to_bits(), 0);
    }
    for distinct in [1, 10, 100, 1000, 10_000, 100_000] {
        let fill = "INSERT INTO t SELECT n FROM generate_series((SELECT count(*) FROM t)";
        cluster.psql(DATABASE, &format!("{fill} + 1, {distinct}) n"))?;
        for precision in 4..=16 {
            let estimate = count(&cluster, &format!("i{precision}"))?;
            let standard_error = 1.04 / f64::from(1 << precision).sqrt();
            let error = (estimate / f64::from(distinct) - 1.0).abs();
            // Few registers are more often far off.
            let most = if precision < 6 { 6.0 } else { 3.0 };
            assert!(error < most * standard_error, "precision {precision}: {estimate} of {distinct}");
        }
    }
    // The registers of pages of a build are those of many inserts, for sketches of several pages too.
    for precision in [4, 13, 16] {
        let index = format!("i{precision}");
        let inserted = registers(&cluster, &index)?;
        assert_eq!(inserted.len(), 2 + (2 << precision));
        cluster.psql(DATABASE, &format!("REINDEX INDEX {index}"))?;
        assert_eq!(registers(&cluster, &index)?, inserted);
    }
    Ok(())
}

#[test]
fn each_column_has_a_sketch_and_nulls_are_not_counted() -> Result<()> {
    let cluster = start()?;
    let index = "CREATE INDEX i ON t USING hyperloglog (a, b, (a + b)) WITH (precision = 14)";
    let fill = "INSERT INTO t SELECT n % 3000, nullif(n % 11, 0) FROM generate_series(1, 30000) n";
    let counts = "SELECT round(hyperloglog_count('i', c) / nullif(d, 0), 1), d
                  FROM unnest((SELECT ARRAY[count(DISTINCT a), count(DISTINCT b), count(DISTINCT a + b)] FROM t))
                      WITH ORDINALITY AS counted (d, c)"
        .replace("round(", "round(1.0::numeric * ")
        .replace("hyperloglog_count('i', c)", "hyperloglog_count('i', c::int)::numeric");
    cluster.psql(DATABASE, &format!("CREATE TABLE t (a int, b int); {index}; {fill}"))?;
    let expected = "1.0|3000\n1.0|10\n1.0|3010";
    let sum = cluster.psql(DATABASE, "SELECT count(DISTINCT a + b) FROM t")?;
    let expected = expected.replace("3010", &sum);
    assert_eq!(cluster.psql(DATABASE, &counts)?, expected);
    cluster.psql(DATABASE, "REINDEX INDEX i")?;
    assert_eq!(cluster.psql(DATABASE, &counts)?, expected);
    cluster.psql(DATABASE, "CREATE TABLE nulls (a int); CREATE INDEX n ON nulls USING hyperloglog (a)")?;
    cluster.psql(DATABASE, "INSERT INTO nulls SELECT NULL FROM generate_series(1, 100)")?;
    assert_eq!(count(&cluster, "n")?.to_bits(), 0);
    // A block for each 8,160 registers.
    assert_eq!(cluster.psql(DATABASE, "SELECT pg_relation_size('i') / 8192")?, "9");
    Ok(())
}

#[test]
fn what_was_ever_there_stays_counted_until_reindex_or_reset() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (v int, w int); CREATE INDEX i ON t USING hyperloglog (v) WITH (precision = 14);
         INSERT INTO t SELECT n FROM generate_series(1, 1000) n;
         BEGIN; INSERT INTO t SELECT n FROM generate_series(1001, 2000) n; ROLLBACK;
         DELETE FROM t WHERE v > 500; VACUUM t;",
    )?;
    let near = |expected: f64| -> Result<()> {
        let found = count(&cluster, "i")?;
        assert!((found / expected - 1.0).abs() < 0.03, "{found}, not {expected}");
        Ok(())
    };
    near(2000.0)?;
    cluster.psql(DATABASE, "REINDEX INDEX i")?;
    near(500.0)?;
    cluster.psql(DATABASE, "INSERT INTO t SELECT n FROM generate_series(1001, 2000) n")?;
    near(1500.0)?;
    cluster.psql(DATABASE, "SELECT hyperloglog_reset('i')")?;
    assert_eq!(count(&cluster, "i")?.to_bits(), 0);
    cluster.psql(DATABASE, "INSERT INTO t SELECT n FROM generate_series(1, 300) n")?;
    near(300.0)?;
    cluster.psql(DATABASE, "TRUNCATE t")?;
    assert_eq!(count(&cluster, "i")?.to_bits(), 0);
    Ok(())
}

#[test]
fn sketches_can_be_merged() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE a (v text); CREATE INDEX ai ON a USING hyperloglog (v) WITH (precision = 13);
         CREATE TABLE b (v text); CREATE INDEX bi ON b USING hyperloglog (v) WITH (precision = 13);
         INSERT INTO a SELECT n FROM generate_series(1, 20000) n;
         INSERT INTO b SELECT n FROM generate_series(15001, 40000) n;
         SELECT hyperloglog_merge('ai', 1, hyperloglog_registers('bi'));",
    )?;
    let found = count(&cluster, "ai")?;
    assert!((found / 40_000.0 - 1.0).abs() < 0.035, "{found}");
    let merged = registers(&cluster, "ai")?;
    cluster.psql(
        DATABASE,
        "INSERT INTO a SELECT * FROM b; SELECT hyperloglog_merge('ai', 1, hyperloglog_registers('ai'))",
    )?;
    assert_eq!(registers(&cluster, "ai")?, merged, "what was merged is what would have been inserted");
    assert_fails(&cluster, "SELECT hyperloglog_merge('ai', 1, 'abc')", "not a sketch to be merged: registers");
    let wrong = r"SELECT hyperloglog_merge('ai', 1, set_byte(hyperloglog_registers('bi'), 7, 53))";
    assert_fails(&cluster, wrong, "not a sketch to be merged: value: invalid value 53");
    Ok(())
}

#[test]
fn the_planner_never_uses_it() -> Result<()> {
    let cluster = start()?;
    let plan = cluster.psql(
        DATABASE,
        "CREATE TABLE t (v int); INSERT INTO t SELECT n FROM generate_series(1, 10000) n;
         CREATE INDEX i ON t USING hyperloglog (v); ANALYZE t;
         SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0;
         EXPLAIN (COSTS OFF) SELECT * FROM t WHERE v = 1;
         EXPLAIN (COSTS OFF) SELECT * FROM t WHERE v IS NULL;
         EXPLAIN (COSTS OFF) SELECT count(*) FROM t;
         EXPLAIN (COSTS OFF) SELECT * FROM t ORDER BY v;",
    )?;
    assert!(!plan.contains("Index") && !plan.contains(" i"), "{plan}");
    assert_fails(&cluster, "CLUSTER t USING i", "does not support clustering");
    assert_fails(&cluster, "CREATE UNIQUE INDEX ON t USING hyperloglog (v)", "does not support unique indexes");
    let exclusion = "ALTER TABLE t ADD EXCLUDE USING hyperloglog (v WITH =)";
    assert_fails(&cluster, exclusion, "does not support exclusion constraints");
    assert_fails(&cluster, "CREATE INDEX ON t USING hyperloglog (v DESC)", "does not support ASC/DESC options");
    let no_class = "CREATE TABLE p (v point); CREATE INDEX ON p USING hyperloglog (v)";
    assert_fails(&cluster, no_class, "has no default operator class for access method \"hyperloglog\"");
    let classes = "SELECT bool_and(amvalidate(c.oid)), count(*) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
                   WHERE amname = 'hyperloglog'";
    assert_eq!(cluster.psql(DATABASE, classes)?, "t|14");
    Ok(())
}

#[test]
fn the_precision_is_a_storage_parameter_that_reindex_takes_up() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v)")?;
    for wrong in ["3", "17"] {
        let create = format!("CREATE INDEX ON t USING hyperloglog (v) WITH (precision = {wrong})");
        assert_fails(&cluster, &create, &format!("value {wrong} out of bounds for option \"precision\""));
    }
    let unknown = "CREATE INDEX ON t USING hyperloglog (v) WITH (length = 3)";
    assert_fails(&cluster, unknown, "unrecognized parameter \"length\"");
    let length = "SELECT length(hyperloglog_registers('i'))";
    assert_eq!(cluster.psql(DATABASE, length)?, "4096");
    cluster.psql(DATABASE, "ALTER INDEX i SET (precision = 5); INSERT INTO t SELECT generate_series(1, 1000)")?;
    assert_eq!(cluster.psql(DATABASE, length)?, "4096");
    cluster.psql(DATABASE, "REINDEX INDEX i; INSERT INTO t SELECT generate_series(1, 1000)")?;
    assert_eq!(cluster.psql(DATABASE, length)?, "32");
    Ok(())
}

#[test]
fn vacuum_and_concurrent_builds_work() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t SELECT n, n % 700 FROM generate_series(1, 5000) n;
         CREATE INDEX i ON t USING hyperloglog (v);
         CREATE INDEX CONCURRENTLY c ON t USING hyperloglog (v);",
    )?;
    assert_eq!(registers(&cluster, "c")?, registers(&cluster, "i")?);
    cluster.psql(DATABASE, "REINDEX INDEX CONCURRENTLY c; REINDEX TABLE t; VACUUM FULL t")?;
    assert_eq!(registers(&cluster, "c")?, registers(&cluster, "i")?);
    cluster.psql(DATABASE, "DELETE FROM t WHERE k % 2 = 0; VACUUM (ANALYZE, INDEX_CLEANUP ON) t")?;
    let statistics = "SELECT relpages, reltuples FROM pg_class WHERE relname = 'i'";
    assert_eq!(cluster.psql(DATABASE, statistics)?, "1|2500");
    Ok(())
}

#[test]
fn from_16_on_updates_of_a_column_that_is_only_counted_stay_on_their_page() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (k int PRIMARY KEY, v int) WITH (fillfactor = 50); CREATE INDEX i ON t USING hyperloglog (v);
         INSERT INTO t SELECT n, 0 FROM generate_series(1, 50) n; UPDATE t SET v = k;",
    )?;
    let hot = "SELECT (SELECT sum(n_tup_hot_upd) FROM pg_stat_xact_user_tables) FROM (SELECT 1) AS one";
    let update = format!("BEGIN; UPDATE t SET v = k + 1000; {hot}; COMMIT");
    let expected = if cluster.installation().version().major >= 16 { "50" } else { "0" };
    assert_eq!(cluster.psql(DATABASE, &update)?, expected);
    let found = count(&cluster, "i")?;
    assert!((found - 101.0).abs() < 4.0, "{found}");
    Ok(())
}

#[test]
fn without_the_library_preloaded_what_is_logged_can_be_read_only() -> Result<()> {
    let mut cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v); INSERT INTO t SELECT generate_series(1, 100)",
    )?;
    let before = registers(&cluster, "i")?;
    cluster.stop(Mode::Fast)?;
    cluster.configure([("shared_preload_libraries", "")])?;
    cluster.start()?;
    assert_eq!(registers(&cluster, "i")?, before);
    let message = "resource manager \"hyperloglog\" with ID 222 is not registered: its library must be in shared_preload_libraries";
    for refused in [
        "INSERT INTO t SELECT generate_series(1000, 2000)",
        "SELECT hyperloglog_reset('i')",
        "CREATE INDEX ON t USING hyperloglog (v)",
        "CREATE UNLOGGED TABLE u (v int); CREATE INDEX ON u USING hyperloglog (v)",
    ] {
        let failure = failure(&cluster, refused);
        assert!(
            failure.contains(message) && failure.contains("HINT:  Add it there and restart the server."),
            "{failure}"
        );
    }
    // What is known already changes nothing, and temporary tables are not logged.
    let temporary = "INSERT INTO t SELECT generate_series(1, 100); CREATE TEMPORARY TABLE p (v int);
        CREATE INDEX pi ON p USING hyperloglog (v); INSERT INTO p SELECT generate_series(1, 100);
        SELECT hyperloglog_count('pi') BETWEEN 97 AND 103; SELECT hyperloglog_reset('pi'); SELECT hyperloglog_count('pi')";
    assert_eq!(cluster.psql(DATABASE, temporary)?.lines().map(str::trim).collect::<Vec<_>>(), ["t", "", "0"]);
    assert_eq!(registers(&cluster, "i")?, before);
    Ok(())
}

#[test]
fn functions_look_at_what_they_are_given_and_by_whom() -> Result<()> {
    let cluster = start()?;
    cluster.psql(
        DATABASE,
        "CREATE ROLE someone; CREATE ROLE monitor; GRANT pg_stat_scan_tables TO monitor;
         CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v); CREATE INDEX b ON t (v);",
    )?;
    assert_fails(&cluster, "SELECT hyperloglog_count('t')", "\"t\" is not an index of access method hyperloglog");
    assert_fails(&cluster, "SELECT hyperloglog_count('b')", "\"b\" is not an index of access method hyperloglog");
    assert_fails(&cluster, "SELECT hyperloglog_count(1::regclass)", "could not open relation with OID 1");
    for column in ["0", "2", "257", "-1"] {
        let message = format!("index \"i\" has no column {column}");
        assert_fails(&cluster, &format!("SELECT hyperloglog_count('i', {column})"), &message);
    }
    for call in ["hyperloglog_count('i')", "hyperloglog_registers('i')", "hyperloglog_reset('i')"] {
        assert_fails(&cluster, &format!("SET ROLE someone; SELECT {call}"), "must be owner of index i");
    }
    cluster.psql(DATABASE, "SET ROLE monitor; SELECT hyperloglog_count('i')")?;
    assert_fails(&cluster, "SET ROLE monitor; SELECT hyperloglog_reset('i')", "must be owner of index i");

    let mut other = cluster.session(DATABASE)?;
    other.execute("CREATE TEMPORARY TABLE p (v int); CREATE INDEX pi ON p USING hyperloglog (v)")?;
    let theirs = other.execute("SELECT 'pi'::regclass::oid")?;
    let message = "cannot access temporary indexes of other sessions";
    assert_fails(&cluster, &format!("SELECT hyperloglog_count({theirs}::regclass)"), message);
    Ok(())
}
