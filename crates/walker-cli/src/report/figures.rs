//! What the server says of a table: garbagemap's numbers, the statistics that autovacuum goes by, and storage parameters.

use anyhow::Result;
use postgres::{Client, Row};
use serde::Serialize;

use crate::summary::explain;

/// A table with all that the report needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) id: u32,
    /// Quoted as SQL wants it, with its schema.
    pub(super) name: String,
    /// The table whose long values are in this one, quoted.
    pub(super) toast_of: Option<String>,
    pub(super) blocks: u64,
    pub(super) known_blocks: u64,
    pub(super) live_tuples: Option<u64>,
    pub(super) dead_tuples: Option<u64>,
    pub(super) dead_bytes: Option<u64>,
    pub(super) removable_tuples: Option<u64>,
    pub(super) held_back_by: Option<String>,
    pub(super) dead_since_vacuum: Option<u64>,
    pub(super) dead_per_minute: Option<f64>,
    /// Since garbagemap saw a trace of VACUUM.
    pub(super) seconds_since_vacuum: Option<f64>,
    pub(super) free_bytes: Option<u64>,
    pub(super) exact: bool,
    pub(super) inexact: Option<String>,
    pub(super) lsn: Option<String>,
    pub(super) reltuples: f64,
    pub(super) has_index: bool,
    pub(super) options: Vec<String>,
    /// Those of the table that this TOAST table belongs to: they hold where it has none of its own.
    pub(super) owner_options: Vec<String>,
    pub(super) updated_and_deleted: Option<u64>,
    /// What autovacuum believes to be dead.
    pub(super) counted_dead: Option<u64>,
    pub(super) seconds_since_autovacuum: Option<f64>,
    pub(super) autovacuums: Option<u64>,
    /// All of them together; from PostgreSQL 18 on.
    pub(super) autovacuum_milliseconds: Option<f64>,
    pub(super) seconds_since_reset: Option<f64>,
    pub(super) is_being_vacuumed: bool,
}

/// Where the garbage is, as far as a VACUUM can give blocks back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tail {
    /// Of the file, when this was asked.
    pub(super) blocks: u64,
    /// At its end, without live tuples.
    pub(super) without_live: u64,
    /// At its end, without any tuples.
    pub(super) without_any: u64,
    /// Blocks that have dead tuples; with several blocks a range, at most so many.
    pub(super) with_dead: u64,
    pub(super) blocks_per_range: u32,
}

/// All tables of the database, those with most dead bytes first. `{schema}` is the extension's.
const SQL: &str = "SELECT g.relid, format('%I.%I', g.schemaname, g.relname), CASE WHEN owner.oid IS NOT NULL THEN format('%I.%I', owner_schema.nspname, owner.relname) END,
       g.n_blocks, g.known_blocks, g.n_live_tuples, g.n_dead_tuples, g.dead_bytes, g.n_removable_tuples, g.held_back_by,
       g.n_dead_since_vacuum, g.n_dead_per_minute::float8, extract(epoch FROM clock_timestamp() - g.last_vacuum)::float8,
       g.freespace, g.exact, g.inexact, g.lsn::text,
       c.reltuples::float8, c.relhasindex, coalesce(c.reloptions, '{}'), coalesce(owner.reloptions, '{}'),
       s.n_tup_upd + s.n_tup_del, s.n_dead_tup, extract(epoch FROM clock_timestamp() - s.last_autovacuum)::float8,
       s.autovacuum_count, (to_jsonb(s) ->> 'total_autovacuum_time')::float8,
       extract(epoch FROM clock_timestamp() - d.stats_reset)::float8,
       EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.relid = g.relid AND p.datname = current_database())
  FROM {schema}.garbagemap g
       JOIN pg_class c ON c.oid = g.relid
       LEFT JOIN pg_class owner ON c.relkind = 't' AND owner.reltoastrelid = c.oid
       LEFT JOIN pg_namespace owner_schema ON owner_schema.oid = owner.relnamespace
       LEFT JOIN pg_stat_all_tables s ON s.relid = g.relid
       LEFT JOIN pg_stat_database d ON d.datname = current_database()
 WHERE g.relkind <> 'p'
 ORDER BY g.dead_bytes DESC NULLS LAST, g.n_blocks DESC NULLS LAST, 2";

/// Ranges of a single block as long as that is so many rows.
const MOST_RANGES: u64 = 1_000_000;

impl Figures {
    pub(super) fn read(client: &mut Client, schema: &str) -> Result<Vec<Self>> {
        let rows = client.query(&SQL.replace("{schema}", schema), &[]).map_err(explain)?;
        rows.iter().map(Self::of_row).collect()
    }

