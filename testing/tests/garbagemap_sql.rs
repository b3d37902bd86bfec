//! What the extension garbagemap offers in SQL: the view over all tables, what of it may be removed now, blocks, rights.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{
    Cluster, ClusterBuilder, Installation, Mode, assert_garbage_equal, garbagemap_cluster, install_file,
    start_garbagemap, temporary_directory,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE: &str = "postgres";

fn builder() -> Result<ClusterBuilder> {
    Ok(garbagemap_cluster()?.setting("garbagemap.baseline_rate", "1000").setting("log_min_messages", "info"))
}

/// One row of a query, when the map has come to the end of the log.
fn quietly(cluster: &Cluster, query: &str) -> Result<String> {
    cluster.at_a_quiet_moment(DATABASE, |session, _| session.execute(query))
}

/// Dead tuples that may not be removed, of all dead ones of a table, and what holds them back.
fn held_back(cluster: &Cluster, table: &str) -> Result<(u64, String)> {
    let row = quietly(
        cluster,
        &format!(
            "SELECT n_dead_tuples - n_removable_tuples, held_back_by FROM garbagemap WHERE relid = '{table}'::regclass"
        ),
    )?;
    let (count, holder) = row.split_once('|').with_context(|| row.clone())?;
    Ok((count.parse().with_context(|| row.clone())?, holder.to_owned()))
}

/// How many dead tuples a vacuum may not remove: as it says itself, and as pgstattuple finds them afterwards.
fn left_by_vacuum(cluster: &Cluster, table: &str) -> Result<(u64, u64)> {
    let mark = cluster.log_mark()?;
    cluster.psql(DATABASE, &format!("VACUUM (VERBOSE) {table}"))?;
    // The TOAST table is told of too, behind.
    let told = cluster.wait_for_log_since(mark, "are dead but not yet removable", TIMEOUT)?;
    let told = told.lines().find(|line| line.contains("not yet removable")).context("nothing was told")?;
    let words: Vec<_> = told.split_whitespace().collect();
    let number = words.iter().position(|word| *word == "are").and_then(|index| index.checked_sub(1));
    let number = number.and_then(|index| words.get(index)).context("no number")?;
    let found = cluster.psql(DATABASE, &format!("SELECT dead_tuple_count FROM pgstattuple('{table}'::regclass)"))?;
    Ok((number.parse()?, found.parse()?))
}

/// Tuples die before and after something begins to hold back the removal, and some because their inserter aborts.
const BEFORE: &str = "CREATE TABLE t (id int, v int) WITH (autovacuum_enabled = off);
     INSERT INTO t SELECT g, 0 FROM generate_series(1, 3000) g; CREATE TABLE other (id int);
     DELETE FROM t WHERE id <= 100; UPDATE t SET v = 1 WHERE id BETWEEN 101 AND 120;";
const AFTER: &str = "DELETE FROM t WHERE id BETWEEN 201 AND 250; UPDATE t SET v = 2 WHERE id BETWEEN 251 AND 280;
     BEGIN; INSERT INTO t SELECT g, 0 FROM generate_series(9001, 9007) g; ROLLBACK;
     BEGIN; DELETE FROM t WHERE id = 300; SAVEPOINT a; DELETE FROM t WHERE id = 301; RELEASE a;
     SAVEPOINT b; DELETE FROM t WHERE id = 302; ROLLBACK TO b; COMMIT;";
const DEAD_AFTER: u64 = 82;

