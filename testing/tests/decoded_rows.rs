//! Logical decoding of a custom resource manager's records into rows and messages, by the extension `decoded_rows`: what
//! output plugins are told, against what they are told of a heap and by `pg_logical_emit_message`.

use std::time::Duration;

use anyhow::{Result, ensure};
use walker_testing::{Cluster, ClusterBuilder, Installation};

const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(60);

fn builder() -> Result<ClusterBuilder> {
    let builder = Cluster::builder(&Installation::for_tests()?).setting("shared_preload_libraries", "decoded_rows");
    Ok(builder.setting("wal_level", "logical").setting("autovacuum", "off"))
}

fn start() -> Result<Cluster> {
    let cluster = builder()?.start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION decoded_rows")?;
    Ok(cluster)
}

fn create_slot(cluster: &Cluster, database: &str, slot: &str) -> Result<()> {
    cluster.psql(database, &format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')"))?;
    Ok(())
}

/// What `test_decoding` was told since the last call; `options` begin with a comma.
fn changes(cluster: &Cluster, database: &str, slot: &str, options: &str) -> Result<Vec<String>> {
    cluster.flush_wal()?;
    let query = format!(
        "SELECT data FROM pg_logical_slot_get_changes('{slot}', NULL, NULL, \
         'include-xids', '0', 'skip-empty-xacts', '1'{options})"
    );
    let mut told: Vec<String> = cluster.psql_rows(database, &query)?.into_iter().flatten().collect();
    // By such a message, flush_wal makes the log durable.
    told.retain(|line| !line.contains("prefix: walker-testing,"));
    // That of 15 does not tell where a transaction begins and ends that has messages alone.
    let transactions = told.split_inclusive(|line| line == "COMMIT");
    let without_frame = |transaction: &[String]| {
        let has_rows = !rows_of(transaction).is_empty();
        let lines = transaction.iter().filter(move |line| has_rows || !["BEGIN", "COMMIT"].contains(&line.as_str()));
        lines.cloned().collect::<Vec<_>>()
    };
    Ok(transactions.flat_map(without_frame).collect())
}

/// Without where transactions begin and end.
fn rows_of(changes: &[String]) -> Vec<&str> {
    changes.iter().map(String::as_str).filter(|line| line.starts_with("table ")).collect()
}

/// Runs each statement with the tables `theirs`, a heap, and `ours`, whose rows are in the records alone.
fn on_both(cluster: &Cluster, sql: &str) -> Result<()> {
    for table in ["theirs", "ours"] {
        cluster.psql(DATABASE, &sql.replace("TABLE_NAME", table))?;
    }
    Ok(())
}

/// That both tables are told of in the same words; returns those about `ours`.
fn equal_rows(cluster: &Cluster) -> Result<Vec<String>> {
    let changes = changes(cluster, DATABASE, "slot", "")?;
    let of = |table: &str| -> Vec<String> {
        let begin = format!("table public.{table}: ");
        changes.iter().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect()
    };
    assert_eq!(of("ours"), of("theirs"));
    Ok(of("ours"))
}

#[test]
fn rows_are_told_as_those_of_a_heap_with_each_replica_identity() -> Result<()> {
    let cluster = start()?;
    create_slot(&cluster, DATABASE, "slot")?;
    let key_a = "old-key: a[integer]:1 new-tuple:";
    let key_b = "old-key: b[text]:'x' new-tuple:";
    let all = "old-key: a[integer]:1 b[text]:'x' c[numeric[]]:'{1.5,NULL}' new-tuple:";
    for (identity, update_of_c, update_of_a, update_of_b, delete) in [
        ("DEFAULT", "a[integer]:1", key_a, "a[integer]:2", "a[integer]:2"),
        ("USING INDEX TABLE_NAME_b", "a[integer]:1", "a[integer]:2", key_b, "b[text]:'y'"),
        (
            "FULL",
            "old-key: a[integer]:1 b[text]:'x' new-tuple:",
            all,
            "old-key: a[integer]:2",
            "a[integer]:2 b[text]:'y'",
        ),
        ("NOTHING", "a[integer]:1", "a[integer]:2", "a[integer]:2", "(no-tuple-data)"),
    ] {
        on_both(
            &cluster,
            &format!(
                "DROP TABLE IF EXISTS TABLE_NAME;
                 CREATE TABLE TABLE_NAME (gone int, a int PRIMARY KEY, b text NOT NULL, c numeric[]);
                 ALTER TABLE TABLE_NAME DROP gone;
                 CREATE UNIQUE INDEX TABLE_NAME_b ON TABLE_NAME (b);
                 ALTER TABLE TABLE_NAME REPLICA IDENTITY {identity};"
            ),
        )?;
        cluster.psql(
            DATABASE,
            "INSERT INTO theirs VALUES (1, 'x', NULL); UPDATE theirs SET c = '{1.5, NULL}'; UPDATE theirs SET a = 2;
             UPDATE theirs SET b = 'y'; DELETE FROM theirs;",
        )?;
        let rows = [
            "ROW(1, 'x', NULL)",
            "ROW(1, 'x', '{1.5, NULL}')",
            "ROW(2, 'x', '{1.5, NULL}')",
            "ROW(2, 'y', '{1.5, NULL}')",
        ]
        .map(|row| format!("{row}::ours"));
        let [inserted, with_c, with_a, with_b] = &rows;
        cluster.psql(
            DATABASE,
            &format!(
                "SELECT decoded_rows_insert('ours', {inserted});
                 SELECT decoded_rows_update('ours', {inserted}, {with_c});
                 SELECT decoded_rows_update('ours', {with_c}, {with_a});
                 SELECT decoded_rows_update('ours', {with_a}, {with_b});
                 SELECT decoded_rows_delete('ours', {with_b});"
            ),
        )?;
        let told = equal_rows(&cluster)?;
        let expected = [
            "INSERT: a[integer]:1 b[text]:'x' c[numeric[]]:null".to_owned(),
            format!("UPDATE: {update_of_c}"),
            format!("UPDATE: {update_of_a}"),
            format!("UPDATE: {update_of_b}"),
            format!("DELETE: {delete}"),
        ];
        assert_eq!(told.len(), expected.len(), "{identity}: {told:?}");
        for (told, expected) in told.iter().zip(&expected) {
            assert!(told.starts_with(expected), "{identity}: {told}, not {expected}");
        }
    }
    Ok(())
}

#[test]
fn a_table_without_key_tells_nothing_of_the_old_row() -> Result<()> {
    let cluster = start()?;
    create_slot(&cluster, DATABASE, "slot")?;
    on_both(&cluster, "CREATE TABLE TABLE_NAME (a int)")?;
    cluster.psql(
        DATABASE,
        "INSERT INTO theirs VALUES (1); UPDATE theirs SET a = 2; DELETE FROM theirs;
         SELECT decoded_rows_insert('ours', ROW(1)::ours);
         SELECT decoded_rows_update('ours', ROW(1)::ours, ROW(2)::ours);
         SELECT decoded_rows_delete('ours', ROW(2)::ours);",
    )?;
    let expected = ["INSERT: a[integer]:1", "UPDATE: a[integer]:2", "DELETE: (no-tuple-data)"];
    assert_eq!(equal_rows(&cluster)?, expected);
    Ok(())
}

#[test]
fn values_of_all_sizes_come_whole_whether_decoding_spills_or_not() -> Result<()> {
    let cluster = start()?;
    // Plain, compressed, stored elsewhere, elsewhere and compressed, and a null bitmap of many bytes.
    let columns: String = (1..=70).map(|number| format!(", n{number} int")).collect();
    cluster.psql(DATABASE, &format!("CREATE TABLE ours (a int, b text{columns})"))?;
    create_slot(&cluster, DATABASE, "slot")?;
    cluster.psql(
        DATABASE,
        "INSERT INTO ours SELECT 1, 'short';
         INSERT INTO ours SELECT 2, repeat('x', 5000);
         INSERT INTO ours SELECT 3, string_agg(md5(n::text), '') FROM generate_series(1, 4000) n;
         INSERT INTO ours SELECT 4, string_agg(md5(n::text), '') || repeat('y', 1000000) FROM generate_series(1, 2000) n;
         INSERT INTO ours SELECT;
         INSERT INTO ours (a, n69) SELECT n, n FROM generate_series(5, 1000) n;",
    )?;
    let external = "SELECT count(*) FROM ours WHERE pg_column_size(b) > 8000 AND b IS NOT NULL";
    assert_eq!(cluster.psql(DATABASE, external)?, "2");
    let of_heap = changes(&cluster, DATABASE, "slot", "")?;
    assert_eq!(rows_of(&of_heap).len(), 1001);

    for setting in ["64MB", "64kB"] {
        cluster.psql(DATABASE, "SELECT decoded_rows_insert_all('ours')")?;
        cluster.psql(DATABASE, &format!("ALTER SYSTEM SET logical_decoding_work_mem = '{setting}'"))?;
        cluster.reload()?;
        cluster.wait_until_true(
            DATABASE,
            &format!("SELECT current_setting('logical_decoding_work_mem') = '{setting}'"),
            TIMEOUT,
        )?;
        let told = changes(&cluster, DATABASE, "slot", "")?;
        assert_eq!(told.len(), 1003, "one transaction");
        // Not by assert_eq, which would print megabytes.
        ensure!(rows_of(&told) == rows_of(&of_heap), "{setting}: rows differ");
    }
    Ok(())
}

#[test]
fn rows_come_with_their_transaction_in_its_order() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE TABLE t (a int)")?;
    create_slot(&cluster, DATABASE, "slot")?;
    let insert = |number: i32| format!("SELECT decoded_rows_insert('t', ROW({number})::t)");
    let [mut first, mut second, mut third] =
        [cluster.session(DATABASE)?, cluster.session(DATABASE)?, cluster.session(DATABASE)?];
    first.execute(&format!("BEGIN; {}; SAVEPOINT s; {}", insert(1), insert(2)))?;
    second.execute(&format!("BEGIN; {}", insert(10)))?;
    third.execute(&format!("BEGIN; {}", insert(20)))?;
    first.execute(&format!("ROLLBACK TO s; {}; INSERT INTO t VALUES (4); SAVEPOINT s2; {}", insert(3), insert(5)))?;
    second.execute("COMMIT")?;
    third.execute(&format!("{}; ROLLBACK", insert(21)))?;
    first.execute("RELEASE s2; COMMIT")?;
    let row = |number: i32| format!("table public.t: INSERT: a[integer]:{number}");
    let (begin, commit) = ("BEGIN".to_owned(), "COMMIT".to_owned());
    let expected = [begin.clone(), row(10), commit.clone(), begin, row(1), row(3), row(4), row(5), commit];
    assert_eq!(changes(&cluster, DATABASE, "slot", "")?, expected);
    Ok(())
}

