//! Metrics in the text format of Prometheus, version 0.0.4.
//!
//! Those of plugins and resource managers have the names that the queries in `docs/prometheus` give them. Labels are
//! bounded: of the tables, those with the most dead bytes are named, and the others added up.

use std::cmp::Reverse;
use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::Service;
use super::history::seconds;
use crate::observation::{Horizon, Observation, Plugin, Table};

/// All tables that are not named. No table has such a name, as it has no schema.
const OTHERS: &str = "(others)";
/// `max_worker_processes` and memory bound plugins anyway; `pg_stat_walker` shows no more.
const MOST_PLUGINS: usize = 32;

pub(super) async fn answer(State(service): State<Service>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, service.board.metrics_text()).into_response()
}

/// The metrics of a look; `None` if the server cannot be asked now, whose old numbers would look like new ones.
pub(super) fn text(observation: Option<&Observation>, tables: usize) -> String {
    let mut metrics = Metrics::default();
    let version = env!("CARGO_PKG_VERSION");
    metrics.family("walker_build_info", "gauge", "Version of walker serve");
    metrics.sample(&[("version", version)], Some(1));
    metrics.family("walker_up", "gauge", "1 if the database answers, else 0");
    metrics.sample(&[], Some(u8::from(observation.is_some())));
    if let Some(observation) = observation {
        server(&mut metrics, observation);
        plugins(&mut metrics, observation.plugins.rows());
        resource_managers(&mut metrics, observation);
        of_tables(&mut metrics, observation.tables.rows(), tables);
    }
    metrics.text
}

fn server(metrics: &mut Metrics, observation: &Observation) {
    let server = &observation.server;
    metrics.family("walker_server_info", "gauge", "Version of the server, and the database that is asked");
    metrics.sample(&[("version", &server.version), ("database", &server.database)], Some(1));
    metrics.family("walker_observation_timestamp_seconds", "gauge", "When the database was asked, by its clock");
    metrics.sample(&[], Some(seconds(server.time)));
    metrics.family("walker_server_in_recovery", "gauge", "1 if the server is a standby or recovers, else 0");
    metrics.sample(&[], Some(u8::from(server.in_recovery)));
    metrics.family(
        "walker_wal_bytes_total",
        "counter",
        "WAL that was written, or replayed on a standby: the end of the log",
    );
    metrics.sample(&[], Some(server.lsn.get()));
    if observation.holders.missing().is_none() {
        let help = "How many transactions have begun since the oldest one because of which dead tuples are kept; 0 if there is none";
        metrics.family("walker_removal_held_back_transactions", "gauge", help);
        for (horizon, name) in [(Horizon::Shared, "shared"), (Horizon::Catalog, "catalog"), (Horizon::Data, "data")] {
            let ages = observation.holders.rows().iter().filter(|holder| holder.horizon == horizon);
            metrics.sample(&[("horizon", name)], Some(ages.map(|holder| holder.xmin_age).max().unwrap_or(0)));
        }
    }
}

fn plugins(metrics: &mut Metrics, plugins: &[Plugin]) {
    type Number = fn(&Plugin) -> Option<f64>;
    let families: [(&str, &str, &str, Number); 10] = [
        (
            "pg_stat_walker_up",
            "gauge",
            "1 while the plugin is told records (state running or catching up), else 0",
            |plugin| Some(f64::from(u8::from(matches!(plugin.state.as_str(), "running" | "catching up")))),
        ),
        (
            "pg_stat_walker_switched_off",
            "gauge",
            "1 if the plugin failed so often that it is not tried again, else 0",
            |plugin| Some(f64::from(u8::from(plugin.state == "off"))),
        ),
        ("pg_stat_walker_lag_bytes", "gauge", "WAL that is durable and that the plugin was not told yet", |plugin| {
            plugin.lag_bytes.map(float)
        }),
        (
            "pg_stat_walker_lag_seconds",
            "gauge",
            "How long the oldest WAL that the plugin was not told yet has been there; 0 if there is none",
            |plugin| plugin.lag_seconds,
        ),
        ("pg_stat_walker_wal_kept", "gauge", "1 if WAL that the plugin needs is held back for it, else 0", |plugin| {
            plugin.wal_kept.map(|kept| f64::from(u8::from(kept)))
        }),
        ("pg_stat_walker_records_total", "counter", "Records that the plugin was told", |plugin| {
            Some(float(plugin.records))
        }),
        ("pg_stat_walker_bytes_total", "counter", "Size of the records that the plugin was told", |plugin| {
            Some(float(plugin.bytes))
        }),
        ("pg_stat_walker_time_seconds_total", "counter", "Time that the plugin took in the worker", |plugin| {
            Some(plugin.total_time / 1000.0)
        }),
        ("pg_stat_walker_failures_total", "counter", "How often the plugin failed", |plugin| {
            Some(float(plugin.failures))
        }),
        ("walker_plugin_info", "gauge", "State of the plugin", |_| Some(1.0)),
    ];
    for (name, kind, help, number) in families {
        metrics.family(name, kind, help);
        for plugin in plugins.iter().take(MOST_PLUGINS) {
            let labels = [("plugin", plugin.name.as_str()), ("state", &plugin.state)];
            let named = if name == "walker_plugin_info" { &labels[..] } else { &labels[..1] };
            metrics.sample(named, number(plugin));
        }
    }
}

