//! `walker dump` says of each record what `pg_waldump` says.

use std::ops::RangeInclusive;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, Installation, Mode, walker};

/// The major version that is taken if none is named: its server has lz4, zstd and contrib.
const MAJOR: u32 = 15;
/// Major versions that understand most of the loads.
const MAJORS: RangeInclusive<u32> = MAJOR..=18;

/// A cluster that keeps all of its WAL, or none where the tests run with another major version.
fn cluster() -> Result<Option<Cluster>> {
    cluster_of(MAJORS)
}

fn cluster_of(majors: RangeInclusive<u32>) -> Result<Option<Cluster>> {
    let installation = Installation::for_tests().or_else(|_| Installation::find(MAJOR))?;
    if !majors.contains(&installation.version().major) {
        eprintln!("skipped: the load is for PostgreSQL {majors:?}");
        return Ok(None);
    }
    let settings = [
        ("autovacuum", "off"),
        ("wal_level", "logical"),
        ("wal_keep_size", "2GB"),
        ("max_prepared_transactions", "10"),
        ("track_commit_timestamp", "on"),
        ("wal_log_hints", "on"),
        ("allow_in_place_tablespaces", "on"),
    ];
    // Small segments, so that records cross from one to the next.
    Cluster::builder(&installation).initdb_option("--wal-segsize=1").settings(settings).start().map(Some)
}

fn text(output: Output) -> Result<String> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What both programs print for the same options.
fn both(cluster: &Cluster, options: &[String]) -> Result<(String, String)> {
    let path = cluster.wal_directory();
    let ours = walker()?.arg("dump").args(options).arg("--path").arg(&path).output()?;
    let theirs = cluster.program("pg_waldump")?.env("TZ", "UTC").args(options).arg("--path").arg(&path).output()?;
    Ok((text(ours)?, text(theirs)?))
}

fn range(start: Lsn, end: Lsn) -> Vec<String> {
    vec![format!("--start={start}"), format!("--end={end}")]
}

/// Compares line by line, so that a difference is shown by its first line; returns how many lines there were.
fn compare(ours: &str, theirs: &str) -> Result<usize> {
    for (our, their) in ours.lines().zip(theirs.lines()) {
        ensure!(our == their, "pg_waldump:\n{their}\nwalker:\n{our}");
    }
    let (our_count, their_count) = (ours.lines().count(), theirs.lines().count());
    ensure!(ours == theirs, "{our_count} lines of walker, {their_count} of pg_waldump");
    Ok(our_count)
}

/// Everything that both programs print of the log from `start` to now. The load must have brought about `operations`,
/// named as in the statistics.
fn check(cluster: &Cluster, start: Lsn, operations: &[&str]) -> Result<()> {
    let range = range(start, cluster.flush_wal()?);
    for more in [None, Some("--bkp-details".to_owned())] {
        let (ours, theirs) = both(cluster, &range.iter().cloned().chain(more).collect::<Vec<_>>())?;
        compare(&ours, &theirs)?;
    }
    let path = cluster.wal_directory();
    let ours = text(walker()?.args(["stats", "--per-record"]).args(&range).arg("--path").arg(&path).output()?)?;
    let mut pg_waldump = cluster.program("pg_waldump")?;
    let theirs = text(pg_waldump.arg("--stats=record").args(&range).arg("--path").arg(&path).output()?)?;
    compare(&ours, &theirs)?;
    let names: Vec<_> = ours.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for operation in operations {
        ensure!(names.contains(operation), "the load has no {operation}");
    }
    Ok(())
}

/// [`check`] of a load that a fresh cluster is put under.
fn check_load(load: &str, operations: &[&str]) -> Result<()> {
    let Some(cluster) = cluster()? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", load)?;
    check(&cluster, start, operations)
}

fn ensure_contains(text: &str, operations: &[&str]) -> Result<()> {
    for operation in operations {
        ensure!(text.contains(&format!("desc: {operation} ")), "the load has no {operation}");
    }
    Ok(())
}