#[test]
fn rows_have_the_columns_of_their_time() -> Result<()> {
    let cluster = start()?;
    create_slot(&cluster, DATABASE, "slot")?;
    let script = "BEGIN; CREATE TABLE TABLE_NAME (a int);
         INSERT_ROW(1)END_ROW;
         ALTER TABLE TABLE_NAME ADD b text DEFAULT 'd';
         INSERT_ROW(2, 'x')END_ROW;
         COMMIT;
         INSERT_ROW(3, 'y')END_ROW;
         ALTER TABLE TABLE_NAME DROP a;
         INSERT_ROW('z')END_ROW;
         TRUNCATE TABLE_NAME;
         ALTER TABLE TABLE_NAME RENAME b TO c;
         INSERT_ROW('1')END_ROW;
         ALTER TABLE TABLE_NAME ALTER c DROP DEFAULT, ALTER c TYPE int USING c::int;
         INSERT_ROW(2)END_ROW;";
    for (table, begin, end) in
        [("theirs", "INSERT INTO theirs VALUES ", ""), ("ours", "SELECT decoded_rows_insert('ours', ROW", "::ours)")]
    {
        let script = script.replace("INSERT_ROW", begin).replace("END_ROW", end).replace("TABLE_NAME", table);
        cluster.psql(DATABASE, &script)?;
    }
    let expected = [
        "INSERT: a[integer]:1",
        "INSERT: a[integer]:2 b[text]:'x'",
        "INSERT: a[integer]:3 b[text]:'y'",
        "INSERT: b[text]:'z'",
        "TRUNCATE: (no-flags)",
        "INSERT: c[text]:'1'",
        "INSERT: c[integer]:2",
    ];
    assert_eq!(equal_rows(&cluster)?, expected);
    Ok(())
}

