//! `walker report` and `walker heatmap`'s files: what they say is what the server finds, and what they propose does what they say.

mod autovacuum;
mod blockers;
mod files;
mod gain;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use walker_testing::{Cluster, walker};

const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(120);

/// What a command prints, and whether it says that all went well.
fn run(cluster: &Cluster, arguments: &[&str]) -> Result<(bool, String, String)> {
    let mut command = walker()?;
    let (subcommand, options) = arguments.split_first().context("no subcommand")?;
    command.args([subcommand, "--dbname", &cluster.connection_string(DATABASE)]).args(options);
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code() == Some(0), text(&output.stdout), text(&output.stderr)))
}

fn printed(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let (is_success, text, error) = run(cluster, arguments)?;
    ensure!(is_success && error.is_empty(), "{arguments:?}: {error}");
    Ok(text)
}

fn json(cluster: &Cluster, arguments: &[&str]) -> Result<Value> {
    let text = printed(cluster, arguments)?;
    serde_json::from_str(&text).with_context(|| text)
}

/// The report, when the map has come to where the log is now.
fn report(cluster: &Cluster) -> Result<Value> {
    cluster.psql(DATABASE, "SELECT garbagemap_wait(pg_current_wal_insert_lsn())")?;
    json(cluster, &["report", "--format", "json", "--limit", "1000"])
}

/// A table's part of it.
fn table<'r>(report: &'r Value, name: &str) -> Result<&'r Value> {
    let tables = report["tables"].as_array().context("no tables")?;
    let table = tables.iter().find(|table| table["figures"]["name"] == name);
    table.with_context(|| format!("{name} is not in {report:#}"))
}

/// A number of it.
fn number(value: &Value) -> Result<u64> {
    value.as_u64().with_context(|| format!("not a number: {value}"))
}

/// A text of it.
fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("not a text: {value}"))
}

fn wait_until_exact(cluster: &Cluster, table: &str) -> Result<()> {
    let exact = format!("SELECT exact FROM garbagemap WHERE relid = '{table}'::regclass");
    cluster.wait_until_true(DATABASE, &exact, TIMEOUT)
}
