//! The index access method `hyperloglog` in the WAL: after crashes, on a standby, in logical decoding, and how its records
//! are described.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use custom_rmgrs::hyperloglog::Hyperloglog;
use pgwal::{CustomRmgr as _, Lsn};
use walker_testing::wal_object::{CrashTest, StandbyTest, WalUsage, Workload};
use walker_testing::{Cluster, ClusterBuilder, Installation, Mode, walker};

const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(60);

fn builder() -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "hyperloglog")
        .setting("autovacuum", "off"))
}

fn start(builder: ClusterBuilder) -> Result<Cluster> {
    let cluster = builder.start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION hyperloglog")?;
    Ok(cluster)
}

/// Each register is at least as great as the committed rows ask for. Rows that were not committed may have made it greater.
const AT_LEAST_AS_FRESH: &str = "
    CREATE TEMPORARY TABLE fresh AS SELECT a, b FROM t;
    CREATE INDEX fresh_index ON fresh USING hyperloglog (a, b) WITH (precision = 14);
    SELECT bool_and(get_byte(kept, n) >= get_byte(fresh, n)), count(*)
    FROM generate_series(1, 2) c,
        LATERAL (SELECT hyperloglog_registers('i', c) AS kept, hyperloglog_registers('fresh_index', c) AS fresh) AS compared,
        generate_series(0, length(kept) - 1) n";

/// Sessions insert rows into a table with two columns, whose sketches have three pages each. One in a while resets or merges.
fn workload() -> Workload {
    Workload::of::<Hyperloglog>()
        .setup(
            "CREATE EXTENSION hyperloglog; CREATE TABLE t (a int, b text);
             CREATE INDEX i ON t USING hyperloglog (a, b) WITH (precision = 14);
             CREATE TABLE r (v int); CREATE INDEX ri ON r USING hyperloglog (v) WITH (precision = 16);
             CREATE UNLOGGED TABLE u (v int); CREATE INDEX ui ON u USING hyperloglog (v)",
        )
        .operation("insert", |turn| {
            let from = turn.random.u32(..);
            format!("INSERT INTO t SELECT hashint8(n), md5(n::text) FROM generate_series({from}::bigint, {from} + 30::bigint) n")
        })
        .operation("insert and forget", |turn| {
            format!("INSERT INTO r SELECT {0} + n FROM generate_series(1, 30) n", turn.random.u32(..1_000_000))
        })
        .operation("reset", |_| "SELECT hyperloglog_reset('ri')".to_owned())
        .operation("update", |turn| {
            // Rows of its own: two that update the same ones in different orders would wait for each other.
            format!("UPDATE t SET b = b || 'x' WHERE a % 97 = {} AND a & 3 = {}", turn.random.u32(..97), turn.session)
        })
        .maintenance("vacuum", |_| "VACUUM (TRUNCATE false) t".to_owned())
        .roll_back_one_in(5)
        .digest(
            "SELECT c, md5(hyperloglog_registers('i', c)), hyperloglog_count('i', c) FROM generate_series(1, 2) c
             UNION ALL SELECT 3, md5(hyperloglog_registers('ri')), hyperloglog_count('ri') ORDER BY 1",
        )
        .invariant("registers are as great as the committed rows ask for", |server, _| {
            if server.psql(DATABASE, "SELECT pg_is_in_recovery()")? == "f" {
                let found = server.psql(DATABASE, AT_LEAST_AS_FRESH)?;
                ensure!(found == "t|32768", "{found}");
                // Made of its init fork after a crash.
                let unlogged = "INSERT INTO u SELECT generate_series(1, 100); SELECT hyperloglog_count('ui') BETWEEN 97 AND 103";
                let found = server.psql(DATABASE, unlogged)?;
                ensure!(found == "t", "the index of an unlogged table counts wrongly");
            }
            Ok(())
        })
}

#[test]
fn sketches_survive_crashes() -> Result<()> {
    let report = CrashTest::new(&workload()).run(builder()?)?;
    println!("{report}");
    Ok(())
}

#[test]
fn sketches_are_the_same_on_a_standby_and_after_its_promotion() -> Result<()> {
    let report =
        StandbyTest::new(&workload()).compare_pages("i", |_, _| {}).compare_pages("ri", |_, _| {}).run(builder()?)?;
    println!("{report}");
    Ok(())
}