#[test]
fn messages_come_with_their_transaction_or_at_once() -> Result<()> {
    let cluster = start()?;
    create_slot(&cluster, DATABASE, "slot")?;
    // One with each, and without a transaction.
    for (call, prefix) in [("decoded_rows_message(", "decoded_rows"), ("pg_logical_emit_message(", "theirs")] {
        let emit = |transactional: bool, content: &str| match prefix {
            "theirs" => format!("SELECT {call}{transactional}, 'theirs', '{content}');"),
            _ => format!("SELECT {call}{transactional}, '{content}');"),
        };
        let (in_transaction, at_once) = (emit(true, "in it"), emit(false, "at once"));
        cluster.psql(
            DATABASE,
            &format!(
                "BEGIN; {in_transaction} {at_once} COMMIT; BEGIN; {in_transaction} {at_once} ROLLBACK; {at_once}
                 BEGIN; SAVEPOINT s; {in_transaction} ROLLBACK TO s; {at_once} COMMIT;"
            ),
        )?;
        let immediate = format!("message: transactional: 0 prefix: {prefix}, sz: 7 content:at once");
        let transactional = format!("message: transactional: 1 prefix: {prefix}, sz: 5 content:in it");
        let expected = [&immediate, &transactional, &immediate, &immediate, &immediate].map(String::clone);
        assert_eq!(changes(&cluster, DATABASE, "slot", "")?, expected);
    }
    Ok(())
}

