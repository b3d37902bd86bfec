//! `walker serve`: what it tells is what the views say, it tells nobody else, and its page does what is clicked and
//! pressed.

mod api;
mod browser;
mod metrics;
mod page;
mod security;
mod served;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use served::{Served, command};
use walker_testing::{Cluster, Mode, Signal, garbagemap_cluster, poll, start_garbagemap, wait_until_garbage_known};

const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(60);
/// A name that would be a program if it became markup.
const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">";

/// A server with both extensions and some tables; of one, some parts are full of garbage and others are clean.
fn cluster() -> Result<Cluster> {
    let cluster = start_garbagemap(garbagemap_cluster()?.setting("garbagemap.baseline_rate", "1000"))?;
    let hostile = HOSTILE.replace('"', "\"\"");
    cluster.psql(
        DATABASE,
        &format!(
            "CREATE EXTENSION walker;
             CREATE TABLE orders AS SELECT id, repeat('x', 200) AS note FROM generate_series(1, 120000) AS id;
             CREATE TABLE parts AS SELECT generate_series(1, 1000) AS id;
             CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS id;
             CREATE TABLE empty (id int);
             CREATE TABLE \"{hostile}\" AS SELECT generate_series(1, 500) AS id;
             DELETE FROM orders WHERE id BETWEEN 10000 AND 14000 OR id % 97 = 0 AND id < 60000 OR id BETWEEN 90000 AND 90900;
             DELETE FROM parts WHERE id <= 10;
             DELETE FROM \"{hostile}\" WHERE id <= 400;
             CHECKPOINT"
        ),
    )?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    Ok(cluster)
}

fn serve(cluster: &Cluster, options: &[&str]) -> Result<Served> {
    Served::start(command(&cluster.connection_string(DATABASE), options)?)
}

/// Whether an answer is as the description of the API says.
fn validate(description: &Value, schema: &str, answer: &Value) -> Result<()> {
    let mut root = description.clone();
    root["$ref"] = format!("#/components/schemas/{schema}").into();
    let validator = jsonschema::draft202012::new(&root)?;
    let errors: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{error} at {}", error.instance_path())).collect();
    ensure!(errors.is_empty(), "{schema}: {errors:#?}");
    // Nothing that is not described; a flattened field is described beside the others.
    let described = &description["components"]["schemas"][schema]["properties"];
    for field in answer.as_object().context("no object")?.keys() {
        ensure!(!described[field].is_null(), "{schema} does not describe {field}");
    }
    Ok(())
}

fn table<'a>(observation: &'a Value, name: &str) -> Result<&'a Value> {
    let tables = observation["tables"].as_array().context("no tables")?;
    tables.iter().find(|table| table["name"] == name).with_context(|| format!("no table {name}"))
}

#[test]
fn a_server_that_restarts_is_waited_for_and_a_signal_ends_it() -> Result<()> {
    let mut cluster = cluster()?;
    let mut served = serve(&cluster, &[])?;
    let id = table(&served.json("observation")?, "public.orders")?["id"].to_string();
    cluster.stop(Mode::Fast)?;
    let told = served.wait_for("observation", |told| !told["trouble"].is_null())?;
    ensure!(table(&told, "public.orders")?["dead_tuples"].as_i64() > Some(5000), "the last look is gone");
    let health = poll(TIMEOUT, || Ok(Some(served.get("/healthz")?).filter(|health| health.status == 503)))?;
    ensure!(health.is_some_and(|health| health.body == "the database does not answer\n"));
    let metrics = served.get("/metrics")?.body;
    ensure!(metrics.contains("\nwalker_up 0\n") && !metrics.contains("pg_stat_walker_up"), "{metrics}");
    let heat_map = served.get(&format!("/api/v1/tables/{id}/heatmap"))?;
    ensure!(heat_map.status == 503 && heat_map.json()?["error"].is_string(), "{heat_map:?}");
    cluster.start()?;
    served.wait_for("observation", |told| told["trouble"].is_null())?;
    assert_eq!(served.get("/healthz")?.status, 200);
    let history = served.json("history")?;
    ensure!(history["dead_bytes"].as_array().is_some_and(|dead| dead.iter().any(Value::is_null)), "{history}");

    // It is read-only in the database too, and one session whatever the number of viewers.
    for _ in 0..20 {
        served.get("/api/v1/observation")?;
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'walker'";
    assert_eq!(cluster.psql(DATABASE, sessions)?, "1");
    ensure!(served.end(Signal::TERM)?.success());
    let mut served = serve(&cluster, &[])?;
    ensure!(served.end(Signal::INT)?.success());
    Ok(())
}

#[test]
fn what_is_missing_is_said_with_what_to_do() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql(DATABASE, "DROP EXTENSION walker; DROP EXTENSION garbagemap")?;
    let served = serve(&cluster, &[])?;
    let told = served.json("observation")?;
    assert_eq!(told["plugins"]["missing"], "run CREATE EXTENSION walker in this database");
    assert_eq!(told["tables"]["missing"], "run CREATE EXTENSION garbagemap in this database");
    validate(&served.json("schema.json")?, "Observation", &told)?;
    let heat_map = served.get("/api/v1/tables/public/orders/heatmap")?;
    ensure!(
        heat_map.status == 503 && heat_map.json()?["hint"] == "Run CREATE EXTENSION garbagemap in this database.",
        "{heat_map:?}"
    );
    ensure!(served.get("/metrics")?.body.contains("\nwalker_up 1\n"));
    Ok(())
}
