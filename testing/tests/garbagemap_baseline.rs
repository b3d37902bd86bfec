//! Tables that were there before the worker: what the log does not tell of them is read from their files.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use walker_testing::{
    Cluster, Mode, assert_garbage_equal, garbage_differences, garbagemap_cluster, start_garbagemap,
    wait_until_garbage_known,
};

const DATABASE: &str = "postgres";

/// A server with tables that the worker has not seen being filled. The worker reads so many megabytes in a second.
fn prepare(rate: u32) -> Result<Cluster> {
    let mut cluster = start_garbagemap(garbagemap_cluster()?.setting("garbagemap.baseline_rate", &rate.to_string()))?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE old (id int PRIMARY KEY, v int, filler text) WITH (fillfactor = 80);
         INSERT INTO old SELECT g, 0, repeat('x', 500) FROM generate_series(1, 20000) g;
         CREATE TABLE vacuumed AS SELECT g AS id, repeat('y', 50) AS v FROM generate_series(1, 10000) g;
         DELETE FROM vacuumed WHERE id % 3 = 0; VACUUM vacuumed; DELETE FROM vacuumed WHERE id < 1000;
         CREATE TABLE wide AS SELECT g AS id, string_agg(md5(n::text), '') AS v
             FROM generate_series(1, 20) g, generate_series(1, 600) n GROUP BY g;
         DELETE FROM wide WHERE id % 4 = 0;
         CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000); CREATE SEQUENCE numbers;
         CREATE TABLE hashed (id int); CREATE INDEX ON hashed USING hash (id); CREATE INDEX ON old USING gin (to_tsvector('simple', filler));
         UPDATE old SET v = 1 WHERE id % 9 = 0; BEGIN; DELETE FROM old WHERE id % 7 = 0; ROLLBACK;
         BEGIN; DELETE FROM old WHERE id % 31 = 0; PREPARE TRANSACTION 'later';",
    )?;
    cluster.stop(Mode::Fast)?;
    // As if the worker had not been there.
    fs::remove_dir_all(cluster.data_directory().join("walker"))?;
    cluster.start()?;
    Ok(cluster)
}

#[test]
fn tables_from_before_the_walk_become_known_and_are_exact() -> Result<()> {
    let cluster = prepare(1000)?;
    // Until all that was changed before the walk is in the files for certain, nothing is read.
    cluster.psql(DATABASE, "CHECKPOINT")?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    assert_garbage_equal(&cluster)?;
    assert_eq!(garbage_differences(&cluster, DATABASE)?, "");
    cluster.psql(
        DATABASE,
        "COMMIT PREPARED 'later'; UPDATE old SET v = 2 WHERE id % 5 = 0; VACUUM vacuumed; DELETE FROM wide WHERE id = 3;
         CHECKPOINT; UPDATE old SET v = 3 WHERE id % 100 = 0; ANALYZE;",
    )?;
    assert_garbage_equal(&cluster)?;
    assert_eq!(garbage_differences(&cluster, DATABASE)?, "");
    Ok(())
}

#[test]
fn what_is_changed_while_the_files_are_read_is_counted_once() -> Result<()> {
    let mut cluster = prepare(6)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let changes = |cluster: &Cluster, part: u32| -> Result<()> {
        for round in 0..30 {
            let rows = format!("id % 37 = {} AND id % 2 = {part}", round % 37);
            cluster.psql(
                DATABASE,
                &format!(
                    "UPDATE old SET v = v + 1 WHERE {rows} AND id % 31 <> 0;
                     BEGIN; UPDATE old SET v = 0 WHERE id % 41 = {round} AND id % 2 = {part} AND id % 31 <> 0; ROLLBACK;
                     {}",
                    if part == 0 && round % 10 == 0 { "CHECKPOINT; VACUUM vacuumed" } else { "SELECT 1" }
                ),
            )?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| changes(&cluster, 1));
        changes(&cluster, 0)?;
        other.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
    })?;
    // What was read before a crash is not read again, nor lost.
    cluster.crash()?;
    cluster.start()?;
    cluster.psql(DATABASE, "COMMIT PREPARED 'later'; CHECKPOINT")?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    assert_garbage_equal(&cluster)?;
    assert_eq!(garbage_differences(&cluster, DATABASE)?, "");
    Ok(())
}

#[test]
fn an_image_tells_whether_its_block_is_all_visible() -> Result<()> {
    let cluster = prepare(0)?;
    // A lock changes the page, and not whether it is all-visible.
    cluster.psql(
        DATABASE,
        "CHECKPOINT; SELECT count(*) FROM (SELECT * FROM vacuumed WHERE id % 1000 = 1 AND id > 2000 FOR KEY SHARE) AS locked",
    )?;
    let all_visible = cluster.at_a_quiet_moment(DATABASE, |session, _| {
        session.execute("SET garbagemap.summary_size = 1")?;
        session.execute(
            "SELECT count(*) > 3, bool_and(n_all_visible = all_visible::int), bool_or(all_visible)
             FROM garbage_summary('vacuumed'), pg_visibility_map('vacuumed', rangeno) WHERE known_blocks = 1",
        )
    })?;
    assert_eq!(all_visible, "t|t|t");
    Ok(())
}

#[test]
fn nothing_is_read_if_the_rate_is_zero() -> Result<()> {
    let cluster = prepare(0)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    thread::sleep(Duration::from_secs(1));
    let known = cluster.psql(DATABASE, "SELECT sum(known_blocks) FROM garbage_summary('vacuumed')")?;
    assert_eq!(known.trim(), "0");
    // As soon as it may be.
    cluster.configure([("garbagemap.baseline_rate", "1000")])?;
    cluster.reload()?;
    wait_until_garbage_known(&cluster, DATABASE).context("after the setting was changed")
}
