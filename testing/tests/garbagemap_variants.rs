//! The garbage map with other settings, in several databases, and after tables have moved: in the server and over files.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{
    CREATE_GARBAGE_EXTENSIONS, Cluster, ClusterBuilder, Mode, assert_garbage_equal, change_again, every_kind_of_change,
    garbage_differences, garbagemap_cluster, poll, start_garbagemap, wait_until_garbage_known, walker_command,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "postgres";

/// A server that keeps all of its WAL.
fn builder() -> Result<ClusterBuilder> {
    Ok(garbagemap_cluster()?
        .setting("wal_keep_size", "4GB")
        .setting("checkpoint_timeout", "1h")
        .setting("garbagemap.baseline_rate", "1000"))
}

/// Every table of the database is known and counted as pgstattuple counts it, catalogs too.
fn assert_every_table_equal(cluster: &Cluster, database: &str) -> Result<()> {
    // Until all that was changed before the walk is in the files for certain, nothing is read.
    cluster.psql(database, "CHECKPOINT")?;
    wait_until_garbage_known(cluster, database).with_context(|| format!("in database {database}"))?;
    assert_eq!(garbage_differences(cluster, database)?, "", "in database {database}");
    Ok(())
}

/// What `walker garbage` finds in the server's WAL: file numbers of the relations of which it knows blocks, with tuples,
/// dead tuples, all-visible blocks, free bytes, and why they are not exact.
fn over_files(cluster: &Cluster, end: &str) -> Result<Vec<[String; 6]>> {
    let mut command = Command::new(walker_command()?);
    command.args(["garbage", "--format", "json", "--end", end, "--pgdata"]).arg(cluster.data_directory());
    let output = command.env_remove("RUST_BACKTRACE").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = String::from_utf8(output.stdout)?;
    let names = ["filenode", "tuples", "dead_tuples", "all_visible_blocks", "free_space", "inexact"];
    // An object for each relation, a line for each field.
    let objects = json.split('{').filter(|object| object.contains("\"filenode\""));
    let known = objects.filter(|object| field(object, "known_blocks").is_some_and(|blocks| blocks != "0"));
    known
        .map(|object| {
            let fields = names.map(|name| field(object, name).unwrap_or_default());
            ensure!(!fields[0].is_empty(), "no file number: {object}");
            Ok(fields)
        })
        .collect()
}

/// The value of a field, as it stands there.
fn field(object: &str, name: &str) -> Option<String> {
    let (_, rest) = object.split_once(&format!("\"{name}\": "))?;
    Some(rest.split([',', '\n', '}']).next()?.trim().to_owned())
}

/// Tables that were made by a test, as the server's map has them, and the same over its files.
fn assert_same_over_files(cluster: &Cluster) -> Result<()> {
    let (lsn, in_server) = cluster.at_a_quiet_moment(DATABASE, |session, lsn| {
        let rows = session.execute(
            "SELECT pg_relation_filenode(c.oid), sum(n_tuples), sum(n_dead_tuples), sum(n_all_visible), sum(freespace)
             FROM pg_class c, garbage_summary(c.oid::regclass)
             WHERE relkind IN ('r', 'm', 't') AND relpersistence = 'p' AND c.oid >= 16384 AND pg_relation_size(c.oid) > 0
             GROUP BY c.oid ORDER BY 1",
        )?;
        Ok((lsn, rows))
    })?;
    assert!(in_server.lines().count() > 3, "{in_server}");
    let found = over_files(cluster, &lsn.to_string())?;
    for row in in_server.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        let same = found.iter().find(|fields| fields[0] == columns[0]);
        let same = same.with_context(|| format!("file {} is not found: {found:?}", columns[0]))?;
        assert_eq!(same[..5], columns[..], "{same:?}");
        assert_eq!(same[5], "null");
    }
    Ok(())
}

#[test]
fn with_wal_level_logical_nothing_is_different() -> Result<()> {
    let cluster = start_garbagemap(builder()?.setting("wal_level", "logical"))?;
    every_kind_of_change(&cluster)?;
    // Whole old rows go into the log, too.
    cluster.psql(
        DATABASE,
        "ALTER TABLE hot REPLICA IDENTITY FULL; ALTER TABLE plain REPLICA IDENTITY FULL;
         ALTER TABLE wide REPLICA IDENTITY FULL; CHECKPOINT; TRUNCATE parts_b;",
    )?;
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    assert_same_over_files(&cluster)?;
    assert_every_table_equal(&cluster, DATABASE)
}