#[test]
fn a_value_that_changes_nothing_writes_nothing_and_another_48_bytes() -> Result<()> {
    let cluster = start(builder()?)?;
    cluster.psql(DATABASE, "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v)")?;
    let index = cluster.relation_files(DATABASE, "i")?;
    let insert = |values: &str| -> Result<_> {
        let usage = WalUsage::measure(&cluster, DATABASE, |session| {
            session.execute(&format!("INSERT INTO t SELECT {values}")).map(drop)
        })?;
        let volume = usage.of_relation(index).volume();
        ensure!(usage.of_rmgr(Hyperloglog::ID.into()).volume().records == volume.records);
        Ok(volume)
    };
    let first = insert("generate_series(1, 1000)")?;
    println!("1000 new values: {first:?}");
    // Some of them meet in one register, of which the second is smaller.
    ensure!((800..=1000).contains(&first.records), "{first:?}");
    first.require_at_most(48, first.records)?;
    let again = insert("generate_series(1, 1000)")?;
    ensure!(again.records == 0, "{again:?}");
    let image = "CHECKPOINT";
    cluster.psql(DATABASE, image)?;
    let behind = insert("generate_series(1001, 2000)")?;
    println!("1000 more behind a checkpoint: {behind:?}");
    ensure!(behind.images == 1, "{behind:?}");
    cluster.psql(DATABASE, "INSERT INTO t SELECT generate_series(1, 1000000)")?;
    let late = insert("generate_series(1000001, 1010000)")?;
    println!("10000 after a million: {late:?}");
    ensure!(late.records < 100, "{late:?}");
    Ok(())
}

/// Operations of each kind; an image of a page that has a change too is among them.
const ALL_OPERATIONS: &str = "
    CREATE TABLE t (v int, w int);
    INSERT INTO t SELECT n, n FROM generate_series(1, 100) n;
    CREATE INDEX i ON t USING hyperloglog (v, w) WITH (precision = 13);
    INSERT INTO t VALUES (1000, 1000), (1001, NULL), (1, 1);
    CHECKPOINT;
    INSERT INTO t VALUES (1002, NULL);
    CREATE TABLE o (v int); CREATE INDEX oi ON o USING hyperloglog (v) WITH (precision = 13);
    INSERT INTO o SELECT generate_series(1, 20);
    SELECT hyperloglog_merge('i', 1, hyperloglog_registers('oi'));
    SELECT hyperloglog_merge('oi', 1, hyperloglog_registers('i'));
    SELECT hyperloglog_reset('i');
    CREATE UNLOGGED TABLE u (v int); CREATE INDEX ui ON u USING hyperloglog (v);";

#[test]
fn pg_walinspect_and_walker_dump_describe_the_records_in_the_same_words() -> Result<()> {
    let cluster = start(builder()?)?;
    cluster.psql(DATABASE, "CREATE EXTENSION pg_walinspect")?;
    let begin = cluster.flush_wal()?;
    cluster.psql(DATABASE, ALL_OPERATIONS)?;
    let end = cluster.flush_wal()?;
    let records = format!(
        "SELECT start_lsn, record_type, description FROM pg_get_wal_records_info('{begin}', '{end}')
         WHERE resource_manager = 'hyperloglog' ORDER BY start_lsn"
    );
    let expected: Vec<_> = cluster
        .psql_rows(DATABASE, &records)?
        .into_iter()
        .map(|row| (row[0].parse::<Lsn>().unwrap(), format!("{} {}", row[1], row[2])))
        .collect();
    let mut dump = walker()?;
    dump.args(["dump", "--rmgr", "hyperloglog", "--start", &begin.to_string(), "--end", &end.to_string(), "--path"]);
    let dump = String::from_utf8(dump.arg(cluster.wal_directory()).output()?.stdout)?;
    let found: Vec<_> = dump.lines().map(described).collect::<Result<_>>()?;
    assert_eq!(found, expected);
    let kinds = |kind: &str| expected.iter().filter(|(_, text)| text.starts_with(kind)).count();
    // Two pages for each sketch of precision 13, and one for the init fork.
    assert_eq!((kinds("INITIALIZE"), kinds("RESET")), (3 * 2 + 1, 2));
    for text in [
        "INITIALIZE column 1, precision 13, page 0, registers set ",
        "SET column 1, register ",
        "SET column 2, register ",
        "RESET column 1, precision 13, pages 2",
        "RESET column 2, precision 13, pages 2",
    ] {
        assert!(expected.iter().any(|(_, line)| line.starts_with(text)), "{text}: {expected:#?}");
    }
    Ok(())
}

/// Position and description in a line of `walker dump`.
fn described(line: &str) -> Result<(Lsn, String)> {
    let part = |from: &str, to: &str| {
        let behind = line.split_once(from).map(|(_, behind)| behind);
        behind.and_then(|behind| behind.split_once(to)).map(|(part, _)| part.to_owned())
    };
    match (part("lsn: ", ","), part("desc: ", ", blkref")) {
        (Some(lsn), Some(text)) => Ok((lsn.parse()?, text)),
        _ => anyhow::bail!("not a line of walker dump: {line}"),
    }
}