#[test]
fn the_view_shows_of_every_table_what_pgstattuple_finds() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE wide (id int PRIMARY KEY, v text); ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT g, repeat(g::text, 3000) FROM generate_series(1, 50) g;
         DELETE FROM wide WHERE id % 3 = 0; UPDATE wide SET v = repeat('new', 3000) WHERE id % 5 = 0;
         CREATE MATERIALIZED VIEW seen AS SELECT id FROM wide; CREATE UNLOGGED TABLE u AS SELECT 1;
         CREATE ROLE one; CREATE ROLE other; DROP ROLE one; ANALYZE; CHECKPOINT;",
    )?;
    let all_known = "SELECT count(*) = 0 FROM garbagemap WHERE NOT exact AND relid <> 'u'::regclass";
    cluster.wait_until_true(DATABASE, all_known, TIMEOUT)?;
    cluster
        .psql(DATABASE, "DELETE FROM wide WHERE id = 1; ALTER ROLE other CREATEDB; VACUUM pg_class; ANALYZE wide;")?;
    let different = "SELECT g.relid::regclass, n_live_tuples, n_dead_tuples, dead_bytes, n_blocks, exact, inexact, d.*
         FROM garbagemap g, pgstattuple(relid::regclass) d
         WHERE relid <> 'u'::regclass AND (n_live_tuples, n_dead_tuples, dead_bytes, n_blocks, known_blocks, exact, inexact)
             IS DISTINCT FROM (tuple_count, dead_tuple_count, dead_tuple_len, table_len / 8192, table_len / 8192, true, NULL)";
    assert_eq!(quietly(&cluster, different)?, "");
    let missing = "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'm', 't') AND oid NOT IN (SELECT relid FROM garbagemap)";
    assert_eq!(quietly(&cluster, missing)?, "");
    let dead = quietly(
        &cluster,
        "SELECT count(*) FILTER (WHERE n_dead_tuples > 0) > 5, sum(n_dead_tuples) > 100 FROM garbagemap",
    )?;
    assert_eq!(dead, "t|t");
    let shared = "SELECT n_dead_tuples > 0 FROM garbagemap WHERE relname = 'pg_authid' AND schemaname = 'pg_catalog'";
    assert_eq!(quietly(&cluster, shared)?, "t");
    let unlogged = "SELECT n_live_tuples, known_blocks, exact, inexact FROM garbagemap WHERE relid = 'u'::regclass";
    assert_eq!(quietly(&cluster, unlogged)?, "|0|f|unlogged and temporary tables are not in the WAL");
    let toast = "SELECT toast_of, n_dead_tuples > 20 FROM garbagemap WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE relname = 'wide')";
    assert_eq!(quietly(&cluster, toast)?, "wide|t");
    // A ratio of each kind.
    let ratios = "SELECT dead_tuple_ratio = round(n_dead_tuples::numeric / (n_live_tuples + n_dead_tuples), 4),
             all_visible_ratio = round((SELECT all_visible FROM pg_visibility_map_summary(relid))::numeric / n_blocks, 4)
         FROM garbagemap WHERE relname IN ('wide', 'pg_class') ORDER BY relname";
    assert_eq!(quietly(&cluster, ratios)?, "t|t\nt|t");
    Ok(())
}