const ROWS: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int, filler text) WITH (fillfactor = 70);
    INSERT INTO t SELECT g, 0, repeat('x', g % 300) FROM generate_series(1, 3000) g;
    COPY t (id, n) FROM PROGRAM 'seq 3001 6000 | sed s/$/,1/' WITH (FORMAT csv);
    UPDATE t SET n = n + 1 WHERE id % 3 = 0;
    UPDATE t SET n = n + 1 WHERE id % 3 = 0;
    UPDATE t SET id = id + 100000 WHERE id % 7 = 0;
    UPDATE t SET filler = repeat('a large value ', 500) WHERE id % 500 = 1;
    DELETE FROM t WHERE id % 5 = 0;
    SELECT count(*) FROM t WHERE id < 1000;
    BEGIN; SELECT count(*) FROM (SELECT FROM t WHERE id < 50 FOR UPDATE) s; ROLLBACK;
    BEGIN; SELECT count(*) FROM (SELECT FROM t WHERE id < 50 FOR KEY SHARE) s; COMMIT;
    INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
    INSERT INTO t VALUES (700001, 1) ON CONFLICT DO NOTHING;
    VACUUM t;
    DELETE FROM t WHERE ctid >= '(100,0)';
    VACUUM (FREEZE, ANALYZE) t;
    TRUNCATE t;
    INSERT INTO t VALUES (1);
    DROP TABLE t;";

const TRANSACTIONS: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int);
    BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); ROLLBACK TO a;
    SAVEPOINT b; UPDATE t SET n = 1; RELEASE b; COMMIT;
    BEGIN; INSERT INTO t VALUES (5); SAVEPOINT a; INSERT INTO t VALUES (6); ROLLBACK;
    DO $$ BEGIN FOR i IN 100..300 LOOP
        BEGIN INSERT INTO t VALUES (i); EXCEPTION WHEN unique_violation THEN NULL; END;
    END LOOP; END $$;
    BEGIN; INSERT INTO t VALUES (400); SAVEPOINT a; CREATE TABLE made (a int); PREPARE TRANSACTION 'it''s one';
    COMMIT PREPARED 'it''s one';
    BEGIN; DROP TABLE made; CREATE TABLE other (a int); PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';
    BEGIN; DROP TABLE made; PREPARE TRANSACTION 'three'; COMMIT PREPARED 'three';
    BEGIN; CREATE TABLE never (a int); INSERT INTO never VALUES (1); ROLLBACK;
    BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; COMMIT;
    SET synchronous_commit = 'off'; INSERT INTO t VALUES (401);
    SELECT pg_replication_origin_create('elsewhere'), pg_replication_origin_session_setup('elsewhere');
    BEGIN; SELECT pg_replication_origin_xact_setup('0/AFFE', '2026-01-02 03:04:05.678901+00');
    INSERT INTO t VALUES (402); COMMIT;
    BEGIN; SELECT pg_replication_origin_xact_setup('0/AFFE', '1999-01-02 03:04:05+00');
    INSERT INTO t VALUES (403); ROLLBACK;
    SELECT pg_replication_origin_session_reset();";

const OTHERS: &str = "
    CREATE TABLE t (id int, a int[], p point, r text);
    INSERT INTO t SELECT g, ARRAY[g, g % 7], point(g, g % 11), g::text FROM generate_series(1, 2000) g;
    CREATE INDEX ON t (id); CREATE INDEX ON t USING hash (id); CREATE INDEX ON t USING gin (a);
    CREATE INDEX ON t USING gist (p); CREATE INDEX ON t USING spgist (r); CREATE INDEX ON t USING brin (id);
    INSERT INTO t SELECT g, ARRAY[g, g % 7], point(g, g % 11), g::text FROM generate_series(2001, 3000) g;
    DELETE FROM t WHERE id % 3 = 0; VACUUM t; VACUUM FULL t; CLUSTER t USING t_id_idx;
    CREATE SEQUENCE s; SELECT nextval('s'); SELECT pg_logical_emit_message(true, 'prefix', 'content');
    CREATE TABLESPACE place LOCATION ''; CREATE TABLE far (a int) TABLESPACE place; INSERT INTO far VALUES (1);
    TRUNCATE far; DROP TABLE far; DROP TABLESPACE place;
    CREATE UNLOGGED TABLE u (a int PRIMARY KEY); INSERT INTO u VALUES (1);
    CREATE DATABASE copied STRATEGY wal_log; CREATE DATABASE copied_files STRATEGY file_copy; DROP DATABASE copied;
    CREATE MATERIALIZED VIEW m AS SELECT id FROM t; REFRESH MATERIALIZED VIEW m;
    TRUNCATE t RESTART IDENTITY CASCADE; VACUUM FULL pg_class; REINDEX TABLE pg_class;
    SELECT pg_create_restore_point('here'); SELECT pg_backup_start('b', true);
    SELECT count(*) FROM (SELECT * FROM pg_backup_stop()) s; SELECT count(*) FROM (SELECT pg_switch_wal()) s;
    CHECKPOINT;";