#[test]
fn logical_decoding_tells_of_each_change_at_once_and_of_this_database_only() -> Result<()> {
    let cluster = start(builder()?.setting("wal_level", "logical"))?;
    cluster.psql(DATABASE, "CREATE DATABASE other; SELECT pg_create_logical_replication_slot('s', 'test_decoding')")?;
    cluster.psql(
        "other",
        "CREATE EXTENSION hyperloglog; CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v);
                           INSERT INTO t VALUES (1)",
    )?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v);
         BEGIN; INSERT INTO t VALUES (1); ROLLBACK; CHECKPOINT;
         BEGIN; INSERT INTO t VALUES (1), (2); COMMIT;
         SELECT hyperloglog_reset('i');",
    )?;
    let files = cluster.relation_files(DATABASE, "i")?;
    let changes = "SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL, 'include-xids', 'false')
                   WHERE data LIKE '%prefix: hyperloglog%' OR data LIKE 'table%'";
    let told = cluster.psql(DATABASE, changes)?;
    let lines: Vec<_> = told.lines().collect();
    let contents: Vec<_> =
        lines.iter().filter_map(|line| line.split_once("content:")).map(|(_, content)| content).collect();
    let of_index = |text: &str| format!("{text} {files} column 1, ");
    assert_eq!(contents.len(), 4, "{lines:#?}");
    assert_eq!(contents[0], of_index("INITIALIZE") + "precision 12, page 0, registers set 0");
    // The first is that of the transaction that was rolled back: its value is there.
    assert!(contents[1].starts_with(&of_index("SET")) && contents[2].starts_with(&of_index("SET")), "{lines:#?}");
    assert_ne!(contents[1], contents[2]);
    assert_eq!(contents[3], of_index("RESET") + "precision 12, pages 1");
    let messages = lines.iter().filter(|line| line.starts_with("message: transactional: 0 prefix: hyperloglog, sz: "));
    assert_eq!(messages.count(), 4, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("table public.t: INSERT: ")).count(), 2, "{lines:#?}");
    Ok(())
}

#[test]
fn what_a_replication_origin_wrote_can_be_left_out() -> Result<()> {
    let cluster = start(builder()?.setting("wal_level", "logical"))?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v);
         SELECT pg_create_logical_replication_slot('s', 'test_decoding'); SELECT pg_replication_origin_create('elsewhere')",
    )?;
    let mut session = cluster.session(DATABASE)?;
    session.execute("SELECT pg_replication_origin_session_setup('elsewhere'); INSERT INTO t VALUES (1)")?;
    cluster.psql(DATABASE, "INSERT INTO t VALUES (2)")?;
    let told = |only_local: &str| {
        let changes = format!(
            "SELECT count(*) FROM pg_logical_slot_peek_changes('s', NULL, NULL, 'only-local', '{only_local}')
             WHERE data LIKE '%prefix: hyperloglog%'"
        );
        cluster.psql(DATABASE, &changes)
    };
    assert_eq!((told("false")?, told("true")?), ("2".to_owned(), "1".to_owned()));
    Ok(())
}

#[test]
fn a_reset_and_a_merge_that_were_answered_are_there_after_a_crash() -> Result<()> {
    // So that nobody else writes the log.
    let mut cluster = start(builder()?.setting("wal_writer_delay", "10s"))?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v); INSERT INTO t SELECT generate_series(1, 100);
         CREATE TABLE m (v int); CREATE INDEX mi ON m USING hyperloglog (v); CHECKPOINT;",
    )?;
    let registers = cluster.psql(DATABASE, "SELECT hyperloglog_registers('i')")?;
    cluster.psql(DATABASE, "SELECT hyperloglog_merge('mi', 1, hyperloglog_registers('i'))")?;
    cluster.crash_at_once()?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, "SELECT hyperloglog_registers('mi')")?, registers);
    cluster.psql(DATABASE, "SELECT hyperloglog_reset('i')")?;
    cluster.crash_at_once()?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, "SELECT hyperloglog_count('i')")?, "0");
    Ok(())
}