    fn of_row(row: &Row) -> Result<Self> {
        let number = |column: usize| -> Result<Option<u64>> {
            Ok(row.try_get::<_, Option<i64>>(column)?.and_then(|number| u64::try_from(number).ok()))
        };
        Ok(Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            toast_of: row.try_get(2)?,
            blocks: number(3)?.unwrap_or(0),
            known_blocks: number(4)?.unwrap_or(0),
            live_tuples: number(5)?,
            dead_tuples: number(6)?,
            dead_bytes: number(7)?,
            removable_tuples: number(8)?,
            held_back_by: row.try_get(9)?,
            dead_since_vacuum: number(10)?,
            dead_per_minute: row.try_get(11)?,
            seconds_since_vacuum: row.try_get(12)?,
            free_bytes: number(13)?,
            exact: row.try_get::<_, Option<bool>>(14)?.unwrap_or(false),
            inexact: row.try_get(15)?,
            lsn: row.try_get(16)?,
            reltuples: row.try_get(17)?,
            has_index: row.try_get(18)?,
            options: row.try_get(19)?,
            owner_options: row.try_get(20)?,
            updated_and_deleted: number(21)?,
            counted_dead: number(22)?,
            seconds_since_autovacuum: row.try_get(23)?,
            autovacuums: number(24)?,
            autovacuum_milliseconds: row.try_get(25)?,
            seconds_since_reset: row.try_get(26)?,
            is_being_vacuumed: row.try_get(27)?,
        })
    }

    /// The storage parameters that autovacuum goes by: without any of its own a TOAST table has those of its table.
    pub(super) fn effective_options(&self) -> &[String] {
        if self.options.is_empty() { &self.owner_options } else { &self.options }
    }

    /// What the table is called in the report.
    pub(super) fn title(&self) -> String {
        match &self.toast_of {
            Some(owner) => format!("TOAST of {owner} ({})", self.name),
            None => self.name.clone(),
        }
    }

    /// The name as a string of SQL: `'public.orders'`.
    pub(super) fn literal(&self) -> String {
        literal(&self.name)
    }
}

/// A text as a string of SQL, whatever standard_conforming_strings is.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

impl Tail {
    /// Asks for it; `None` if the table is gone.
    pub(super) fn read(client: &mut Client, schema: &str, figures: &Figures) -> Result<Option<Self>> {
        let blocks_per_range = u32::try_from(figures.blocks.div_ceil(MOST_RANGES).max(1)).unwrap_or(u32::MAX);
        client.batch_execute(&format!("SET garbagemap.summary_size = {blocks_per_range}")).map_err(explain)?;
        let row = client
            .query_opt(
                &format!(
                    "SELECT coalesce(sum(n_blocks), 0)::int8,
                            coalesce(max(rangeno) FILTER (WHERE known_blocks < n_blocks OR n_tuples > n_dead_tuples), -1)::int8 + 1,
                            coalesce(max(rangeno) FILTER (WHERE known_blocks < n_blocks OR n_tuples > 0), -1)::int8 + 1,
                            coalesce(sum(n_blocks) FILTER (WHERE n_dead_tuples > 0), 0)::int8
                       FROM pg_class c, {schema}.garbage_summary(c.oid::regclass)
                      WHERE c.oid = $1"
                ),
                &[&figures.id],
            )
            .map_err(explain)?;
        let Some(row) = row else { return Ok(None) };
        let number = |column: usize| -> Result<u64> { Ok(row.try_get::<_, i64>(column)?.unsigned_abs()) };
        let blocks = number(0)?;
        let behind = |ranges: u64| blocks.saturating_sub(ranges.saturating_mul(blocks_per_range.into()));
        Ok(Some(Self {
            blocks,
            without_live: behind(number(1)?),
            without_any: behind(number(2)?),
            with_dead: number(3)?,
            blocks_per_range,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_strings_of_sql() {
        for (name, expected) in [
            ("public.t", "'public.t'"),
            ("public.\"a<b>&'; --\"", "'public.\"a<b>&''; --\"'"),
            ("\"a\\b\"", "E'\"a\\\\b\"'"),
        ] {
            assert_eq!(literal(name), expected);
        }
    }

    #[test]
    fn a_toast_table_has_its_tables_parameters_unless_it_has_its_own() {
        let mut figures = Figures { owner_options: vec!["a=1".into()], ..Figures::default() };
        assert_eq!(figures.effective_options(), ["a=1"]);
        figures.options = vec!["b=2".into()];
        assert_eq!(figures.effective_options(), ["b=2"]);
    }
}