#[test]
fn rows_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let Some(cluster) = cluster()? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", ROWS)?;
    let end = cluster.flush_wal()?;
    let (ours, theirs) = both(&cluster, &range(start, end))?;
    assert!(compare(&ours, &theirs)? > 10_000);
    let operations =
        ["INSERT", "INSERT+INIT", "UPDATE", "HOT_UPDATE", "DELETE", "LOCK", "INPLACE", "TRUNCATE", "CREATE"];
    ensure_contains(&ours, &operations)?;
    ensure_contains(&ours, &["MULTI_INSERT", "VISIBLE", "NEW_CID"])?;
    match cluster.installation().version().major {
        ..=16 => ensure_contains(&ours, &["PRUNE", "VACUUM", "FREEZE_PAGE"]),
        _ => ensure_contains(&ours, &["PRUNE_ON_ACCESS", "PRUNE_VACUUM_SCAN", "PRUNE_VACUUM_CLEANUP"]),
    }
}

#[test]
fn transactions_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let Some(cluster) = cluster()? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", TRANSACTIONS)?;
    let (mut first, mut second) = (cluster.session("postgres")?, cluster.session("postgres")?);
    first.execute("BEGIN; SELECT FROM t WHERE id = 100 FOR KEY SHARE")?;
    second.execute("BEGIN; UPDATE t SET n = 2 WHERE id = 100; SAVEPOINT s; SELECT FROM t WHERE id = 101 FOR UPDATE")?;
    first.execute("SELECT FROM t WHERE id < 105 FOR KEY SHARE SKIP LOCKED; UPDATE t SET n = 9 WHERE id = 110")?;
    cluster.psql("postgres", "CHECKPOINT")?;
    second.execute("COMMIT")?;
    first.execute("COMMIT")?;
    let end = cluster.flush_wal()?;
    let (ours, theirs) = both(&cluster, &range(start, end))?;
    compare(&ours, &theirs)?;
    let operations = ["COMMIT", "ABORT", "PREPARE", "COMMIT_PREPARED", "ABORT_PREPARED", "INVALIDATION", "ASSIGNMENT"];
    ensure_contains(&ours, &operations)?;
    assert!(ours.contains("; origin: node 1, lsn 0/AFFE, at 2026-01-02 03:04:05.678901 UTC"));
    ensure_contains(&ours, &["LOCK", "CHECKPOINT_ONLINE", "RUNNING_XACTS"])
}

#[test]
fn a_server_s_own_records_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let Some(mut cluster) = cluster()? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", OTHERS)?;
    cluster.crash()?;
    cluster.configure([("max_connections", "50"), ("full_page_writes", "off")])?;
    cluster.start()?;
    cluster.restart(Mode::Fast)?;
    cluster.configure([("full_page_writes", "on")])?;
    cluster.reload()?;
    cluster.psql("postgres", "CHECKPOINT")?;
    let end = cluster.flush_wal()?;
    let (ours, theirs) = both(&cluster, &range(start, end))?;
    compare(&ours, &theirs)?;
    for name in ["Btree", "Hash", "Gin", "Gist", "SPGist", "BRIN", "Sequence", "Database", "Tablespace", "RelMap"] {
        assert!(ours.contains(&format!("rmgr: {name} ")), "no {name}");
    }
    let operations = ["SWITCH", "RESTORE_POINT", "BACKUP_END", "CHECKPOINT_SHUTDOWN", "PARAMETER_CHANGE", "NEXTOID"];
    ensure_contains(&ours, &operations)?;
    ensure_contains(&ours, &["FPI", "FPW_CHANGE"])
}

