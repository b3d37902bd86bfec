//! Every kind of change that leaves garbage.

use anyhow::Result;

use crate::cluster::Cluster;

const DATABASE: &str = "postgres";

/// Makes tables of all kinds in database postgres, and changes them in all ways.
///
/// # Errors
/// What the server says.
pub fn every_kind_of_change(cluster: &Cluster) -> Result<()> {
    cluster.psql(
        DATABASE,
        "CREATE TABLE hot (id int PRIMARY KEY, v int, filler text) WITH (fillfactor = 70);
         INSERT INTO hot SELECT g, 0, repeat('x', 50) FROM generate_series(1, 5000) g;
         CREATE TABLE plain (id int, v text);
         INSERT INTO plain SELECT g, 'v' FROM generate_series(1, 5000) g;
         CREATE TABLE wide (id int PRIMARY KEY, v text); ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT g, repeat(g::text, 3000) FROM generate_series(1, 100) g;
         CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
         CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
         CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
         INSERT INTO parts SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 1000) g;
         CREATE MATERIALIZED VIEW seen AS SELECT * FROM plain;",
    )?;
    change_again(cluster)
}

/// Changes the tables of [`every_kind_of_change`] once more.
///
/// # Errors
/// What the server says.
pub fn change_again(cluster: &Cluster) -> Result<()> {
    cluster.psql(
        DATABASE,
        "UPDATE hot SET v = v + 1 WHERE id % 3 = 0; UPDATE hot SET v = v + 1 WHERE id % 6 = 0;
         UPDATE hot SET id = id + (SELECT 100000 * (max(id) / 100000 + 1) FROM hot) WHERE id % 50 = 7 AND id < 100000;
         DELETE FROM hot WHERE id % 11 = 0;
         SELECT count(*) FROM hot; SELECT count(*) FROM hot;
         UPDATE plain SET v = v || 'w' WHERE id % 5 = 0; DELETE FROM plain WHERE id % 7 = 0; SELECT count(*) FROM plain;
         UPDATE wide SET v = repeat('new', 3000) WHERE id % 4 = 0; DELETE FROM wide WHERE id % 9 = 0;
         BEGIN; UPDATE wide SET v = repeat('gone', 3000) WHERE id % 5 = 0; ROLLBACK;
         UPDATE parts SET region = 'b' WHERE region = 'a' AND id % 10 = 0; UPDATE parts SET id = id + 1 WHERE id % 3 = 0;
         INSERT INTO hot VALUES (3, 0, 'x'), (900001, 0, 'y') ON CONFLICT (id) DO UPDATE SET v = hot.v + 1;
         INSERT INTO hot SELECT g, 0, 'z' FROM generate_series(1, 300) g ON CONFLICT DO NOTHING;
         DELETE FROM hot WHERE id = 900001;
         BEGIN; SELECT count(*) FROM (SELECT * FROM hot WHERE id < 500 FOR UPDATE) AS locked;
         SAVEPOINT s; UPDATE hot SET v = -1 WHERE id < 100; ROLLBACK TO s; UPDATE hot SET v = -2 WHERE id BETWEEN 100 AND 200; COMMIT;
         BEGIN; TRUNCATE parts_a; INSERT INTO parts_a SELECT g, 'a' FROM generate_series(1, 100) g; ROLLBACK;
         BEGIN; CREATE TABLE gone AS SELECT generate_series(1, 1000); DELETE FROM gone; ROLLBACK;
         BEGIN; CREATE TABLE IF NOT EXISTS kept (id int); TRUNCATE kept; INSERT INTO kept SELECT generate_series(1, 1000);
         DELETE FROM kept WHERE id % 2 = 0; COMMIT;
         BEGIN; DELETE FROM kept WHERE id % 3 = 0; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p';
         BEGIN; DELETE FROM kept WHERE id % 5 = 0; PREPARE TRANSACTION 'q'; COMMIT PREPARED 'q';
         REFRESH MATERIALIZED VIEW seen;
         CREATE TABLE IF NOT EXISTS copied (id int, v text); BEGIN; TRUNCATE copied;
         COPY copied FROM PROGRAM 'seq 1 2000 | sed s/$/,copied/' WITH (FORMAT csv, FREEZE); COMMIT;
         COPY copied FROM PROGRAM 'seq 1 500 | sed s/$/,again/' WITH (FORMAT csv);
         VACUUM copied; UPDATE copied SET v = 'x' WHERE id % 100 = 0; DELETE FROM copied WHERE id < 20;",
    )?;
    lock_together(cluster)
}

/// Two transactions lock the same rows, so that their xmax is a multixact; one of them updates.
fn lock_together(cluster: &Cluster) -> Result<()> {
    let (mut one, mut other) = (cluster.session(DATABASE)?, cluster.session(DATABASE)?);
    one.execute("BEGIN; SELECT count(*) FROM (SELECT * FROM hot WHERE id BETWEEN 300 AND 340 FOR KEY SHARE) AS s")?;
    other.execute("BEGIN; UPDATE hot SET v = v + 7 WHERE id BETWEEN 310 AND 330")?;
    // Images of pages with such tuples, while both are open.
    cluster.psql(DATABASE, "CHECKPOINT; UPDATE hot SET v = v + 1 WHERE id BETWEEN 341 AND 360")?;
    other.execute("COMMIT")?;
    one.execute("ROLLBACK")?;
    Ok(())
}