#[test]
fn blocks_are_as_pageinspect_shows_them() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (id int PRIMARY KEY, v int, filler text) WITH (fillfactor = 60);
         INSERT INTO t SELECT g, 0, repeat('x', 100) FROM generate_series(1, 5000) g;
         UPDATE t SET v = 1 WHERE id % 3 = 0 AND id < 3000; SELECT count(*) FROM t; DELETE FROM t WHERE id BETWEEN 2000 AND 2500;
         VACUUM t; DELETE FROM t WHERE id BETWEEN 3000 AND 3300; UPDATE t SET v = 2 WHERE id % 4 = 0 AND id < 1000;
         SELECT count(*) FROM t;",
    )?;
    let different = "SELECT b.*, i.* FROM garbage_blocks('t') b,
         LATERAL (SELECT count(*) FILTER (WHERE lp_flags = 1) AS normal, count(*) FILTER (WHERE lp_flags = 2) AS redirect,
                         count(*) FILTER (WHERE lp_flags = 3) AS dead FROM heap_page_items(get_raw_page('t', blkno::int))) i,
         LATERAL pg_visibility_map('t'::regclass, blkno) v
         WHERE (n_tuples, b.redirects, b.lp_dead, b.all_visible, known) IS DISTINCT FROM (normal, redirect, dead, v.all_visible, true)";
    assert_eq!(quietly(&cluster, different)?, "");
    let sums = "SELECT count(*) = pg_relation_size('t') / 8192, sum(n_dead_tuples) = (SELECT dead_tuple_count FROM pgstattuple('t')),
             sum(dead_bytes) = (SELECT dead_tuple_len FROM pgstattuple('t')), sum(redirects) > 0, sum(n_dead_tuples) > 300,
             (SELECT array_agg(blkno) FROM garbage_blocks('t', true))
                 = array_agg(blkno ORDER BY blkno) FILTER (WHERE n_dead_tuples > 0 OR lp_dead > 0)
         FROM garbage_blocks('t')";
    assert_eq!(quietly(&cluster, sums)?, "t|t|t|t|t|t");
    let range = |bounds: &str| {
        let blocks = format!("SELECT min(blkno), max(blkno), count(*) FROM garbage_blocks('t', false, {bounds})");
        quietly(&cluster, &blocks)
    };
    assert_eq!(range("2, 4")?, "2|4|3");
    assert_eq!(range("-7, 0")?, "0|0|1");
    let all = quietly(&cluster, "SELECT min(blkno), max(blkno), count(*) FROM garbage_blocks('t')")?;
    assert_eq!(range("0, 9223372036854775807")?, all);
    for nothing in ["4, 3", "5000000000, 6000000000", "-9, -1", "0, -9223372036854775808"] {
        assert_eq!(range(nothing)?, "||0", "{nothing}");
    }
    cluster.psql(DATABASE, "CREATE UNLOGGED TABLE u AS SELECT 1; CREATE TABLE empty (id int)")?;
    assert_eq!(quietly(&cluster, "SELECT blkno, n_tuples, known FROM garbage_blocks('u')")?, "0||f");
    assert_eq!(quietly(&cluster, "SELECT * FROM garbage_blocks('empty')")?, "");
    Ok(())
}

#[test]
fn nothing_is_held_back_if_nobody_looks() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, BEFORE)?;
    cluster.psql(DATABASE, AFTER)?;
    assert_eq!(held_back(&cluster, "t")?, (0, String::new()));
    assert_eq!(left_by_vacuum(&cluster, "t")?, (0, 0));
    assert_garbage_equal(&cluster)
}

#[test]
fn a_snapshot_holds_back_what_was_deleted_after_it() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, BEFORE)?;
    let mut snapshot = cluster.session(DATABASE)?;
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")?;
    cluster.psql(DATABASE, AFTER)?;
    let holder = format!("backend {} (idle in transaction)", snapshot.backend_id());
    assert_eq!(held_back(&cluster, "t")?, (DEAD_AFTER, holder.clone()));
    // Images of pages that are known, and a start of the worker anew, count nothing twice.
    cluster.psql(DATABASE, "CHECKPOINT; DELETE FROM t WHERE id BETWEEN 401 AND 410")?;
    assert_eq!(held_back(&cluster, "t")?, (DEAD_AFTER + 10, holder.clone()));
    assert_eq!(left_by_vacuum(&cluster, "t")?, (DEAD_AFTER + 10, DEAD_AFTER + 10));
    assert_eq!(held_back(&cluster, "t")?, (DEAD_AFTER + 10, holder.clone()));
    assert_eq!(quietly(&cluster, "SELECT removable_ratio FROM garbagemap WHERE relid = 't'::regclass")?, "0.0000");
    // What is copied into a new file was not dead for everyone.
    cluster.psql(DATABASE, "VACUUM FULL t")?;
    assert_eq!(held_back(&cluster, "t")?, (DEAD_AFTER + 10, holder));
    snapshot.execute("COMMIT")?;
    assert_eq!(held_back(&cluster, "t")?, (0, String::new()));
    assert_eq!(left_by_vacuum(&cluster, "t")?, (0, 0));
    assert_garbage_equal(&cluster)
}