#[test]
fn b_trees_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = [
        "Btree/INSERT_LEAF",
        "Btree/INSERT_UPPER",
        "Btree/INSERT_META",
        "Btree/INSERT_POST",
        "Btree/SPLIT_L",
        "Btree/SPLIT_R",
        "Btree/DEDUP",
        "Btree/DELETE",
        "Btree/VACUUM",
        "Btree/MARK_PAGE_HALFDEAD",
        "Btree/UNLINK_PAGE",
        "Btree/UNLINK_PAGE_META",
        "Btree/NEWROOT",
        "Btree/REUSE_PAGE",
        "Btree/META_CLEANUP",
    ];
    check_load(include_str!("dump/btree.sql"), &operations)
}

#[test]
fn hash_indexes_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = [
        "Hash/INIT_META_PAGE",
        "Hash/INIT_BITMAP_PAGE",
        "Hash/INSERT",
        "Hash/ADD_OVFL_PAGE",
        "Hash/SPLIT_ALLOCATE_PAGE",
        "Hash/SPLIT_PAGE",
        "Hash/SPLIT_COMPLETE",
        "Hash/SPLIT_CLEANUP",
        "Hash/MOVE_PAGE_CONTENTS",
        "Hash/SQUEEZE_PAGE",
        "Hash/DELETE",
        "Hash/UPDATE_META_PAGE",
        "Hash/VACUUM_ONE_PAGE",
    ];
    check_load(include_str!("dump/hash.sql"), &operations)
}

#[test]
fn gin_indexes_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = [
        "Gin/CREATE_PTREE",
        "Gin/INSERT",
        "Gin/SPLIT",
        "Gin/VACUUM_PAGE",
        "Gin/VACUUM_DATA_LEAF_PAGE",
        "Gin/DELETE_PAGE",
        "Gin/UPDATE_META_PAGE",
        "Gin/INSERT_LISTPAGE",
        "Gin/DELETE_LISTPAGE",
    ];
    check_load(include_str!("dump/gin.sql"), &operations)
}

#[test]
fn gist_indexes_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = ["Gist/PAGE_UPDATE", "Gist/DELETE", "Gist/PAGE_REUSE", "Gist/PAGE_SPLIT", "Gist/PAGE_DELETE"];
    check_load(include_str!("dump/gist.sql"), &operations)
}

#[test]
fn what_is_not_logged_still_has_lsns() -> Result<()> {
    let Some(mut cluster) = cluster()? else { return Ok(()) };
    cluster.configure([("wal_level", "minimal"), ("max_wal_senders", "0"), ("wal_skip_threshold", "0")])?;
    cluster.restart(Mode::Fast)?;
    let start = cluster.flush_wal()?;
    let load = "
        BEGIN; CREATE TABLE t (p point); CREATE INDEX ON t USING gist (p);
        INSERT INTO t SELECT point(g, g) FROM generate_series(1, 2000) g; COMMIT;";
    cluster.psql("postgres", load)?;
    check(&cluster, start, &["Gist/ASSIGN_LSN"])
}

#[test]
fn sp_gist_indexes_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = [
        "SPGist/ADD_LEAF",
        "SPGist/MOVE_LEAFS",
        "SPGist/ADD_NODE",
        "SPGist/SPLIT_TUPLE",
        "SPGist/PICKSPLIT",
        "SPGist/VACUUM_LEAF",
        "SPGist/VACUUM_ROOT",
        "SPGist/VACUUM_REDIRECT",
    ];
    check_load(include_str!("dump/spgist.sql"), &operations)
}

#[test]
fn brin_indexes_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = [
        "BRIN/CREATE_INDEX",
        "BRIN/INSERT",
        "BRIN/INSERT+INIT",
        "BRIN/UPDATE",
        "BRIN/UPDATE+INIT",
        "BRIN/SAMEPAGE_UPDATE",
        "BRIN/REVMAP_EXTEND",
        "BRIN/DESUMMARIZE",
    ];
    check_load(include_str!("dump/brin.sql"), &operations)
}

