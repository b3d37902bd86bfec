//! The same plugin outside of the server: `walker garbage` over the files, and `walker heatmap` on a connection.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Installation, Mode, walker_command};

const TIMEOUT: Duration = Duration::from_secs(60);

fn cluster() -> Result<Cluster> {
    let cluster = Cluster::builder(&Installation::for_tests()?)
        // Small segments, so that records cross from one to the next, and all of them kept.
        .initdb_option("--wal-segsize=1")
        .setting("shared_preload_libraries", "walker")
        .setting("walker.plugins", "garbagemap")
        .setting("autovacuum", "off")
        .setting("wal_keep_size", "2GB")
        .start()?;
    cluster.wait_for_log("walker: walking over WAL", TIMEOUT)?;
    cluster.psql("postgres", "CREATE EXTENSION garbagemap; CREATE EXTENSION pgstattuple")?;
    Ok(cluster)
}

fn load(cluster: &Cluster) -> Result<()> {
    cluster.psql(
        "postgres",
        "CREATE TABLE orders (id int PRIMARY KEY, v text);
         INSERT INTO orders SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g;
         DELETE FROM orders WHERE id BETWEEN 3000 AND 6000; CHECKPOINT;
         UPDATE orders SET v = 'y' WHERE id % 10 = 0; BEGIN; DELETE FROM orders; ROLLBACK;
         BEGIN; INSERT INTO orders SELECT g, 'z' FROM generate_series(20001, 21000) g; ROLLBACK;
         CREATE TABLE small AS SELECT generate_series(1, 100) AS id; DELETE FROM small WHERE id < 30; VACUUM small;
         INSERT INTO small VALUES (1); UPDATE small SET id = 2 WHERE id = 1;",
    )?;
    Ok(())
}

fn run(mut command: Command) -> Result<String> {
    let output = command.env_remove("RUST_BACKTRACE").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed with {}: {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// The fields of one relation, cut out of the answer in JSON.
fn relation_of(json: &str, filenode: &str) -> Result<String> {
    let begin = json.find(&format!("\"filenode\": {filenode},")).with_context(|| format!("{filenode}: {json}"))?;
    let end = json[begin..].find('}').context("no end")?;
    Ok(json[begin..begin + end].to_owned())
}

fn field(relation: &str, name: &str) -> Result<u64> {
    let value = relation.split(&format!("\"{name}\": ")).nth(1).with_context(|| format!("no {name}: {relation}"))?;
    Ok(value.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse()?)
}

#[test]
fn the_plugin_over_files_counts_what_it_counts_in_the_server() -> Result<()> {
    let mut cluster = cluster()?;
    load(&cluster)?;
    let tables = ["orders", "small"];
    let (lsn, in_server) = cluster.at_a_quiet_moment("postgres", |session, lsn| {
        let ask = |table: &str| {
            format!(
                "SELECT pg_relation_filenode('{table}'), sum(n_tuples), sum(n_dead_tuples), sum(freespace),
                   sum(n_all_visible), (SELECT dead_tuple_count FROM pgstattuple('{table}'::regclass))
                 FROM garbage_summary('{table}')"
            )
        };
        let rows: Result<Vec<_>> = tables.iter().map(|table| session.execute(&ask(table))).collect();
        Ok((lsn, rows?))
    })?;
    for stopped in [false, true] {
        // Over a running server's files, and over those of a stopped one.
        if stopped {
            cluster.stop(Mode::Fast)?;
        }
        let mut command = Command::new(walker_command()?);
        command.args(["garbage", "--format", "json", "--end", &lsn.to_string()]);
        command.arg("--pgdata").arg(cluster.data_directory());
        let json = run(command)?;
        for row in &in_server {
            let columns: Vec<_> = row.split('|').collect();
            let relation = relation_of(&json, columns[0])?;
            let names = ["tuples", "dead_tuples", "free_space", "all_visible_blocks", "dead_tuples"];
            for (name, expected) in names.into_iter().zip(&columns[1..]) {
                assert_eq!(field(&relation, name)?.to_string(), **expected, "{name}: {relation}");
            }
            assert!(relation.contains("\"complete\": true") && relation.contains("\"inexact\": null"), "{relation}");
        }
    }
    Ok(())
}

#[test]
fn the_pictures_are_drawn_from_the_server_s_map() -> Result<()> {
    let cluster = cluster()?;
    load(&cluster)?;
    cluster.at_a_quiet_moment("postgres", |_, _| Ok(()))?;
    let heatmap = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(walker_command()?);
        command.args(["heatmap", "--table", "orders", "--dbname", &cluster.connection_string("postgres")]);
        run({
            command.args(arguments);
            command
        })
    };
    let dead = "SELECT to_char(dead_tuple_count, 'FM9,999') FROM pgstattuple('orders'::regclass)";
    let dead = cluster.psql("postgres", dead)?;
    let drawn = heatmap(&["--colour", "never", "--width", "80"])?;
    assert!(drawn.contains("Dead tuples in orders") && drawn.contains(&format!("{dead} of ")), "{dead}: {drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    let directory = walker_testing::temporary_directory()?;
    for (name, beginning) in [("map.png", &b"\x89PNG"[..]), ("map.svg", b"<svg")] {
        let path = directory.path().join(name);
        heatmap(&["--output", path.to_str().context("path")?])?;
        let bytes = std::fs::read(path)?;
        assert!(bytes.starts_with(beginning) && bytes.len() > 5_000, "{name}: {} bytes", bytes.len());
    }
    Ok(())
}

#[test]
fn what_is_missing_is_told_with_what_to_do() -> Result<()> {
    let cluster = Cluster::builder(&Installation::for_tests()?).start()?;
    let heatmap = |table: &str| -> Result<String> {
        let mut command = Command::new(walker_command()?);
        command.args(["heatmap", "--table", table, "--dbname", &cluster.connection_string("postgres")]);
        Ok(format!("{:#}", run(command).unwrap_err()))
    };
    cluster.psql("postgres", "CREATE TABLE t AS SELECT 1")?;
    let error = heatmap("t")?;
    assert!(error.contains("CREATE EXTENSION garbagemap"), "{error}");
    cluster.psql("postgres", "CREATE EXTENSION garbagemap")?;
    let error = heatmap("t")?;
    assert!(error.contains("shared_preload_libraries"), "{error}");
    let error = heatmap("nothing")?;
    assert!(error.contains("relation \"nothing\" does not exist"), "{error}");
    Ok(())
}
