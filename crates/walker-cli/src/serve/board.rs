//! What is known of the server: written by the one thread that asks it, read by everybody.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::history::{self, History, Kept};
use super::metrics;
use crate::observation::{Change, Holder, Observation, Part, Plugin, Rate, ResourceManager, Server, Table};

/// The board.
#[derive(Debug)]
pub(super) struct Board {
    interval: Duration,
    /// Tables that the metrics name.
    tables: usize,
    started: Timestamp,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    observation: Option<Arc<Observation>>,
    change: Change,
    seen: Option<Instant>,
    /// Dead bytes of each table when it was first seen.
    beginnings: HashMap<u32, i64>,
    trouble: Option<Trouble>,
    history: History,
    /// As they are told, made once for all who ask.
    observation_text: Bytes,
    metrics_text: Bytes,
}

impl Board {
    pub(super) fn new(interval: Duration, kept: Kept, tables: usize) -> Self {
        let known = Known {
            observation: None,
            change: Change::default(),
            seen: None,
            beginnings: HashMap::new(),
            trouble: None,
            history: History::new(kept, interval),
            observation_text: Bytes::new(),
            metrics_text: Bytes::new(),
        };
        Self { interval, tables, started: Timestamp::now(), known: RwLock::new(known) }
    }

    // What a panic has left is whole: values are put in place one by one, and nothing in between can fail.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new look over.
    pub(super) fn observe(&self, observation: Observation) {
        let observation = Arc::new(observation);
        let mut known = self.write();
        let known = &mut *known;
        known.change = match &known.observation {
            Some(before) => Change::between(before, &observation),
            None => Change::default(),
        };
        known.history.observe(&observation);
        let tables = observation.tables.rows();
        let before = std::mem::take(&mut known.beginnings);
        // Tables that are gone are forgotten.
        known.beginnings = tables
            .iter()
            .filter_map(|table| Some((table.id, before.get(&table.id).copied().or(table.dead_bytes)?)))
            .collect();
        known.observation = Some(observation);
        known.seen = Some(Instant::now());
        known.trouble = None;
        self.render(known);
    }

    /// The server cannot be asked.
    pub(super) fn fail(&self, message: String) {
        let mut known = self.write();
        let known = &mut *known;
        known.history.interrupt();
        let since = known.trouble.take().map_or_else(|| Timestamp::now().to_string(), |trouble| trouble.since);
        known.trouble = Some(Trouble { message, since });
        self.render(known);
    }

    fn render(&self, known: &mut Known) {
        if let Some(observation) = &known.observation {
            let answer = Answer::new(self, observation, known);
            // What has only numbers, texts and lists can be told as JSON.
            known.observation_text = serde_json::to_vec(&answer).unwrap_or_default().into();
            let is_up = known.trouble.is_none();
            known.metrics_text = metrics::text(is_up.then_some(observation), self.tables).into();
        }
    }

    /// The last look as JSON.
    pub(super) fn observation_text(&self) -> Bytes {
        self.read().observation_text.clone()
    }

    /// The last look as metrics.
    pub(super) fn metrics_text(&self) -> Bytes {
        self.read().metrics_text.clone()
    }

    /// What was.
    pub(super) fn history(&self, since: f64, table: Option<u32>) -> history::Told {
        self.read().history.tell(since, table)
    }

    /// Why the numbers of a table are not exact.
    pub(super) fn inexact(&self, table: u32) -> Option<String> {
        let known = self.read();
        let tables = known.observation.as_ref()?.tables.rows();
        tables.iter().find(|other| other.id == table)?.inexact.clone()
    }

    /// Why the page does not show what is now, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        let known = self.read();
        let is_late = || known.seen.is_none_or(|seen| seen.elapsed() > 3 * self.interval + Duration::from_secs(30));
        let message = known.trouble.as_ref().map(|trouble| trouble.message.clone());
        message.or_else(|| is_late().then(|| "the database does not answer".to_owned()))
    }
}