#[test]
fn other_resource_managers_are_told_as_pg_waldump_tells_them() -> Result<()> {
    let operations = [
        "CLOG/ZEROPAGE",
        "CommitTs/ZEROPAGE",
        "Sequence/LOG",
        "LogicalMessage/MESSAGE",
        "ReplicationOrigin/SET",
        "ReplicationOrigin/DROP",
        "Generic/Generic",
        "RelMap/UPDATE",
        "Tablespace/CREATE",
        "Tablespace/DROP",
        "Database/CREATE_WAL_LOG",
        "Database/CREATE_FILE_COPY",
        "Database/DROP",
        "Heap2/REWRITE",
    ];
    let Some(cluster) = cluster_of(MAJOR..=MAJOR)? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", include_str!("dump/others.sql"))?;
    check(&cluster, start, &operations)
}

#[test]
fn what_is_removed_of_old_transactions_is_told_as_pg_waldump_tells_it() -> Result<()> {
    let Some(mut cluster) = cluster()? else { return Ok(()) };
    cluster.stop(Mode::Fast)?;
    // To the end of the first file of the commit log, and of the first page of sets.
    let mut reset = cluster.program("pg_resetwal")?;
    let numbers = ["--next-transaction-id=1048576", "--multixact-ids=2047,1"];
    text(reset.args(numbers).arg("--pgdata").arg(cluster.data_directory()).output()?)?;
    cluster.start()?;
    let start = cluster.flush_wal()?;
    cluster.psql("postgres", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)")?;
    let (mut first, mut second) = (cluster.session("postgres")?, cluster.session("postgres")?);
    for session in [&mut first, &mut second] {
        session.execute("BEGIN; SELECT FROM t WHERE id = 1 FOR KEY SHARE; SELECT FROM t WHERE id = 2 FOR SHARE")?;
    }
    second.execute("SELECT FROM t WHERE id = 3 FOR NO KEY UPDATE")?;
    first.execute("SELECT FROM t WHERE id = 3 FOR KEY SHARE; COMMIT")?;
    second.execute("COMMIT")?;
    cluster.psql("postgres", "UPDATE pg_database SET datallowconn = true")?;
    for database in ["postgres", "template1", "template0", "postgres"] {
        cluster.psql(database, "VACUUM (FREEZE)")?;
    }
    let operations = [
        "CLOG/TRUNCATE",
        "CommitTs/TRUNCATE",
        "MultiXact/CREATE_ID",
        "MultiXact/ZERO_OFF_PAGE",
        "MultiXact/ZERO_MEM_PAGE",
        "MultiXact/TRUNCATE_ID",
    ];
    check(&cluster, start, &operations)
}

#[test]
fn images_are_told_in_detail() -> Result<()> {
    let Some(cluster) = cluster_of(MAJOR..=MAJOR)? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    let table = "CREATE TABLE t AS SELECT g AS id, repeat('abc', 20) AS r FROM generate_series(1, 5000) g";
    cluster.psql("postgres", table)?;
    for setting in
        ["wal_compression = off", "wal_compression = pglz", "wal_compression = lz4", "wal_compression = zstd"]
    {
        let load = format!("SET {setting}; CHECKPOINT; UPDATE t SET r = r || 'd' WHERE id % 50 = 0");
        cluster.psql("postgres", &load)?;
    }
    cluster.psql("postgres", "SET wal_consistency_checking = 'all'; DELETE FROM t WHERE id % 2 = 0; VACUUM t")?;
    let end = cluster.flush_wal()?;
    let options = [range(start, end), vec!["--bkp-details".to_owned()]].concat();
    let (ours, theirs) = both(&cluster, &options)?;
    compare(&ours, &theirs)?;
    for expected in ["method: pglz\n", "method: lz4\n", "method: zstd\n", "(FPW for WAL verification)", " fork vm "] {
        assert!(ours.contains(expected), "no {expected}");
    }
    compare(&both(&cluster, &range(start, end))?.0, &both(&cluster, &range(start, end))?.1)?;
    Ok(())
}

