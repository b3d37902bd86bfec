//! Autovacuum's settings: those of the server, and what a table's storage parameters make of them.
//!
//! Mirrors `src/backend/postmaster/autovacuum.c`: `relation_needs_vacanalyze`, `extract_autovac_opts` and `do_autovacuum`.

use anyhow::Result;
use postgres::Client;
use serde::Serialize;

use super::autovacuum::whole;
use crate::summary::explain;

/// The query that gives the server's settings.
pub(super) const SQL: &str =
    "SELECT current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' AS autovacuum,
       current_setting('autovacuum_vacuum_threshold')::int8 AS threshold,
       current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale_factor,
       current_setting('autovacuum_vacuum_max_threshold', true)::int8 AS max_threshold,
       extract(epoch FROM current_setting('autovacuum_naptime')::interval)::float8 AS naptime_seconds,
       current_setting('autovacuum_max_workers')::int8 AS max_workers,
       coalesce(nullif(current_setting('autovacuum_vacuum_cost_limit')::int8, -1),
                current_setting('vacuum_cost_limit')::int8) AS cost_limit,
       current_setting('autovacuum_vacuum_cost_delay') AS cost_delay,
       coalesce(current_setting('vacuum_truncate', true), 'on') = 'on' AS truncate,
       current_setting('block_size')::int8 AS block_size,
       pg_is_in_recovery() AS is_standby";

/// The server's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ServerSettings {
    /// Whether it runs, and has the numbers that it goes by.
    pub(super) autovacuum: bool,
    pub(super) threshold: i64,
    pub(super) scale_factor: f64,
    /// From PostgreSQL 18 on; -1 is no limit.
    pub(super) max_threshold: Option<i64>,
    pub(super) naptime_seconds: f64,
    pub(super) max_workers: i64,
    pub(super) cost_limit: i64,
    pub(super) cost_delay: String,
    pub(super) truncate: bool,
    pub(super) block_size: i64,
    /// It vacuums nothing, and does not know what may be removed.
    pub(super) is_standby: bool,
}

impl ServerSettings {
    pub(super) fn read(client: &mut Client) -> Result<Self> {
        let row = client.query_one(SQL, &[]).map_err(explain)?;
        Ok(Self {
            autovacuum: row.try_get(0)?,
            threshold: row.try_get(1)?,
            scale_factor: row.try_get(2)?,
            max_threshold: row.try_get(3)?,
            naptime_seconds: row.try_get(4)?,
            max_workers: row.try_get(5)?,
            cost_limit: row.try_get(6)?,
            cost_delay: row.try_get(7)?,
            truncate: row.try_get(8)?,
            block_size: row.try_get(9)?,
            is_standby: row.try_get(10)?,
        })
    }
}

/// When autovacuum begins with a table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct TableSettings {
    /// Whether it comes at all, unless transaction numbers run out.
    pub(super) is_enabled: bool,
    pub(super) threshold: i64,
    pub(super) scale_factor: f64,
    /// `None` where PostgreSQL does not have it; negative is no limit.
    pub(super) max_threshold: Option<i64>,
    /// Whether VACUUM gives empty blocks at the end back.
    pub(super) truncate: bool,
}

