//! The tables of the database: the view `garbagemap`.

use postgres::Client;
use schemars::JsonSchema;
use serde::Serialize;

/// One table that has blocks of its own; a partitioned table is told by its partitions. Numbers are `None` where nothing is known.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Table {
    pub(crate) id: u32,
    /// As it is written in SQL whatever the `search_path`.
    pub(crate) name: String,
    /// The table whose long values are in this one.
    pub(crate) toast_of: Option<String>,
    pub(crate) blocks: Option<i64>,
    pub(crate) known_blocks: Option<i64>,
    pub(crate) live_tuples: Option<i64>,
    pub(crate) dead_tuples: Option<i64>,
    pub(crate) dead_bytes: Option<i64>,
    pub(crate) removable_tuples: Option<i64>,
    pub(crate) held_back_by: Option<String>,
    pub(crate) dead_per_minute: Option<f64>,
    pub(crate) dead_since_vacuum: Option<i64>,
    pub(crate) seconds_since_vacuum: Option<f64>,
    pub(crate) free_bytes: Option<i64>,
    pub(crate) exact: Option<bool>,
    pub(crate) inexact: Option<String>,
}

impl Table {
    /// Share of the tuples that are dead, if there are any.
    pub(crate) fn dead_ratio(&self) -> Option<f64> {
        let (live, dead) = (self.live_tuples?, self.dead_tuples?);
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        (live + dead > 0).then(|| dead as f64 / (live + dead) as f64)
    }

    /// Share of the dead tuples that a vacuum could remove now, if there are any.
    pub(crate) fn removable_ratio(&self) -> Option<f64> {
        let (removable, dead) = (self.removable_tuples?, self.dead_tuples?);
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        (dead > 0).then(|| removable as f64 / dead as f64)
    }
}

pub(super) fn read(client: &mut Client, schema: &str) -> Result<Vec<Table>, postgres::Error> {
    let rows = client.query(
        &format!(
            "SELECT relid, pg_catalog.format('%I.%I', schemaname, relname), toast_of::pg_catalog.text, n_blocks, known_blocks,
                    n_live_tuples, n_dead_tuples, dead_bytes, n_removable_tuples, held_back_by,
                    n_dead_per_minute::pg_catalog.float8, n_dead_since_vacuum,
                    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - last_vacuum), freespace, exact, inexact
               FROM {schema}.garbagemap
              WHERE relkind <> 'p'"
        ),
        &[],
    )?;
    let table = |row: &postgres::Row| {
        Ok(Table {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            toast_of: row.try_get(2)?,
            blocks: row.try_get(3)?,
            known_blocks: row.try_get(4)?,
            live_tuples: row.try_get(5)?,
            dead_tuples: row.try_get(6)?,
            dead_bytes: row.try_get(7)?,
            removable_tuples: row.try_get(8)?,
            held_back_by: row.try_get(9)?,
            dead_per_minute: row.try_get(10)?,
            dead_since_vacuum: row.try_get(11)?,
            seconds_since_vacuum: row.try_get(12)?,
            free_bytes: row.try_get(13)?,
            exact: row.try_get(14)?,
            inexact: row.try_get(15)?,
        })
    };
    rows.iter().map(table).collect()
}
