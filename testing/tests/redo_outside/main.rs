//! Pages rebuilt from the log alone, outside of the server, beside the data files.
//!
//! All pages of bloom indexes are compared byte by byte, LSN and checksum too: each of their changes is Generic WAL or an
//! image. All pages of other relations whose last change is an image are compared too, but for what PostgreSQL changes
//! without a record, and images therefore cannot tell: hint bits, the free space of a page, numbers of a sequence that
//! were logged in advance. With `wal_consistency_checking` each record brings an image, so that these are all pages that
//! the log tells of; and each change of Generic WAL is compared with the image in its own record. The free space map is
//! changed without records, and the visibility map by records that do not name its pages: both are left out.

mod data_files;
mod rebuilt;
mod unlogged;

use anyhow::{Result, ensure};
use data_files::{Comparison, compare, relations};
use pgwal::Lsn;
use rebuilt::Rebuilt;
use walker_testing::{Cluster, ClusterBuilder, Installation, Mode};

/// Bloom indexes that are built, grow, are vacuumed and use pages again, are reset, moved and copied.
const BLOOM: &str = "
    CREATE EXTENSION bloom;
    CREATE TABLE flowers AS SELECT g AS a, g % 17 AS b, g % 5 AS c FROM generate_series(1, 3000) g;
    CREATE INDEX flowers_all ON flowers USING bloom (a, b, c);
    CREATE INDEX flowers_long ON flowers USING bloom (a) WITH (length = 2000, col1 = 7);
    INSERT INTO flowers SELECT g, g % 17, g % 5 FROM generate_series(3001, 5000) g;
    CHECKPOINT;
    INSERT INTO flowers SELECT g, g % 17, g % 5 FROM generate_series(5001, 6000) g;
    DELETE FROM flowers WHERE a BETWEEN 1000 AND 3500 OR a % 7 = 0;
    VACUUM flowers;
    INSERT INTO flowers SELECT g, g % 17, g % 5 FROM generate_series(6001, 6500) g;
    BEGIN; INSERT INTO flowers SELECT g, g, g FROM generate_series(1, 500) g; ROLLBACK;
    CREATE TABLE trees AS SELECT g AS a FROM generate_series(1, 3000) g;
    CREATE INDEX trees_a ON trees USING bloom (a);
    TRUNCATE trees;
    INSERT INTO trees SELECT generate_series(1, 1500);
    REINDEX INDEX trees_a;
    INSERT INTO trees SELECT generate_series(1, 1500);
    CREATE UNLOGGED TABLE weeds AS SELECT g AS a FROM generate_series(1, 3000) g;
    CREATE INDEX weeds_a ON weeds USING bloom (a);
    CREATE UNLOGGED TABLE herbs AS SELECT g AS a FROM generate_series(1, 3000) g;
    CREATE INDEX herbs_a ON herbs USING bloom (a);
    ALTER TABLE herbs SET LOGGED;
    INSERT INTO herbs SELECT generate_series(1, 2000);
    CREATE TABLESPACE elsewhere LOCATION '';
    ALTER INDEX flowers_long SET TABLESPACE elsewhere;
    CREATE TABLE empty (a int);
    CREATE INDEX empty_a ON empty USING bloom (a);";

/// The other access methods.
const OTHERS: &str = "
    CREATE TABLE t (id serial PRIMARY KEY, r text, p point, a int[]);
    CREATE INDEX ON t USING hash (id);
    CREATE INDEX ON t USING gin (a);
    CREATE INDEX ON t USING gist (p);
    CREATE INDEX ON t USING spgist (p);
    INSERT INTO t (r, p, a) SELECT repeat('x', g % 300), point(g % 7, g), ARRAY[g, g % 10]
        FROM generate_series(1, 4000) g;
    CHECKPOINT;
    UPDATE t SET id = id + 10000 WHERE id % 3 = 0;
    DELETE FROM t WHERE id % 4 = 0 OR id BETWEEN 200 AND 2400;
    VACUUM t;
    INSERT INTO t (r, p, a) SELECT repeat('x', g % 300), point(g % 7, g), ARRAY[g, g % 10]
        FROM generate_series(1, 1000) g;
    SELECT count(*) FROM t;
    CREATE TABLE keys AS SELECT generate_series(1, 30000) AS id;
    CREATE INDEX ON keys (id);
    DELETE FROM keys WHERE id % 250 = 1;
    VACUUM keys;
    DELETE FROM keys WHERE id % 50 = 2;
    VACUUM keys;
    CREATE TABLE cut AS SELECT generate_series(1, 10000) AS id;
    DELETE FROM cut WHERE id > 3000;
    VACUUM cut;";

/// An index that is not in the database copied by the log: there PostgreSQL logs the pages of BRIN's range map as if what
/// they hold were free space (`src/backend/storage/buffer/bufmgr.c`: `RelationCopyStorageUsingBuffer`).
const BRIN: &str = "
    CREATE INDEX ON t USING brin (id) WITH (pages_per_range = 1);
    INSERT INTO t (r, p, a) SELECT 'x', point(1, g), ARRAY[g] FROM generate_series(1, 1000) g;
    UPDATE t SET id = id + 50000 WHERE id % 5 = 0;
    VACUUM t;";

