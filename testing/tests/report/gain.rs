//! The figures against pgstattuple, and what VACUUM gains against what was foretold.

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, garbagemap_cluster, start_garbagemap};

use super::{DATABASE, number, report, table, text, wait_until_exact};

const TABLES: [&str; 6] = ["orders", "scattered", "few_at_end", "kept_at_end", "all_dead", "wide"];

fn cluster() -> Result<Cluster> {
    let cluster = start_garbagemap(garbagemap_cluster()?.setting("garbagemap.baseline_rate", "1000"))?;
    cluster.psql(
        DATABASE,
        "CREATE TABLE orders (id int PRIMARY KEY, note text);
         INSERT INTO orders SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g;
         CREATE TABLE scattered AS SELECT * FROM orders;
         CREATE TABLE few_at_end AS SELECT * FROM orders;
         CREATE TABLE kept_at_end WITH (vacuum_truncate = off) AS SELECT * FROM orders;
         CREATE TABLE all_dead AS SELECT * FROM orders;
         CREATE TABLE wide (id int, v text); ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT g, repeat('v', 5000) FROM generate_series(1, 200) g;",
    )?;
    // From 16 on a table that is filled is longer than its rows need.
    cluster.psql(DATABASE, "VACUUM few_at_end")?;
    cluster.psql(
        DATABASE,
        "DELETE FROM orders WHERE id > 15000 OR id % 10 = 0;
         UPDATE scattered SET note = 'new' WHERE id % 5 = 0;
         DELETE FROM few_at_end WHERE id > 19300;
         DELETE FROM kept_at_end WHERE id > 5000;
         DELETE FROM all_dead;
         DELETE FROM wide WHERE id > 50;",
    )?;
    for table in TABLES {
        wait_until_exact(&cluster, table)?;
    }
    Ok(cluster)
}

/// Tuples, dead tuples, their bytes, and the size of the file.
fn found(cluster: &Cluster, table: &str) -> Result<[u64; 4]> {
    let row = cluster.psql(
        DATABASE,
        &format!(
            "SELECT tuple_count, dead_tuple_count, dead_tuple_len, table_len FROM pgstattuple('{table}'::regclass)"
        ),
    )?;
    let numbers = row.trim().split('|').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    numbers.try_into().ok().context(row)
}

#[test]
fn figures_are_pgstattuples_and_vacuum_gains_what_is_foretold() -> Result<()> {
    let cluster = cluster()?;
    let said = report(&cluster)?;
    let toast = cluster.psql(DATABASE, "SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'wide'")?;
    let names: Vec<String> =
        TABLES.iter().map(|table| format!("public.{table}")).chain([toast.trim().to_owned()]).collect();
    let all_before: Vec<[u64; 4]> = names.iter().map(|name| found(&cluster, name)).collect::<Result<_>>()?;
    let mut given_back = 0;
    for (name, before) in names.iter().zip(all_before) {
        let table = table(&said, name)?;
        let figures = &table["figures"];
        let told =
            ["live_tuples", "dead_tuples", "dead_bytes"].map(|column| number(&figures[column]).unwrap_or(u64::MAX));
        assert_eq!(told, before[..3], "{name}");
        assert_eq!(number(&figures["blocks"])? * 8192, before[3], "{name}");
        assert_eq!(figures["exact"], true);
        let gain = &table["gain"];
        assert_eq!((number(&gain["tuples"])?, number(&gain["bytes"])?), (before[1], before[2]), "{name} {gain}");
        assert_eq!(gain["is_exact"], true);

        // Of a TOAST table it is that of its table.
        cluster.psql(DATABASE, text(&table["vacuum"])?)?;
        let after = found(&cluster, name)?;
        assert_eq!((after[0], after[1], after[2]), (before[0], 0, 0), "{name}");
        assert_eq!(before[3] - after[3], number(&gain["bytes_of_blocks"])?, "{name} {table:#}");
        given_back += number(&gain["blocks"])?;
    }
    ensure!(given_back > 400, "{given_back}");
    let none = |name: &str| -> Result<u64> { number(&table(&said, name)?["gain"]["blocks"]) };
    assert_eq!([none("public.scattered")?, none("public.few_at_end")?, none("public.kept_at_end")?], [0, 0, 0]);
    ensure!(table(&said, "public.few_at_end")?.to_string().contains("VACUUM gives back 1,000 or a sixteenth"));
    ensure!(table(&said, "public.kept_at_end")?.to_string().contains("vacuum_truncate is off"));

    // Then nothing is left to be gained.
    let said = report(&cluster)?;
    for name in &names {
        let table = table(&said, name)?;
        assert_eq!((number(&table["gain"]["tuples"])?, table["vacuum"].is_null()), (0, true), "{table:#}");
    }
    Ok(())
}