#[test]
fn each_image_that_checks_redo_is_what_the_map_has() -> Result<()> {
    let cluster = start_garbagemap(builder()?.setting("wal_consistency_checking", "heap,heap2"))?;
    every_kind_of_change(&cluster)?;
    cluster.pgbench(["--initialize", "--scale=1", "--quiet"])?;
    for round in 1..=2 {
        cluster.pgbench(["--client=4", "--jobs=2", "--transactions=200", &format!("--random-seed={round}")])?;
        change_again(&cluster)?;
        cluster.psql(DATABASE, "CHECKPOINT; VACUUM hot; VACUUM FREEZE plain, wide; VACUUM pgbench_accounts")?;
    }
    // A difference would be among the causes why numbers are not exact.
    assert_garbage_equal(&cluster)?;
    assert_same_over_files(&cluster)?;
    assert_every_table_equal(&cluster, DATABASE)
}

/// Tables of which numbers are wrong although they are said to be exact.
fn silently_wrong(cluster: &Cluster) -> Result<String> {
    let differences = garbage_differences(cluster, DATABASE)?;
    let is_silent = |line: &&str| line.split('|').nth(4).is_none_or(str::is_empty);
    Ok(differences.lines().filter(is_silent).map(|line| format!("{line}\n")).collect())
}

#[test]
fn numbers_are_right_or_said_to_be_inexact_however_full_page_writes_is_switched() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    every_kind_of_change(&cluster)?;
    assert_every_table_equal(&cluster, DATABASE)?;
    for (round, value) in ["off", "on", "off", "off", "on", "on"].into_iter().enumerate() {
        if round % 2 == 0 {
            cluster.psql(DATABASE, "CHECKPOINT")?;
        }
        cluster.configure([("full_page_writes", value)])?;
        cluster.reload()?;
        change_again(&cluster)?;
        assert_eq!(silently_wrong(&cluster)?, "", "round {round}");
    }
    // What was given up is read again, once full_page_writes is on for good.
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let right = poll(TIMEOUT, || Ok(garbage_differences(&cluster, DATABASE)?.is_empty().then_some(())))?;
    assert!(right.is_some(), "{}", garbage_differences(&cluster, DATABASE)?);
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)
}

#[test]
fn a_server_that_was_stopped_without_full_page_writes_is_read_when_it_starts_with_them() -> Result<()> {
    let mut cluster = start_garbagemap(builder()?.setting("full_page_writes", "off"))?;
    cluster
        .psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 10000) AS id; DELETE FROM t WHERE id % 3 = 0")?;
    cluster.configure([("full_page_writes", "on")])?;
    cluster.restart(Mode::Fast)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    assert_garbage_equal(&cluster)
}

#[test]
fn without_full_page_writes_numbers_are_right_over_checkpoints_and_crashes() -> Result<()> {
    let mut cluster = start_garbagemap(builder()?.setting("full_page_writes", "off"))?;
    every_kind_of_change(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    for _ in 0..2 {
        change_again(&cluster)?;
        assert_garbage_equal(&cluster)?;
        let mark = cluster.log_mark()?;
        // No machine loses power here, so no page is torn.
        cluster.crash()?;
        cluster.start()?;
        cluster.wait_for_log_since(mark, "walker: walking over WAL", TIMEOUT)?;
    }
    assert_garbage_equal(&cluster)?;
    assert_same_over_files(&cluster)
}

#[test]
fn each_database_is_right_whatever_it_was_made_from() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    every_kind_of_change(&cluster)?;
    cluster.psql(
        DATABASE,
        "CREATE DATABASE source; CREATE DATABASE gone STRATEGY file_copy; CREATE DATABASE gone_too STRATEGY wal_log;",
    )?;
    cluster.psql(
        "source",
        &format!(
            "{CREATE_GARBAGE_EXTENSIONS}
             CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('x', 50) FROM generate_series(1, 3000) g;
             DELETE FROM t WHERE id % 3 = 0; BEGIN; DELETE FROM t WHERE id % 5 = 0; ROLLBACK;
             CREATE TABLE vacuumed AS SELECT generate_series(1, 2000) AS id; DELETE FROM vacuumed WHERE id < 100; VACUUM vacuumed;"
        ),
    )?;
    for strategy in ["wal_log", "file_copy"] {
        cluster.psql(DATABASE, &format!("CREATE DATABASE {strategy} TEMPLATE source STRATEGY {strategy}"))?;
        cluster.psql(strategy, "UPDATE t SET v = 'y' WHERE id % 7 = 0; INSERT INTO vacuumed VALUES (1)")?;
    }
    let databases = [DATABASE, "source", "wal_log", "file_copy"];
    for database in databases {
        assert_every_table_equal(&cluster, database)?;
    }
    cluster.psql(DATABASE, "DROP DATABASE gone; DROP DATABASE gone_too; CHECKPOINT")?;
    for database in &databases[1..] {
        cluster.psql(database, "DELETE FROM t WHERE id % 11 = 0; VACUUM vacuumed; ANALYZE")?;
    }
    for database in databases {
        assert_eq!(garbage_differences(&cluster, database)?, "", "in database {database}");
    }
    Ok(())
}