#[test]
fn many_transactions_later_a_snapshot_still_holds_back_the_same() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    let delete =
        |from: u32, to: u32| -> String { (from..to).map(|id| format!("DELETE FROM t WHERE id = {id};\n")).collect() };
    cluster.psql(DATABASE, BEFORE)?;
    cluster.psql(DATABASE, &delete(500, 600))?;
    let mut snapshot = cluster.session(DATABASE)?;
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")?;
    // The worker hears what is held back at each checkpoint.
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.psql(DATABASE, &delete(600, 900))?;
    assert_eq!(held_back(&cluster, "t")?.0, 300);
    assert_eq!(left_by_vacuum(&cluster, "t")?, (300, 300));
    Ok(())
}

#[test]
fn a_prepared_transaction_holds_back_over_a_restart() -> Result<()> {
    let mut cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, BEFORE)?;
    cluster.psql(DATABASE, "BEGIN; INSERT INTO other VALUES (1); PREPARE TRANSACTION 'the other''s'")?;
    cluster.psql(DATABASE, AFTER)?;
    let expected = (DEAD_AFTER, "prepared transaction 'the other''s'".to_owned());
    assert_eq!(held_back(&cluster, "t")?, expected);
    cluster.restart(Mode::Fast)?;
    assert_eq!(held_back(&cluster, "t")?, expected);
    cluster.crash()?;
    cluster.start()?;
    assert_eq!(held_back(&cluster, "t")?, expected);
    assert_eq!(left_by_vacuum(&cluster, "t")?, (DEAD_AFTER, DEAD_AFTER));
    // In another database it holds back nothing but shared catalogs.
    cluster.psql(DATABASE, "CREATE DATABASE elsewhere")?;
    cluster.psql("elsewhere", "CREATE EXTENSION garbagemap")?;
    let horizons = "SELECT horizon, held_back_by FROM garbagemap_horizon() WHERE held_back_by LIKE 'prepared%'";
    assert_eq!(cluster.psql("elsewhere", horizons)?, "shared|prepared transaction 'the other''s'");
    cluster.psql(DATABASE, "COMMIT PREPARED 'the other''s'")?;
    assert_eq!(left_by_vacuum(&cluster, "t")?, (0, 0));
    assert_garbage_equal(&cluster)
}

#[test]
fn a_logical_slot_holds_back_catalogs_only() -> Result<()> {
    let cluster = start_garbagemap(builder()?.setting("wal_level", "logical"))?;
    cluster.psql(DATABASE, BEFORE)?;
    cluster.psql(DATABASE, "CHECKPOINT; SELECT 1 FROM pg_create_logical_replication_slot('s', 'pgoutput')")?;
    cluster.psql(DATABASE, AFTER)?;
    cluster.psql(DATABASE, "CREATE TABLE gone (a int, b int, c int); DROP TABLE gone; CREATE TABLE marked (id int) WITH (user_catalog_table = true)")?;
    cluster.psql(DATABASE, "INSERT INTO marked SELECT generate_series(1, 10); DELETE FROM marked WHERE id < 4")?;
    assert_eq!(held_back(&cluster, "t")?, (0, String::new()));
    for table in ["pg_attribute", "marked"] {
        let (held, holder) = held_back(&cluster, table)?;
        assert_eq!(holder, "replication slot \"s\"", "{table}");
        assert_eq!(left_by_vacuum(&cluster, table)?, (held, held), "{table}");
        assert!(held >= 3, "{table}: {held}");
    }
    cluster.psql(DATABASE, "SELECT pg_drop_replication_slot('s')")?;
    assert_eq!(held_back(&cluster, "pg_attribute")?.0, 0);
    assert_eq!(left_by_vacuum(&cluster, "t")?, (0, 0));
    Ok(())
}