#[test]
fn what_other_databases_do_is_not_told() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE DATABASE other")?;
    cluster.psql("other", "CREATE EXTENSION decoded_rows")?;
    for database in [DATABASE, "other"] {
        cluster.psql(database, "CREATE TABLE t (a int)")?;
        create_slot(&cluster, database, &format!("slot_of_{database}"))?;
    }
    let script = "SELECT decoded_rows_insert('t', ROW(1)::t); SELECT decoded_rows_message(true, 'in it');
         SELECT decoded_rows_message(false, 'at once');";
    cluster.psql("other", script)?;
    assert!(changes(&cluster, DATABASE, &format!("slot_of_{DATABASE}"), "")?.is_empty());
    assert_eq!(changes(&cluster, "other", "slot_of_other", "")?.len(), 5);
    Ok(())
}

#[test]
fn what_came_from_elsewhere_is_left_out_if_the_record_says_so() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE TABLE t (a int)")?;
    create_slot(&cluster, DATABASE, "all")?;
    create_slot(&cluster, DATABASE, "local")?;
    // The commit has no origin any more: it is each record's that counts.
    cluster.psql(
        DATABASE,
        "SELECT pg_replication_origin_create('elsewhere'); SELECT pg_replication_origin_session_setup('elsewhere');
         BEGIN;
         SELECT decoded_rows_insert('t', ROW(1)::t, true), decoded_rows_insert('t', ROW(2)::t, false);
         SELECT decoded_rows_message(true, '3', true), decoded_rows_message(true, '4', false);
         SELECT decoded_rows_message(false, '5', true), decoded_rows_message(false, '6', false);
         SELECT pg_replication_origin_session_reset();
         COMMIT;",
    )?;
    let row = |number: i32| format!("table public.t: INSERT: a[integer]:{number}");
    let message = |transactional: i32, content: i32| {
        format!("message: transactional: {transactional} prefix: decoded_rows, sz: 1 content:{content}")
    };
    let (begin, commit) = ("BEGIN".to_owned(), "COMMIT".to_owned());
    let all =
        [message(0, 5), message(0, 6), begin.clone(), row(1), row(2), message(1, 3), message(1, 4), commit.clone()];
    assert_eq!(changes(&cluster, DATABASE, "all", "")?, all);
    let local = [message(0, 6), begin, row(2), message(1, 4), commit];
    assert_eq!(changes(&cluster, DATABASE, "local", ", 'only-local', '1'")?, local);
    Ok(())
}

#[test]
fn what_is_from_before_the_slots_snapshot_is_not_told() -> Result<()> {
    let cluster = start()?;
    on_both(&cluster, "CREATE TABLE TABLE_NAME (a int)")?;
    let all_ways = |number: i32| {
        format!(
            "INSERT INTO theirs VALUES ({number}); SELECT decoded_rows_insert('ours', ROW({number})::ours);
             SELECT pg_logical_emit_message(false, 'theirs', '{number}'), decoded_rows_message(false, '{number}');
             SELECT pg_logical_emit_message(true, 'theirs', '{number}'), decoded_rows_message(true, '{number}');"
        )
    };
    let [mut older, mut slot] = [cluster.session(DATABASE)?, cluster.session(DATABASE)?];
    older.execute(&format!("BEGIN; {}", all_ways(1)))?;
    slot.send("SELECT pg_create_logical_replication_slot('slot', 'test_decoding')")?;
    let waits = format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}", slot.backend_id());
    cluster.wait_until_true(DATABASE, &waits, TIMEOUT)?;
    older.execute(&format!("{} COMMIT;", all_ways(2)))?;
    slot.wait(TIMEOUT)?;
    // And what is skipped without telling.
    cluster.psql(DATABASE, &all_ways(3))?;
    cluster.flush_wal()?;
    cluster.psql(DATABASE, "SELECT pg_replication_slot_advance('slot', pg_current_wal_lsn())")?;
    cluster.psql(DATABASE, &all_ways(4))?;
    let message = |transactional: i32, prefix| {
        format!("message: transactional: {transactional} prefix: {prefix}, sz: 1 content:4")
    };
    let [begin, commit] = ["BEGIN", "COMMIT"].map(str::to_owned);
    let expected = [
        begin.clone(),
        "table public.theirs: INSERT: a[integer]:4".to_owned(),
        commit.clone(),
        begin,
        "table public.ours: INSERT: a[integer]:4".to_owned(),
        commit,
        message(0, "theirs"),
        message(0, "decoded_rows"),
        message(1, "theirs"),
        message(1, "decoded_rows"),
    ];
    assert_eq!(changes(&cluster, DATABASE, "slot", "")?, expected);
    Ok(())
}