fn resource_managers(metrics: &mut Metrics, observation: &Observation) {
    let rows = observation.resource_managers.rows();
    metrics.family(
        "pg_stat_walker_rmgr_records_total",
        "counter",
        "Records of the resource manager that the worker read",
    );
    for rmgr in rows {
        metrics.sample(&[("rm_name", &rmgr.name)], Some(rmgr.records));
    }
    let help = "Size of the records of the resource manager that the worker read";
    metrics.family("pg_stat_walker_rmgr_bytes_total", "counter", help);
    for rmgr in rows {
        metrics.sample(&[("rm_name", &rmgr.name)], Some(rmgr.bytes));
    }
}

fn of_tables(metrics: &mut Metrics, tables: &[Table], most: usize) {
    metrics.family("walker_tables", "gauge", "Tables with blocks of their own, catalogs and TOAST tables too");
    metrics.sample(&[], Some(tables.len()));
    metrics.family("walker_tables_inexact", "gauge", "Tables whose numbers are not exact, or not known of all blocks");
    metrics.sample(&[], Some(tables.iter().filter(|table| table.exact == Some(false)).count()));
    let mut sorted: Vec<&Table> = tables.iter().collect();
    sorted.sort_by(|a, b| (Reverse(a.dead_bytes), &a.name).cmp(&(Reverse(b.dead_bytes), &b.name)));
    let (named, others) = sorted.split_at(most.min(sorted.len()));
    type Number = fn(&Table) -> Option<i64>;
    let families: [(&str, &str, Number); 7] = [
        ("walker_table_blocks", "Size of the table in blocks", |table| table.blocks),
        ("walker_table_known_blocks", "Blocks of which the content is known", |table| table.known_blocks),
        ("walker_table_live_tuples", "Tuples that are not dead", |table| table.live_tuples),
        ("walker_table_dead_tuples", "Dead tuples", |table| table.dead_tuples),
        ("walker_table_dead_bytes", "Bytes of dead tuples", |table| table.dead_bytes),
        ("walker_table_removable_tuples", "Dead tuples that a vacuum could remove now, at least", |table| {
            table.removable_tuples
        }),
        ("walker_table_free_bytes", "Free bytes on the known blocks", |table| table.free_bytes),
    ];
    for (name, help, number) in families {
        metrics.family(name, "gauge", help);
        for table in named {
            metrics.sample(&[("table", &table.name)], number(table));
        }
        if !others.is_empty() {
            // Nothing is known of none of them: no number, rather than 0.
            let sum = others.iter().filter_map(|table| number(table)).reduce(i64::saturating_add);
            metrics.sample(&[("table", OTHERS)], sum);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn float(number: i64) -> f64 {
    number as f64
}

/// A text that grows.
#[derive(Debug, Default)]
struct Metrics {
    text: String,
    name: &'static str,
}

impl Metrics {
    /// Samples of this metric follow.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A number; none where nothing is known.
    fn sample(&mut self, labels: &[(&str, &str)], number: Option<impl Display>) {
        let Some(number) = number else { return };
        self.text.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {number}");
    }
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::samples::observation;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        let text = text(Some(&observation(0, &[("public.\"a\"\n", 1)])), 5);
        assert!(text.contains("\nwalker_table_dead_bytes{table=\"public.\\\"a\\\"\\n\"} 100\n"), "{text}");
    }

    #[test]
    fn tables_that_are_not_named_are_added_up() {
        let tables = [("a", 1), ("b", 5), ("c", 3), ("d", 2)];
        let text = text(Some(&observation(0, &tables)), 2);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("walker_table_dead_tuples")).collect();
        assert_eq!(
            lines,
            [
                "walker_table_dead_tuples{table=\"b\"} 5",
                "walker_table_dead_tuples{table=\"c\"} 3",
                "walker_table_dead_tuples{table=\"(others)\"} 3",
            ]
        );
        assert!(text.contains("\nwalker_tables 4\n"), "{text}");
    }

    #[test]
    fn of_a_server_that_is_away_nothing_old_is_told() {
        let text = text(None, 2);
        assert!(text.contains("\nwalker_up 0\n") && !text.contains("pg_stat_walker"), "{text}");
    }

    #[test]
    fn each_metric_has_its_help_once_and_its_samples_behind() {
        let text = text(Some(&observation(0, &[("a", 1)])), 5);
        let mut seen = std::collections::BTreeSet::new();
        let mut current = "";
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next() {
                Some("#") if words.next() == Some("HELP") => {
                    current = words.next().unwrap();
                    assert!(seen.insert(current), "{current} comes twice");
                }
                Some("#") => assert!(line.starts_with(&format!("# TYPE {current} ")), "{line}"),
                Some(sample) => assert_eq!(sample.split('{').next(), Some(current), "{line}"),
                None => panic!("an empty line"),
            }
            if line.contains("# TYPE") {
                assert_eq!(line.ends_with(" counter"), current.ends_with("_total"), "{line}");
            }
        }
        assert!(seen.contains("pg_stat_walker_lag_seconds"));
    }
}