/// After all that, in a database that was copied.
const MORE: &str = "
    INSERT INTO flowers SELECT g, g % 17, g % 5 FROM generate_series(20001, 21000) g;
    DELETE FROM flowers WHERE a % 11 = 0;
    VACUUM flowers;
    INSERT INTO herbs SELECT generate_series(1, 2000);";

/// The databases afterwards.
const DATABASES: [&str; 4] = ["template1", "postgres", "logged", "copied"];

/// The installation under test, or PostgreSQL 15.
fn installation() -> Result<Installation> {
    Installation::for_tests().or_else(|_| Installation::find(15))
}

fn cluster() -> Result<ClusterBuilder> {
    Ok(Cluster::builder(&installation()?)
        // Small segments, so that records cross from one to the next, and all of them kept.
        .initdb_option("--wal-segsize=1")
        .settings([
            ("autovacuum", "off"),
            ("wal_keep_size", "2GB"),
            ("max_wal_size", "64MB"),
            ("allow_in_place_tablespaces", "on"),
        ]))
}

/// Without checksums on pages, which 18 has by default.
fn without_checksums(builder: ClusterBuilder) -> Result<ClusterBuilder> {
    let has_option = installation()?.version().major >= 18;
    Ok(if has_option { builder.initdb_option("--no-data-checksums") } else { builder })
}

/// Loads a cluster, stops it, rebuilds its pages from the log and compares.
fn check(builder: ClusterBuilder, checksums: bool) -> Result<(Rebuilt, Comparison)> {
    let mut cluster = builder.start()?;
    let start: Lsn = cluster.psql("postgres", "SELECT pg_current_wal_insert_lsn()")?.parse()?;
    cluster.psql("postgres", BLOOM)?;
    cluster.psql("postgres", OTHERS)?;
    cluster.psql(
        "template1",
        "CREATE DATABASE logged TEMPLATE postgres STRATEGY wal_log;
         CREATE DATABASE copied TEMPLATE postgres STRATEGY file_copy;",
    )?;
    cluster.psql("copied", MORE)?;
    cluster.psql("postgres", BRIN)?;
    // Recovery: some pages have the changes already.
    cluster.psql("logged", "CHECKPOINT")?;
    cluster.psql("logged", MORE)?;
    cluster.crash()?;
    cluster.start()?;
    cluster.psql("postgres", MORE)?;
    let relations = relations(&cluster, &DATABASES)?;
    cluster.stop(Mode::Fast)?;
    let rebuilt = Rebuilt::from_log(&cluster, start)?;
    let comparison = compare(&cluster, &relations, &rebuilt, checksums)?;
    let Rebuilt { applied, checked, restored, removals, .. } = &rebuilt;
    eprintln!("{applied} changes applied, {checked} checked, {restored} images, removals {removals:?}; {comparison:?}");
    ensure!(*applied > 5000, "only {applied} changes of Generic WAL");
    ensure!(comparison.equal > 300, "only {} pages of bloom indexes", comparison.equal);
    Ok((rebuilt, comparison))
}

#[test]
fn pages_are_those_of_the_data_files() -> Result<()> {
    let (_, comparison) = check(without_checksums(cluster()?)?, false)?;
    ensure!(comparison.equal_but_hints > 1000, "{comparison:?}");
    Ok(())
}

#[test]
fn pages_are_those_of_the_data_files_with_checksums_and_an_image_in_each_record() -> Result<()> {
    let settings = [("wal_consistency_checking", "all"), ("wal_compression", "on")];
    let (rebuilt, comparison) = check(cluster()?.settings(settings).data_checksums(), true)?;
    ensure!(rebuilt.checked > 5000, "only {} changes checked", rebuilt.checked);
    ensure!(rebuilt.removals.iter().all(|count| *count > 50), "removals {:?}", rebuilt.removals);
    ensure!(comparison.equal_but_hints > 1000, "{comparison:?}");
    // Whatever the log tells of is known.
    ensure!(comparison.not_known == 0, "{comparison:?}");
    Ok(())
}

#[test]
fn pages_are_those_of_the_data_files_without_full_page_writes() -> Result<()> {
    check(without_checksums(cluster()?)?.setting("full_page_writes", "off"), false)?;
    Ok(())
}

#[test]
fn pages_are_those_of_the_data_files_after_images_of_each_compression() -> Result<()> {
    for method in ["lz4", "zstd"] {
        // Not all builds have them.
        let builder = without_checksums(cluster()?)?;
        let available = "SELECT 1 FROM pg_settings WHERE name = 'wal_compression' AND enumvals @> ARRAY['METHOD']";
        let mut cluster = builder.clone().start()?;
        let is_available = !cluster.psql("postgres", &available.replace("METHOD", method))?.is_empty();
        cluster.stop(Mode::Immediate)?;
        if is_available {
            check(builder.setting("wal_compression", method), false)?;
        } else {
            eprintln!("{} has no {method}", installation()?.version());
        }
    }
    Ok(())
}
