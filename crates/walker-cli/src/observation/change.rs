//! What happened between two observations of a server.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Observation;

/// Rates between two moments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    /// Between the two, by the server's clock.
    pub(crate) seconds: f64,
    /// WAL that was written, or on a standby replayed, in bytes a second.
    pub(crate) wal: Option<f64>,
    /// Of what the worker has read, the most bytes first; those of which there was nothing are left out.
    pub(crate) resource_managers: Vec<Rate>,
    /// Bytes of dead tuples that came or went in a second, by the table's OID.
    pub(crate) dead_bytes: HashMap<u32, f64>,
}

/// What the worker has read of a resource manager in a second.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Rate {
    pub(crate) name: String,
    /// Records a second.
    pub(crate) records: f64,
    /// Bytes a second.
    pub(crate) bytes: f64,
}

impl Change {
    /// From an earlier to a later moment.
    #[allow(clippy::cast_precision_loss, reason = "rates")]
    pub(crate) fn between(before: &Observation, now: &Observation) -> Self {
        let seconds = now.server.time.duration_since(before.server.time).as_secs_f64();
        if seconds <= 0.0 || before.server.database != now.server.database {
            return Self::default();
        }
        let per_second = |before: i64, now: i64| (now - before) as f64 / seconds;
        let earlier: HashMap<_, _> =
            before.resource_managers.rows().iter().map(|rmgr| (rmgr.id, (rmgr.records, rmgr.bytes))).collect();
        let rate = |rmgr: &super::ResourceManager| {
            let (records, bytes) = earlier.get(&rmgr.id).copied().unwrap_or_default();
            Rate {
                name: rmgr.name.clone(),
                records: per_second(records, rmgr.records),
                bytes: per_second(bytes, rmgr.bytes),
            }
        };
        // They begin anew when somebody resets them.
        let mut rates: Vec<_> = now
            .resource_managers
            .rows()
            .iter()
            .map(rate)
            .filter(|rate| rate.records > 0.0 && rate.bytes > 0.0)
            .collect();
        rates.sort_by(|a, b| b.bytes.total_cmp(&a.bytes));
        let dead: HashMap<_, _> =
            before.tables.rows().iter().filter_map(|table| Some((table.id, table.dead_bytes?))).collect();
        let growth = |table: &super::Table| Some((table.id, per_second(*dead.get(&table.id)?, table.dead_bytes?)));
        Self {
            seconds,
            wal: now.server.lsn.get().checked_sub(before.server.lsn.get()).map(|bytes| bytes as f64 / seconds),
            resource_managers: rates,
            dead_bytes: now.tables.rows().iter().filter_map(growth).collect(),
        }
    }

    /// All that the worker has read in a second, in bytes.
    pub(crate) fn read(&self) -> f64 {
        self.resource_managers.iter().map(|rate| rate.bytes).sum()
    }
}