/// The server as it was at the last look.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Observation")]
pub(super) struct Answer<'b> {
    /// When `walker serve` was started, by its own clock.
    started_at: String,
    /// Version of `walker serve`.
    walker_version: &'static str,
    /// Seconds between two looks.
    interval_seconds: u64,
    /// Why what follows is old; null if it is not.
    trouble: &'b Option<Trouble>,
    server: &'b Server,
    plugins: &'b Part<Plugin>,
    resource_managers: &'b Part<ResourceManager>,
    holders: &'b Part<Holder>,
    tables: Part<TableRow<'b>>,
    rates: Rates<'b>,
}

/// The server could not be asked.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Trouble {
    message: String,
    /// By the clock of `walker serve`.
    since: String,
}

/// What happened between the last two looks; null or empty if there was but one.
#[derive(Debug, Serialize, JsonSchema)]
struct Rates<'b> {
    /// WAL that was written, or on a standby replayed, in bytes a second.
    wal_bytes_per_second: Option<f64>,
    /// What the worker has read, the most bytes first.
    resource_managers: &'b [Rate],
}

/// A table and its growth.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Table")]
struct TableRow<'b> {
    #[serde(flatten)]
    table: &'b Table,
    /// Bytes of dead tuples that came or went in a second, between the last two looks.
    dead_bytes_per_second: Option<f64>,
    /// Bytes of dead tuples that came or went since `walker serve` has first seen the table.
    dead_bytes_since_start: Option<i64>,
}

impl<'b> Answer<'b> {
    fn new(board: &Board, observation: &'b Observation, known: &'b Known) -> Self {
        let row = |table: &'b Table| TableRow {
            table,
            dead_bytes_per_second: known.change.dead_bytes.get(&table.id).copied(),
            dead_bytes_since_start: table
                .dead_bytes
                .and_then(|bytes| bytes.checked_sub(*known.beginnings.get(&table.id)?)),
        };
        Self {
            started_at: board.started.to_string(),
            walker_version: env!("CARGO_PKG_VERSION"),
            interval_seconds: board.interval.as_secs(),
            trouble: &known.trouble,
            server: &observation.server,
            plugins: &observation.plugins,
            resource_managers: &observation.resource_managers,
            holders: &observation.holders,
            tables: observation.tables.map(row),
            rates: Rates { wal_bytes_per_second: known.change.wal, resource_managers: &known.change.resource_managers },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::samples::observation;

    fn told(board: &Board) -> serde_json::Value {
        serde_json::from_slice(&board.observation_text()).unwrap()
    }

    #[test]
    fn growth_is_since_a_table_was_first_seen() {
        let board = Board::new(Duration::from_secs(2), "1h".parse().unwrap(), 10);
        board.observe(observation(0, &[("a", 5)]));
        board.observe(observation(2, &[("a", 7), ("b", 10)]));
        board.observe(observation(4, &[("a", 4), ("b", 30)]));
        let json = told(&board);
        assert_eq!(json["tables"][0]["dead_bytes_since_start"], -100);
        assert_eq!(json["tables"][1]["dead_bytes_since_start"], 2000);
        assert_eq!(json["tables"][1]["dead_bytes_per_second"], 1000.0);
        assert_eq!(json["rates"]["wal_bytes_per_second"], 1_048_576.0);
    }

    #[test]
    fn trouble_is_told_with_the_last_look_and_goes_away() {
        let board = Board::new(Duration::from_secs(2), "1h".parse().unwrap(), 10);
        assert!(board.trouble().is_some());
        board.observe(observation(0, &[("a", 5)]));
        assert_eq!(board.trouble(), None);
        board.fail("gone".to_owned());
        let since = told(&board)["trouble"]["since"].clone();
        board.fail("still gone".to_owned());
        let json = told(&board);
        assert_eq!((&json["trouble"]["message"], &json["trouble"]["since"]), (&"still gone".into(), &since));
        assert_eq!(json["tables"][0]["dead_bytes"], 500);
        assert_eq!(board.trouble().as_deref(), Some("still gone"));
        board.observe(observation(2, &[("a", 5)]));
        assert_eq!((board.trouble(), told(&board)["trouble"].is_null()), (None, true));
    }
}