/// A standby of the server that tells it what it still needs.
fn standby_of(primary: &mut Cluster) -> Result<Cluster> {
    let mut standby = builder()?.build()?;
    primary.stop(Mode::Fast)?;
    fs::remove_dir_all(standby.data_directory())?;
    let copied = Command::new("cp").arg("-a").args([primary.data_directory(), standby.data_directory()]).status()?;
    ensure!(copied.success(), "cp failed");
    let (socket, primary_conninfo) = (standby.socket_directory(), primary.connection_string(DATABASE));
    standby.configure([
        ("unix_socket_directories", socket.to_str().context("not UTF-8")?),
        ("primary_conninfo", &primary_conninfo),
        ("hot_standby_feedback", "on"),
        ("wal_receiver_status_interval", "1s"),
    ])?;
    fs::write(standby.data_directory().join("standby.signal"), "")?;
    primary.start()?;
    standby.start()?;
    Ok(standby)
}

#[test]
fn a_standby_holds_back_what_it_needs_and_removes_nothing_itself() -> Result<()> {
    let mut primary = start_garbagemap(builder()?)?;
    primary.psql(DATABASE, BEFORE)?;
    // It has no file on a standby.
    primary.psql(DATABASE, "CREATE UNLOGGED TABLE unlogged (id int)")?;
    let standby = standby_of(&mut primary)?;
    let fed_back = "SELECT count(*) = 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL";
    primary.wait_until_true(DATABASE, fed_back, TIMEOUT)?;
    let mut snapshot = standby.session(DATABASE)?;
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")?;
    primary.psql(DATABASE, AFTER)?;
    let (held, holder) = held_back(&primary, "t")?;
    assert_eq!(held, DEAD_AFTER);
    assert!(holder.starts_with("walsender ") && holder.ends_with(" (walreceiver)"), "{holder}");
    assert_eq!(left_by_vacuum(&primary, "t")?, (DEAD_AFTER, DEAD_AFTER));
    let end = primary.flush_wal()?;
    standby.wait_until_true(DATABASE, &format!("SELECT pg_last_wal_replay_lsn() >= '{end}'"), TIMEOUT)?;
    let there = format!(
        "SELECT garbagemap_wait('{end}'); SELECT n_dead_tuples, n_removable_tuples, held_back_by FROM garbagemap WHERE relid = 't'::regclass"
    );
    assert_eq!(standby.psql(DATABASE, &there)?, format!("t\n{DEAD_AFTER}||"));
    let unlogged = "SELECT n_blocks, exact FROM garbagemap WHERE relname = 'unlogged'; SELECT count(*) FROM garbage_summary('unlogged')";
    assert_eq!(standby.psql(DATABASE, unlogged)?, "|f\n0");
    Ok(())
}

#[test]
fn updates_are_counted_as_the_statistics_count_them() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t (id int PRIMARY KEY, v int) WITH (fillfactor = 50); INSERT INTO t SELECT g, 0 FROM generate_series(1, 2000) g;
         UPDATE t SET v = 1 WHERE id % 2 = 0; UPDATE t SET id = id + 10000 WHERE id % 100 = 0; CHECKPOINT;
         BEGIN; UPDATE t SET v = 2 WHERE id < 50; ROLLBACK; UPDATE t SET v = 3; SELECT pg_stat_force_next_flush();",
    )?;
    let same = "SELECT n_updates = n_tup_upd, hot_update_ratio = round(n_tup_hot_upd::numeric / n_tup_upd, 4), n_tup_hot_upd BETWEEN 900 AND n_tup_upd - 20
         FROM garbagemap JOIN pg_stat_user_tables USING (relid) WHERE relid = 't'::regclass";
    assert_eq!(quietly(&cluster, same)?, "t|t|t");
    Ok(())
}