impl TableSettings {
    /// The server's settings with a table's storage parameters over them, each `name=value`.
    pub(super) fn new(server: &ServerSettings, options: &[String]) -> Self {
        let value = |name: &str| {
            let found = options.iter().filter_map(|option| option.split_once('=')).find(|(key, _)| *key == name);
            found.map(|(_, value)| value.trim())
        };
        let is_on = |value: &str| !["off", "false", "no", "0"].contains(&value.to_ascii_lowercase().as_str());
        // A negative value is one that is not set, but for the limit, where -1 is none.
        let number = |name: &str, least: f64| {
            let number: f64 = value(name)?.parse().ok()?;
            (number.is_finite() && number >= least).then_some(number)
        };
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the casts saturate, and the server takes no more than 32 bits"
        )]
        Self {
            is_enabled: server.autovacuum && value("autovacuum_enabled").is_none_or(is_on),
            threshold: number("autovacuum_vacuum_threshold", 0.0).map_or(server.threshold, |number| number as i64),
            scale_factor: number("autovacuum_vacuum_scale_factor", 0.0).unwrap_or(server.scale_factor),
            max_threshold: server.max_threshold.map(|of_server| {
                number("autovacuum_vacuum_max_threshold", -1.0).map_or(of_server, |number| number as i64)
            }),
            truncate: value("vacuum_truncate").map_or(server.truncate, is_on),
        }
    }

    /// Autovacuum begins when the statistics count more dead tuples than this.
    ///
    /// `reltuples` may be -1: nobody has counted them yet.
    #[allow(clippy::cast_precision_loss, reason = "PostgreSQL counts in float4 here")]
    pub(super) fn dead_tuples(&self, reltuples: f64) -> f64 {
        let reltuples = if reltuples.is_finite() { reltuples.max(0.0) } else { 0.0 };
        let threshold = self.threshold as f64 + self.scale_factor * reltuples;
        match self.max_threshold {
            Some(most) if most >= 0 => threshold.min(most as f64),
            _ => threshold,
        }
    }

    /// The same in words, as somebody may compute it.
    pub(super) fn in_words(&self, reltuples: f64) -> String {
        let Self { threshold, scale_factor, max_threshold, .. } = self;
        let (reltuples, result) = (whole(reltuples.max(0.0)), whole(self.dead_tuples(reltuples)));
        let sum = format!("{threshold} + {scale_factor} \u{d7} {reltuples} tuples");
        match max_threshold {
            Some(most) if *most >= 0 => format!("the lesser of {sum} and {} = {result}", whole(as_float(*most))),
            _ => format!("{sum} = {result}"),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "settings have 32 bits")]
fn as_float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
pub(super) mod samples {
    use super::ServerSettings;

    /// PostgreSQL's defaults, before 18.
    pub(crate) fn defaults() -> ServerSettings {
        ServerSettings {
            autovacuum: true,
            threshold: 50,
            scale_factor: 0.2,
            max_threshold: None,
            naptime_seconds: 60.0,
            max_workers: 3,
            cost_limit: 200,
            cost_delay: "2ms".into(),
            truncate: true,
            block_size: 8192,
            is_standby: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[&str], server: &ServerSettings) -> TableSettings {
        TableSettings::new(server, &options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn storage_parameters_win_over_the_servers_settings() {
        let server = samples::defaults();
        assert_eq!(with(&[], &server).dead_tuples(10_000.0), 2_050.0);
        let own =
            with(&["autovacuum_vacuum_scale_factor=0.05", "autovacuum_vacuum_threshold=0", "fillfactor=70"], &server);
        assert_eq!(own.dead_tuples(10_000.0), 500.0);
        assert!(own.is_enabled && own.truncate);
        assert!(!with(&["autovacuum_enabled=false"], &server).is_enabled);
        assert!(!with(&["vacuum_truncate=off"], &server).truncate);
        // Not set, as PostgreSQL says it.
        assert_eq!(with(&["autovacuum_vacuum_threshold=-1"], &server).threshold, 50);
        for wrong in ["autovacuum_vacuum_threshold=x", "autovacuum_vacuum_scale_factor=NaN", "", "="] {
            assert_eq!(with(&[wrong], &server).dead_tuples(0.0), 50.0, "{wrong}");
        }
    }

    #[test]
    fn from_18_on_there_is_a_limit() {
        let mut server = samples::defaults();
        server.max_threshold = Some(1_000);
        assert_eq!(with(&[], &server).dead_tuples(10_000.0), 1_000.0);
        assert_eq!(with(&["autovacuum_vacuum_max_threshold=-1"], &server).dead_tuples(10_000.0), 2_050.0);
        assert_eq!(with(&["autovacuum_vacuum_max_threshold=7"], &server).dead_tuples(10_000.0), 7.0);
        server.max_threshold = None;
        assert_eq!(with(&["autovacuum_vacuum_max_threshold=7"], &server).dead_tuples(10_000.0), 2_050.0);
    }

    #[test]
    fn tuples_that_nobody_has_counted_are_none() {
        let settings = with(&[], &samples::defaults());
        for reltuples in [-1.0, 0.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(settings.dead_tuples(reltuples), 50.0);
        }
    }
}
