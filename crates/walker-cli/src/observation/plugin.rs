//! The plugins of the worker: the view `pg_stat_walker`.

use postgres::Client;
use schemars::JsonSchema;
use serde::Serialize;

/// One plugin. Positions are those of the log, as PostgreSQL writes them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    /// Of the worker, if it runs.
    pub(crate) process_id: Option<i32>,
    pub(crate) state: String,
    pub(crate) applied_lsn: Option<String>,
    pub(crate) flushed_lsn: Option<String>,
    pub(crate) lag_bytes: Option<i64>,
    pub(crate) lag_seconds: Option<f64>,
    pub(crate) records: i64,
    pub(crate) bytes: i64,
    pub(crate) records_per_second: Option<f64>,
    /// How long its callbacks took, in milliseconds.
    pub(crate) total_time: f64,
    pub(crate) failures: i64,
    pub(crate) last_error: Option<String>,
    /// Whether WAL that it needs is held back for it.
    pub(crate) wal_kept: Option<bool>,
}

pub(super) fn read(client: &mut Client, schema: &str) -> Result<Vec<Plugin>, postgres::Error> {
    let rows = client.query(
        &format!(
            "SELECT plugin, pid, state, applied_lsn::pg_catalog.text, flushed_lsn::pg_catalog.text, lag_bytes,
                    pg_catalog.date_part('epoch', lag), records, bytes, records_per_second, total_time, failures, last_error,
                    wal_kept
               FROM {schema}.pg_stat_walker"
        ),
        &[],
    )?;
    let plugin = |row: &postgres::Row| {
        Ok(Plugin {
            name: row.try_get(0)?,
            process_id: row.try_get(1)?,
            state: row.try_get(2)?,
            applied_lsn: row.try_get(3)?,
            flushed_lsn: row.try_get(4)?,
            lag_bytes: row.try_get(5)?,
            lag_seconds: row.try_get(6)?,
            records: row.try_get(7)?,
            bytes: row.try_get(8)?,
            records_per_second: row.try_get(9)?,
            total_time: row.try_get(10)?,
            failures: row.try_get(11)?,
            last_error: row.try_get(12)?,
            wal_kept: row.try_get(13)?,
        })
    };
    rows.iter().map(plugin).collect()
}