#[test]
fn deaths_are_counted_since_the_last_vacuum_and_by_the_minute() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 3000) AS id; DELETE FROM t WHERE id <= 20")?;
    cluster.psql(DATABASE, "BEGIN; INSERT INTO t SELECT generate_series(1, 5); ROLLBACK")?;
    let query = "SELECT n_dead_since_vacuum, n_dead_per_minute, last_vacuum IS NULL, last_vacuum_lsn IS NULL FROM garbagemap WHERE relid = 't'::regclass";
    // A burst counts as its fifth in each minute, and a little less with each second.
    let row = quietly(&cluster, query)?;
    assert!(row.starts_with("25|") && row.ends_with("|t|t"), "{row}");
    let rate: f64 = row.split('|').nth(1).context("no rate")?.parse()?;
    assert!((3.0..=5.0).contains(&rate), "{row}");
    cluster.psql(DATABASE, "VACUUM t; DELETE FROM t WHERE id BETWEEN 21 AND 23")?;
    let query =
        "SELECT n_dead_since_vacuum, last_vacuum BETWEEN now() - interval '1 minute' AND now(), last_vacuum_lsn < lsn
         FROM garbagemap WHERE relid = 't'::regclass";
    assert_eq!(quietly(&cluster, query)?, "3|t|t");
    // What a reader prunes is no vacuum; COPY FREEZE is none either.
    cluster.psql(
        DATABASE,
        "SELECT count(*) FROM t; BEGIN; CREATE TABLE frozen (id int); COPY frozen FROM PROGRAM 'seq 1 2000' WITH (FREEZE); COMMIT",
    )?;
    let frozen =
        "SELECT last_vacuum_lsn IS NULL, all_visible_ratio > 0.5 FROM garbagemap WHERE relid = 'frozen'::regclass";
    assert_eq!(quietly(&cluster, frozen)?, "t|t");
    assert_eq!(quietly(&cluster, query)?, "3|t|t");
    Ok(())
}

#[test]
fn partitioned_tables_are_the_sum_of_what_is_below_them() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE p (id int, region text) PARTITION BY LIST (region);
         CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a');
         CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b') PARTITION BY RANGE (id);
         CREATE TABLE p_b1 PARTITION OF p_b FOR VALUES FROM (0) TO (500);
         CREATE TABLE p_b2 PARTITION OF p_b FOR VALUES FROM (500) TO (2000);
         CREATE TABLE none (id int) PARTITION BY LIST (id); CREATE INDEX ON p (id);
         INSERT INTO p SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 1000) g;
         DELETE FROM p WHERE id % 5 = 0; UPDATE p SET id = id + 1 WHERE id % 7 = 0;",
    )?;
    let row = |table: &str| {
        format!(
            "SELECT n_dead_tuples, n_live_tuples, n_blocks, known_blocks, exact, inexact FROM garbagemap WHERE relid = '{table}'::regclass"
        )
    };
    let sum =
        "SELECT sum(n_dead_tuples), sum(n_live_tuples), sum(n_blocks), sum(known_blocks), bool_and(exact), max(inexact)
         FROM garbagemap WHERE relname IN";
    let (all, some) = (quietly(&cluster, &row("p"))?, quietly(&cluster, &row("p_b"))?);
    assert_eq!(all, quietly(&cluster, &format!("{sum} ('p_a', 'p_b1', 'p_b2')"))?);
    assert_eq!(some, quietly(&cluster, &format!("{sum} ('p_b1', 'p_b2')"))?);
    assert!(all.ends_with("|t|") && !all.starts_with("0|") && all != some, "{all} {some}");
    assert_eq!(quietly(&cluster, &row("none"))?, "||0|0|t|");
    assert_eq!(quietly(&cluster, "SELECT relkind FROM garbagemap WHERE relid = 'p'::regclass")?, "p");
    cluster.psql(
        DATABASE,
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE FOREIGN TABLE p_c PARTITION OF p FOR VALUES IN ('c') SERVER s;",
    )?;
    let foreign = quietly(&cluster, &row("p"))?;
    assert_eq!(
        foreign,
        format!("{}f|not all partitions are stored by access method heap", all.strip_suffix("t|").context("exact")?)
    );
    Ok(())
}