#[test]
fn rows_of_tables_that_are_not_logged_are_not_told() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE UNLOGGED TABLE t (a int PRIMARY KEY)")?;
    create_slot(&cluster, DATABASE, "slot")?;
    cluster.psql(
        DATABASE,
        "SELECT decoded_rows_insert('t', ROW(1)::t); SELECT decoded_rows_update('t', ROW(1)::t, ROW(2)::t);
         SELECT decoded_rows_delete('t', ROW(2)::t);",
    )?;
    assert!(rows_of(&changes(&cluster, DATABASE, "slot", "")?).is_empty());
    Ok(())
}

#[test]
fn a_record_that_holds_no_row_is_an_error_of_who_decodes_it() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE TABLE t (a int)")?;
    for (bytes, cause) in [
        ("", "t_infomask2: wanted 2 bytes, 0 left"),
        ("01000000", "t_hoff: wanted 1 bytes, 0 left"),
        ("0100000000", "t_hoff: invalid value 0"),
        ("0900010018ffffffff", "t_hoff: invalid value 24"),
        ("ff07000018ffffffff", "t_infomask2: invalid value 2047"),
        ("0100000020ffffffff", "tuple: wanted 9 bytes, 4 left"),
    ] {
        create_slot(&cluster, DATABASE, "slot")?;
        cluster.psql(DATABASE, &format!("SELECT decoded_rows_insert_bytes('t', '\\x{bytes}')"))?;
        let mut session = cluster.session(DATABASE)?;
        for _ in 0..2 {
            let query = "SELECT count(*) FROM pg_logical_slot_get_changes('slot', NULL, NULL)";
            let error = format!("{:#}", session.execute(query).unwrap_err());
            let expected = format!("cannot decode a record of resource manager \"decoded_rows\": {cause}");
            assert!(error.contains(&expected), "{bytes}: {error}");
        }
        // Nothing is left locked.
        session.execute("SELECT pg_drop_replication_slot('slot')")?;
    }
    let log = cluster.log()?;
    assert!(!log.contains("PANIC") && !log.contains("terminated by signal"), "{log}");
    Ok(())
}

#[test]
fn a_subscription_gets_the_rows() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE DATABASE subscriber")?;
    for database in [DATABASE, "subscriber"] {
        cluster.psql(database, "CREATE TABLE t (a int PRIMARY KEY, b text)")?;
    }
    cluster.psql(
        DATABASE,
        "CREATE PUBLICATION p FOR TABLE t; SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
    )?;
    // Its slot is there: to make it in the same server would wait for itself.
    let connection = cluster.connection_string(DATABASE).replace('\'', "''");
    cluster.psql(
        "subscriber",
        &format!(
            "CREATE SUBSCRIPTION s CONNECTION '{connection}' PUBLICATION p WITH (create_slot = false, copy_data = false)"
        ),
    )?;
    cluster.psql(
        DATABASE,
        "SELECT decoded_rows_insert('t', ROW(n, repeat(md5(n::text), 500))::t) FROM generate_series(1, 100) n;
         SELECT decoded_rows_update('t', ROW(1, '')::t, ROW(1, 'changed')::t);
         SELECT decoded_rows_update('t', ROW(2, '')::t, ROW(-2, 'moved')::t);
         SELECT decoded_rows_delete('t', ROW(n, '')::t) FROM generate_series(11, 100) n;",
    )?;
    let there = "SELECT count(*) = 10 AND sum(length(b)) = 8 * 16000 + 12 FROM t";
    cluster.wait_until_true("subscriber", there, TIMEOUT)?;
    assert_eq!(cluster.psql("subscriber", "SELECT a, b FROM t WHERE a < 2 ORDER BY a")?, "-2|moved\n1|changed");
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) FROM t")?, "0");
    cluster.psql(
        "subscriber",
        "ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s",
    )?;
    Ok(())
}