#[test]
fn what_moves_to_other_files_is_counted_there() -> Result<()> {
    let cluster = start_garbagemap(builder()?.setting("allow_in_place_tablespaces", "on"))?;
    every_kind_of_change(&cluster)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLESPACE other LOCATION ''; CREATE TABLESPACE third LOCATION '';
         ALTER TABLE hot SET TABLESPACE other; ALTER TABLE plain SET TABLESPACE other;
         ALTER TABLE wide SET TABLESPACE other; DELETE FROM wide WHERE id % 10 = 3;
         ALTER TABLE wide SET UNLOGGED; DELETE FROM wide WHERE id % 10 = 4; ALTER TABLE wide SET LOGGED;
         BEGIN; ALTER TABLE plain SET TABLESPACE pg_default; DELETE FROM plain WHERE id % 2 = 0; ROLLBACK;
         CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 3000) AS id; DELETE FROM unlogged WHERE id % 2 = 0;
         ALTER TABLE unlogged SET LOGGED; DELETE FROM unlogged WHERE id % 3 = 0;",
    )?;
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    assert_same_over_files(&cluster)?;
    // A database as a whole, which is not in the log: its files are copied.
    cluster.psql(DATABASE, "CREATE DATABASE moved")?;
    cluster.psql(
        "moved",
        &format!(
            "{CREATE_GARBAGE_EXTENSIONS} CREATE TABLE t AS SELECT generate_series(1, 3000) AS id; DELETE FROM t WHERE id % 3 = 0"
        ),
    )?;
    for tablespace in ["third", "pg_default", "third"] {
        cluster.psql(DATABASE, &format!("ALTER DATABASE moved SET TABLESPACE {tablespace}"))?;
        cluster.psql("moved", "DELETE FROM t WHERE id % 10 = 1; INSERT INTO t SELECT generate_series(1, 100)")?;
        assert_every_table_equal(&cluster, "moved").with_context(|| format!("in {tablespace}"))?;
    }
    cluster.psql(DATABASE, "DROP DATABASE moved; DROP TABLESPACE third")?;
    assert_every_table_equal(&cluster, DATABASE)
}

#[test]
fn sequences_and_indexes_are_kept_out() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    every_kind_of_change(&cluster)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE indexed (id serial PRIMARY KEY, v text, p point, a int[]);
         INSERT INTO indexed (v, p, a) SELECT 'v' || g, point(g, g), ARRAY[g, g + 1] FROM generate_series(1, 3000) g;
         CREATE INDEX ON indexed USING hash (v); CREATE INDEX ON indexed USING gist (p);
         CREATE INDEX ON indexed USING spgist (p); CREATE INDEX ON indexed USING gin (a); CREATE INDEX ON indexed USING brin (id);
         CREATE SEQUENCE numbers; SELECT count(nextval('numbers')) FROM generate_series(1, 100); CHECKPOINT;
         UPDATE indexed SET v = v || 'w', p = point(1, id) WHERE id % 3 = 0; SELECT nextval('numbers'); REINDEX TABLE indexed;
         DELETE FROM indexed WHERE id % 2 = 0; VACUUM indexed; CHECKPOINT; INSERT INTO indexed (v) VALUES ('last');",
    )?;
    let (lsn, others) = cluster.at_a_quiet_moment(DATABASE, |session, lsn| {
        let others = "SELECT pg_relation_filenode(oid) FROM pg_class WHERE relkind IN ('i', 'S')";
        Ok((lsn, session.execute(others)?))
    })?;
    let others: BTreeSet<&str> = others.lines().collect();
    assert!(others.len() > 100);
    let found = over_files(&cluster, &lsn.to_string())?;
    let wrong: Vec<_> = found.iter().filter(|fields| others.contains(fields[0].as_str())).collect();
    assert!(wrong.is_empty() && found.len() > 10, "{wrong:?}");
    assert_garbage_equal(&cluster)?;
    assert_every_table_equal(&cluster, DATABASE)
}