#[test]
fn recovery_needs_the_library() -> Result<()> {
    let mut cluster = start(builder()?)?;
    cluster.psql(DATABASE, "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v); CHECKPOINT")?;
    cluster.psql(DATABASE, "INSERT INTO t SELECT generate_series(1, 100)")?;
    let before = cluster.psql(DATABASE, "SELECT hyperloglog_registers('i')")?;
    cluster.stop(Mode::Immediate)?;
    cluster.configure([("shared_preload_libraries", "")])?;
    let failure = format!("{:#}", cluster.start().expect_err("recovery without the library"));
    assert!(failure.contains("resource manager with ID 222 not registered"), "{failure}");
    cluster.configure([("shared_preload_libraries", "hyperloglog")])?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, "SELECT hyperloglog_registers('i')")?, before);
    Ok(())
}

#[test]
fn a_standby_reads_and_changes_nothing() -> Result<()> {
    let primary = start(builder()?)?;
    primary.psql(
        DATABASE,
        "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v); INSERT INTO t SELECT generate_series(1, 100);
         CREATE UNLOGGED TABLE u (v int); CREATE INDEX ui ON u USING hyperloglog (v);",
    )?;
    let mut standby = primary.base_backup(Cluster::builder(primary.installation()))?;
    standby.follow(&primary)?;
    standby.start()?;
    standby.wait_for_lsn("pg_last_wal_replay_lsn()", primary.flush_wal()?, TIMEOUT)?;
    let same = "SELECT hyperloglog_registers('i')";
    assert_eq!(standby.psql(DATABASE, same)?, primary.psql(DATABASE, same)?);
    assert_eq!(standby.psql(DATABASE, "SELECT hyperloglog_count('i') BETWEEN 97 AND 103")?, "t");
    for (call, message) in [
        ("hyperloglog_reset('i')", "recovery is in progress"),
        ("hyperloglog_merge('i', 1, '')", "recovery is in progress"),
        ("hyperloglog_count('ui')", "cannot access temporary or unlogged relations during recovery"),
    ] {
        let failure = format!("{:#}", standby.psql(DATABASE, &format!("SELECT {call}")).expect_err(call));
        assert!(failure.contains(message), "{failure}");
    }
    Ok(())
}

#[test]
fn with_wal_level_minimal_what_the_same_transaction_made_is_there_after_a_crash() -> Result<()> {
    let mut cluster = start(builder()?.setting("wal_level", "minimal").setting("max_wal_senders", "0"))?;
    let made = cluster.flush_wal()?;
    cluster.psql(
        DATABASE,
        "BEGIN; CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v) WITH (precision = 13);
         INSERT INTO t SELECT generate_series(1, 100); COMMIT",
    )?;
    let usage = WalUsage::between(&cluster, made, cluster.flush_wal()?)?;
    assert_eq!(usage.of_rmgr(Hyperloglog::ID.into()).volume().records, 0);
    cluster.psql(DATABASE, "INSERT INTO t SELECT generate_series(101, 200)")?;
    let before = cluster.psql(DATABASE, "SELECT hyperloglog_registers('i')")?;
    cluster.crash()?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, "SELECT hyperloglog_registers('i')")?, before);
    assert_eq!(cluster.psql(DATABASE, "SELECT hyperloglog_count('i') BETWEEN 194 AND 206")?, "t");
    Ok(())
}

#[test]
fn a_damaged_page_is_an_error_and_not_the_end_of_the_server() -> Result<()> {
    // From 18 on pages have checksums if nothing else is said, which would find the damage before us.
    let mut cluster = start(builder()?.setting("ignore_checksum_failure", "on"))?;
    cluster.psql(DATABASE, "CREATE TABLE t (v int); CREATE INDEX i ON t USING hyperloglog (v, v)")?;
    let file = cluster.data_directory().join(cluster.psql(DATABASE, "SELECT pg_relation_filepath('i')")?);
    cluster.stop(Mode::Fast)?;
    let whole = fs::read(&file)?;
    // Never initialised, of somebody else, and the other column's page; in the second block, which is found last.
    let mut foreign = whole.clone();
    foreign[2 * 8192 - 1] ^= 1;
    for damaged in [[&whole[..8192], &[0; 8192]].concat(), foreign, [&whole[..8192], &whole[..8192]].concat()] {
        fs::write(&file, damaged)?;
        cluster.start()?;
        for call in ["INSERT INTO t VALUES (1)", "SELECT hyperloglog_count('i', 2)", "SELECT hyperloglog_reset('i')"] {
            let failure = format!("{:#}", cluster.psql(DATABASE, call).expect_err(call));
            let message = "ERROR:  index \"i\" contains corrupted page at block 1";
            assert!(failure.contains(message) && failure.contains("HINT:  Please REINDEX it."), "{call}: {failure}");
        }
        cluster.stop(Mode::Fast)?;
        fs::write(&file, &whole)?;
    }
    Ok(())
}
