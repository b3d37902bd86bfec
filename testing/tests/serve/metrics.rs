//! The metrics, and the dashboard that shows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{DATABASE, cluster, serve, table};

#[test]
fn metrics_have_bounded_labels_and_the_dashboard_names_no_others() -> Result<()> {
    let cluster = cluster()?;
    cluster.psql(
        DATABASE,
        "DO $$ BEGIN FOR i IN 1..60 LOOP
             EXECUTE format('CREATE TABLE many_%s AS SELECT generate_series(1, 100) AS id', i);
             EXECUTE format('DELETE FROM many_%s WHERE id <= %s', i, i);
         END LOOP; END $$",
    )?;
    let served = serve(&cluster, &["--tables", "5"])?;
    served
        .wait_for("observation", |told| table(told, "public.many_60").is_ok_and(|table| table["dead_tuples"] == 60))?;
    let answer = served.get("/metrics")?;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.body;
    let of = |name: &str| -> Vec<(String, f64)> {
        let sample = |line: &str| {
            let (series, number) = line.rsplit_once(' ')?;
            series
                .strip_prefix(name)
                .filter(|labels| labels.starts_with('{') || labels.is_empty())
                .map(|labels| (labels.to_owned(), number.parse().unwrap_or(f64::NAN)))
        };
        text.lines().filter_map(sample).collect()
    };
    for name in ["walker_table_dead_bytes", "walker_table_dead_tuples", "walker_table_free_bytes"] {
        let samples = of(name);
        assert_eq!(samples.len(), 6, "{samples:?}");
        assert_eq!(samples[5].0, "{table=\"(others)\"}");
    }
    ensure!(
        of("walker_table_dead_bytes").iter().any(|(labels, _)| labels
            == "{table=\"public.\\\"<img src=x onerror=\\\"\\\"document.title='taken'\\\"\\\">\\\"\"}"),
        "{text}"
    );
    let dead: f64 = of("walker_table_dead_tuples").iter().map(|(_, number)| number).sum();
    let sum: f64 = cluster.psql(DATABASE, "SELECT sum(n_dead_tuples) FROM garbagemap WHERE relkind <> 'p'")?.parse()?;
    // Catalogs have changed a little since.
    ensure!((dead - sum).abs() < 100.0 && dead > 5000.0, "{dead} and {sum}");
    ensure!(
        of("pg_stat_walker_up") == [("{plugin=\"garbagemap\"}".to_owned(), 1.0)]
            && of("walker_up") == [(String::new(), 1.0)],
        "{text}"
    );
    ensure!(of("pg_stat_walker_rmgr_bytes_total").len() < 40, "{text}");

    // Each metric of the dashboard, and of the queries for exporters that ask the same views, is one of them.
    let names: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(docs.join("grafana/walker.json"))?)?;
    let mut expressions = Vec::new();
    collect(&dashboard, "expr", &mut expressions);
    collect(&dashboard, "query", &mut expressions);
    ensure!(expressions.len() > 8, "{expressions:?}");
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        used.extend(words.filter(|word| word.starts_with("walker_") || word.starts_with("pg_stat_walker_")));
    }
    let unknown: Vec<_> = used.difference(&names).collect();
    ensure!(unknown.is_empty() && used.len() > 6, "{unknown:?} of {used:?}");
    let queries = fs::read_to_string(docs.join("prometheus/walker.collector.yml"))?;
    let exported: Vec<_> = queries.lines().filter_map(|line| line.trim().strip_prefix("- metric_name: ")).collect();
    ensure!(exported.len() > 5 && exported.iter().all(|name| names.contains(name)), "{exported:?} of {names:?}");
    Ok(())
}

/// All texts of a field, wherever it is.
fn collect(value: &Value, field: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == field => found.push(text.clone()),
                    other => collect(other, field, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, field, found)),
        _ => {}
    }
}