#[test]
fn owners_see_their_tables_and_members_of_pg_stat_scan_tables_all() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        DATABASE,
        "CREATE ROLE owner; CREATE ROLE member IN ROLE owner; CREATE ROLE stranger; CREATE ROLE monitor IN ROLE pg_stat_scan_tables;
         CREATE TABLE t (id int, v text); ALTER TABLE t OWNER TO owner; CREATE TABLE mine (id int);
         CREATE TABLE p (id int) PARTITION BY LIST (id); ALTER TABLE p OWNER TO owner;
         CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2); ALTER TABLE p_1 OWNER TO owner;
         CREATE MATERIALIZED VIEW seen AS SELECT * FROM t; INSERT INTO t VALUES (1, 'x');",
    )?;
    let of = |role: &str, sql: &str| cluster.psql(DATABASE, &format!("SET ROLE {role}; {sql}"));
    let names = "SELECT string_agg(relname, ',' ORDER BY relname) FROM garbagemap WHERE relname !~ '^pg_'";
    // The parent of a partition of somebody else would be a sum of too little.
    assert_eq!(of("owner", names)?, "p_1,t");
    assert_eq!(of("member", names)?, "p_1,t");
    assert_eq!(of("stranger", names)?, "");
    assert_eq!(
        of(
            "monitor",
            "SELECT count(*) FROM garbagemap WHERE relname IN ('t', 'mine', 'p', 'p_1', 'p_2', 'seen', 'pg_authid')"
        )?,
        "7"
    );
    assert_eq!(of("owner", "SELECT count(*) FROM garbagemap WHERE toast_of = 't'::regclass")?, "1");
    cluster.psql(DATABASE, "ALTER TABLE p_2 OWNER TO owner")?;
    assert_eq!(of("owner", names)?, "p,p_1,p_2,t");

    for function in ["garbage_summary", "gs", "gs_rank", "garbage_blocks"] {
        let ask = |table: &str| format!("SELECT count(*) FROM {function}('{table}')");
        assert_eq!(of("owner", &ask("t"))?, "1");
        assert_eq!(of("monitor", &ask("t"))?, "1");
        let refused = |role: &str, table: &str| anyhow::Ok(format!("{:#}", of(role, &ask(table)).unwrap_err()));
        assert!(refused("stranger", "t")?.contains("must be owner of table t"), "{function}");
        assert!(refused("owner", "mine")?.contains("must be owner of table mine"), "{function}");
        assert!(refused("owner", "seen")?.contains("must be owner of materialized view seen"), "{function}");
    }
    // What a session of another user does is not told, but that it is there.
    let mut snapshot = cluster.session(DATABASE)?;
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")?;
    cluster.psql(DATABASE, "DELETE FROM t")?;
    let holder = "SELECT garbagemap_wait(pg_current_wal_insert_lsn()); SELECT held_back_by FROM garbagemap WHERE relid = 't'::regclass";
    assert_eq!(of("owner", holder)?, format!("t\nbackend {}", snapshot.backend_id()));
    assert_eq!(of("monitor", holder)?, format!("t\nbackend {}", snapshot.backend_id()));
    let code = "DO $$ BEGIN PERFORM garbage_summary('t'); EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE 'refused'; END $$";
    of("stranger", code)?;
    assert_eq!(of("stranger", "SELECT garbagemap_wait(pg_current_wal_insert_lsn())")?, "t");
    Ok(())
}

#[test]
fn nobody_has_his_operators_called_by_others() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id; DELETE FROM t WHERE id <= 10")?;
    // Each that fits better than those of pg_catalog tells that it was called.
    for (operator, left, right, result) in [
        ("||", "text", "int", "text"),
        ("<", "oid", "int", "boolean"),
        ("=", "oid", "int", "boolean"),
        ("=", "numeric", "int", "boolean"),
        (">", "numeric", "int", "boolean"),
        ("*", "numeric", "int", "numeric"),
        ("*", "double precision", "int", "double precision"),
        ("/", "numeric", "bigint", "numeric"),
        ("-", "numeric", "int", "numeric"),
    ] {
        let name = format!("captured_{}", left.replace(' ', "_"));
        cluster.psql(
            DATABASE,
            &format!(
                "CREATE OR REPLACE FUNCTION {name}_{}({left}, {right}) RETURNS {result} LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'captured'; END $$;
                 CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {name}_{})",
                u32::from(operator.as_bytes()[0]),
                u32::from(operator.as_bytes()[0])
            ),
        )?;
    }
    let all = "SELECT count(*) > 50 FROM garbagemap; SELECT count(*) >= 0 FROM garbagemap_horizon();
               SELECT count(*) > 0 FROM gs('t'); SELECT count(*) > 0 FROM gs_rank('t')";
    assert_eq!(cluster.psql(DATABASE, all)?, "t\nt\nt\nt");
    // Nor if they were there before the extension.
    cluster.psql(DATABASE, "DROP EXTENSION garbagemap; CREATE EXTENSION garbagemap")?;
    assert_eq!(cluster.psql(DATABASE, all)?, "t\nt\nt\nt");
    Ok(())
}

