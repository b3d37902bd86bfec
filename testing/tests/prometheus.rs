//! The queries for Prometheus that are documented in `docs/prometheus`, against a real server.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use saphyr::{LoadableYamlNode as _, Yaml};
use walker_testing::{Cluster, Installation};

const TIMEOUT: Duration = Duration::from_secs(60);

/// What a file makes of one row of a query.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Metric {
    name: String,
    kind: String,
    help: String,
    labels: Vec<String>,
    column: String,
    query: String,
}

fn document(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/prometheus").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn text(value: Option<&Yaml<'_>>, what: &str) -> Result<String> {
    Ok(value.and_then(Yaml::as_str).with_context(|| format!("no {what}"))?.to_owned())
}

fn list<'a, 'b>(value: Option<&'a Yaml<'b>>, what: &str) -> Result<&'a [Yaml<'b>]> {
    Ok(value.and_then(Yaml::as_sequence).with_context(|| format!("no {what}"))?)
}

/// `name: {query, metrics: [column: {usage, description}]}`; a column's metric is called name_column.
fn of_postgres_exporter() -> Result<BTreeSet<Metric>> {
    let text_of_file = document("postgres_exporter.yaml")?;
    let documents = Yaml::load_from_str(&text_of_file)?;
    let mut metrics = BTreeSet::new();
    for (name, definition) in documents.first().and_then(Yaml::as_mapping).context("no mapping")? {
        let name = text(Some(name), "name")?;
        let query = text(definition.as_mapping_get("query"), "query")?;
        let mut columns = Vec::new();
        for column in list(definition.as_mapping_get("metrics"), "metrics")? {
            let (column, of_column) =
                column.as_mapping().and_then(|column| column.iter().next()).context("no column")?;
            let usage = text(of_column.as_mapping_get("usage"), "usage")?;
            let help = text(of_column.as_mapping_get("description"), "description")?;
            columns.push((text(Some(column), "column")?, usage, help));
        }
        let is_label = |usage: &str| usage == "LABEL";
        let labels: Vec<_> =
            columns.iter().filter(|column| is_label(&column.1)).map(|column| column.0.clone()).collect();
        for (column, usage, help) in columns.into_iter().filter(|column| !is_label(&column.1)) {
            metrics.insert(Metric {
                name: format!("{name}_{column}"),
                kind: usage.to_lowercase(),
                help,
                labels: labels.clone(),
                column,
                query: query.trim_end().to_owned(),
            });
        }
    }
    Ok(metrics)
}

/// `metrics: [{metric_name, type, help, key_labels, values, query_ref}]`, `queries: [{query_name, query}]`.
fn of_sql_exporter() -> Result<BTreeSet<Metric>> {
    let text_of_file = document("walker.collector.yml")?;
    let documents = Yaml::load_from_str(&text_of_file)?;
    let collector = documents.first().context("no document")?;
    ensure!(text(collector.as_mapping_get("collector_name"), "collector_name")? == "walker");
    let queries = list(collector.as_mapping_get("queries"), "queries")?;
    let mut metrics = BTreeSet::new();
    for metric in list(collector.as_mapping_get("metrics"), "metrics")? {
        let field = |name: &str| text(metric.as_mapping_get(name), name);
        let texts = |name: &str| -> Result<Vec<String>> {
            list(metric.as_mapping_get(name), name)?.iter().map(|value| text(Some(value), name)).collect()
        };
        let wanted = field("query_ref")?;
        let is_it = |query: &&Yaml<'_>| query.as_mapping_get("query_name").and_then(Yaml::as_str) == Some(&wanted);
        let query = queries.iter().find(is_it).with_context(|| format!("no query {wanted}"))?;
        let [column] = <[String; 1]>::try_from(texts("values")?).ok().context("not one value")?;
        metrics.insert(Metric {
            name: field("metric_name")?,
            kind: field("type")?,
            help: field("help")?,
            labels: texts("key_labels")?,
            column,
            query: text(query.as_mapping_get("query"), "query")?.trim_end().to_owned(),
        });
    }
    Ok(metrics)
}

#[test]
fn both_exporters_have_the_same_metrics() -> Result<()> {
    let metrics = of_postgres_exporter()?;
    assert_eq!(metrics, of_sql_exporter()?);
    for metric in metrics {
        let is_total = metric.name.ends_with("_total");
        assert_eq!(metric.kind, if is_total { "counter" } else { "gauge" }, "{}", metric.name);
    }
    Ok(())
}

#[test]
fn a_member_of_pg_monitor_gets_a_number_for_each_metric() -> Result<()> {
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "walker")
        .setting("walker.plugins", "record_count, record_count_rust")
        .start()?;
    let prepare = "CREATE EXTENSION walker; CREATE ROLE monitor LOGIN IN ROLE pg_monitor; CREATE TABLE t AS SELECT 1";
    cluster.psql("postgres", prepare)?;
    let counted = "SELECT count(*) > 1 AND every(records > 0) FROM pg_stat_walker";
    cluster.wait_until_true("postgres", counted, TIMEOUT)?;
    for metric in of_postgres_exporter()? {
        let Metric { name, labels, column, query, .. } = &metric;
        let described = cluster.psql("postgres", &format!("SET ROLE monitor; {query} \\gdesc"))?;
        let type_of = |column: &str| {
            described.lines().find_map(|line| line.split_once('|').filter(|(name, _)| *name == column)).map(|of| of.1)
        };
        let is_number = matches!(type_of(column), Some("integer" | "bigint" | "double precision"));
        assert!(is_number, "{name}: {described}");
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        assert!(labels.iter().all(|label| type_of(label) == Some("text")), "{name}: {described}");
        // A row for each series, whose number is there.
        let series = labels.join(", ");
        let rows = format!(
            "SET ROLE monitor; SELECT count(*) > 1 AND count(*) = count(\"{column}\")
                AND count(*) = count(DISTINCT ({series})) FROM ({query}) AS metrics"
        );
        assert_eq!(cluster.psql("postgres", &rows)?, "t", "{name}");
    }
    let ups = "SELECT every(up = 1 AND switched_off = 0) FROM";
    let query = of_postgres_exporter()?.into_iter().find(|metric| metric.column == "up").context("no metric up")?.query;
    assert_eq!(cluster.psql("postgres", &format!("{ups} ({query}) AS metrics"))?, "t");
    Ok(())
}