#[test]
fn options_mean_the_same() -> Result<()> {
    let Some(cluster) = cluster_of(MAJOR..=MAJOR)? else { return Ok(()) };
    let start = cluster.flush_wal()?;
    cluster.psql(
        "postgres",
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 500); VACUUM t; CHECKPOINT;
         DELETE FROM t WHERE id % 100 = 0;",
    )?;
    let relation =
        "SELECT concat_ws('/', 1663, oid, pg_relation_filenode('t')) FROM pg_database WHERE datname = 'postgres'";
    let relation = cluster.psql("postgres", relation)?;
    let xid = cluster.psql("postgres", "INSERT INTO t VALUES (0) RETURNING pg_current_xact_id()::xid")?;
    let end = cluster.flush_wal()?;
    let options: [&[&str]; 13] = [
        &["--relation", &relation],
        &["-R", &relation, "-B", "1"],
        &["-R", &relation, "--block", "999"],
        &["--fork", "vm"],
        &["-R", &relation, "-F", "main", "-w"],
        &["--fullpage", "-b"],
        &["--quiet"],
        &["--limit", "7"],
        &["-n", "3", "-r", "heap"],
        &["--rmgr=Heap", "--rmgr=Transaction"],
        &["--xid", &xid],
        &["-x", &xid, "-r", "XLOG"],
        &["--timeline", "1", "-b"],
    ];
    for more in options {
        let more = more.iter().map(|option| (*option).to_owned());
        let options: Vec<_> = range(start, end).into_iter().chain(more).collect();
        let (ours, theirs) = both(&cluster, &options)?;
        compare(&ours, &theirs).with_context(|| format!("{options:?}"))?;
    }
    // The end of each record, a byte less, and a start that is not the beginning of a record.
    let all = both(&cluster, &range(start, end))?.0;
    let lsn = |line: &str| -> Option<Lsn> { line.split("lsn: ").nth(1)?.split(',').next()?.parse().ok() };
    let begins: Vec<_> = all.lines().filter_map(lsn).take(40).collect();
    for stop in begins.iter().skip(2).flat_map(|lsn| [-9, -8, -5, -1, 0, 1].map(|by| lsn.get().wrapping_add_signed(by)))
    {
        let (ours, theirs) = both(&cluster, &range(start, Lsn::new(stop)))?;
        compare(&ours, &theirs).with_context(|| format!("--end={}", Lsn::new(stop)))?;
    }
    for begin in begins.iter().take(5).map(|lsn| lsn.advanced(8)) {
        let (ours, theirs) = both(&cluster, &range(begin, end))?;
        assert!(ours.starts_with("first record is after"));
        assert_eq!(ours.lines().next(), theirs.lines().next());
        compare(&ours, &theirs)?;
    }
    let list = text(walker()?.args(["dump", "--rmgr", "list"]).output()?)?;
    assert_eq!(list, text(cluster.program("pg_waldump")?.args(["--rmgr", "list"]).output()?)?);
    Ok(())
}

#[test]
fn where_the_log_ends_is_an_error_only_if_more_was_asked_for() -> Result<()> {
    let Some(cluster) = cluster()? else { return Ok(()) };
    let end = cluster.flush_wal()?;
    let path = cluster.wal_directory();
    let dump = |options: &[&str]| -> Result<Output> {
        Ok(walker()?.args(["dump", "--limit", "0", "--path"]).arg(&path).args(options).output()?)
    };
    assert!(dump(&[])?.status.success());
    let pgdata = walker()?.args(["dump", "--pgdata"]).arg(cluster.data_directory()).output()?;
    assert!(pgdata.status.success());
    let output = dump(&["--end", &end.advanced(4096).to_string()])?;
    let message = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("walker: error: could not read WAL up to"), "{message}");
    let output = dump(&["--start", &end.advanced(4096).to_string()])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("could not find a valid record after"));
    assert_eq!(dump(&["--end", "x"])?.status.code(), Some(1));
    Ok(())
}