#[test]
fn a_table_of_the_own_transaction_does_not_hide_what_others_hold_back() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id; CREATE ROLE own; ALTER TABLE t OWNER TO own; GRANT CREATE ON SCHEMA public TO own")?;
    let mut snapshot = cluster.session(DATABASE)?;
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")?;
    cluster.psql(DATABASE, "DELETE FROM t WHERE id <= 100")?;
    let removable =
        "SET ROLE own; BEGIN; CREATE TABLE scratch (id int); SELECT garbagemap_wait(pg_current_wal_insert_lsn());
                     SELECT n_dead_tuples, n_removable_tuples FROM garbagemap WHERE relname = 't'";
    assert_eq!(cluster.psql(DATABASE, removable)?, "t\n100|0");
    Ok(())
}

#[test]
fn the_view_waits_for_nobody() -> Result<()> {
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(DATABASE, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id; DELETE FROM t WHERE id <= 10; CREATE TEMP TABLE mine (id int)")?;
    let mut other = cluster.session(DATABASE)?;
    other.execute("BEGIN; LOCK TABLE t; CREATE TEMP TABLE his (id int)")?;
    let row = "SET statement_timeout = '20s'; SELECT garbagemap_wait(pg_current_wal_insert_lsn());
        SELECT n_blocks, n_dead_tuples, exact FROM garbagemap WHERE relname IN ('t', 'his')";
    assert_eq!(cluster.psql(DATABASE, row)?, "t\n|10|t");
    Ok(())
}

#[test]
fn the_extension_can_be_updated() -> Result<()> {
    let directory = temporary_directory()?;
    let script = directory.path().join("garbagemap--0.1.0--next.sql");
    fs::write(
        &script,
        "\\echo Use \"ALTER EXTENSION garbagemap UPDATE\" to load this file. \\quit
         CREATE FUNCTION garbagemap_next() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE OR REPLACE VIEW garbagemap_dead AS SELECT relid, n_dead_tuples FROM @extschema@.garbagemap;",
    )?;
    let installed = Installation::for_tests()?.share_directory()?.join("extension").join("garbagemap--0.1.0--next.sql");
    install_file(&script, &installed)?;
    let cluster = start_garbagemap(builder()?)?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE t AS SELECT 1 AS id; DELETE FROM t; CREATE VIEW mine AS SELECT * FROM garbagemap",
    )?;
    cluster.psql(DATABASE, "ALTER EXTENSION garbagemap UPDATE TO 'next'")?;
    let version = "SELECT extversion, garbagemap_next() FROM pg_extension WHERE extname = 'garbagemap'";
    assert_eq!(cluster.psql(DATABASE, version)?, "next|1");
    assert_eq!(quietly(&cluster, "SELECT n_dead_tuples FROM garbagemap_dead WHERE relid = 't'::regclass")?, "1");
    assert_eq!(quietly(&cluster, "SELECT n_dead_tuples FROM mine WHERE relid = 't'::regclass")?, "1");
    // Made anew it is the released version, and everything goes with it.
    cluster.psql(DATABASE, "DROP VIEW mine; DROP EXTENSION garbagemap; CREATE EXTENSION garbagemap")?;
    let version = "SELECT extversion, to_regproc('garbagemap_next') FROM pg_extension WHERE extname = 'garbagemap'";
    assert_eq!(cluster.psql(DATABASE, version)?, "0.1.0|");
    Ok(())
}
