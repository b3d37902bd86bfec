//! What the garbagemap extension of a server says of a table.

use ::heatmap::{Map, Range};
use anyhow::{Context as _, Error, Result};
use postgres::error::SqlState;
use postgres::{Client, Row};

use crate::connection::server_message;
use crate::exit::Hinted;
use crate::extension::Extension;

/// A picture has about so many cells at most.
const MOST_RANGES: u64 = 1_000;

/// Asks for the numbers of each block range of `table`.
pub(crate) fn read(client: &mut Client, table: &str, blocks_per_range: Option<u32>) -> Result<Map> {
    let (name, blocks_per_range) = begin(client, table, blocks_per_range)?;
    let rows = ask(client, table, blocks_per_range, "SELECT *, rangeno AS place FROM {summary} s");
    let rows = rows.map_err(explain).with_context(|| refused(&name))?;
    to_map(client, name, blocks_per_range, &rows)
}

/// What is told of a block range besides what is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    /// Bytes of the dead tuples; `None` if some died or were removed while the server was asked.
    pub(crate) dead_bytes: Option<u64>,
    pub(crate) free_bytes: u64,
    pub(crate) all_visible_blocks: u64,
}

/// The same, with the details of each range.
pub(crate) fn read_detailed(
    client: &mut Client,
    table: &str,
    blocks_per_range: Option<u32>,
) -> Result<(Map, Vec<Detail>)> {
    let (name, blocks_per_range) = begin(client, table, blocks_per_range)?;
    // Two questions to the worker: the second one counts only where it agrees with the first.
    let sql = format!(
        "SELECT s.*, rangeno AS place,
                CASE WHEN s.n_dead_tuples = coalesce(b.n_dead_tuples, 0) THEN coalesce(b.dead_bytes, 0) END AS dead_bytes
           FROM {{summary}} s LEFT JOIN
                (SELECT blkno / {blocks_per_range} AS rangeno, pg_catalog.sum(n_dead_tuples) AS n_dead_tuples,
                        pg_catalog.sum(dead_bytes)::pg_catalog.int8 AS dead_bytes
                   FROM {{blocks}} GROUP BY 1) b USING (rangeno)"
    );
    let rows = ask(client, table, blocks_per_range, &sql).map_err(explain).with_context(|| refused(&name))?;
    let detail = |row: &Row| -> Result<Detail> {
        Ok(Detail {
            dead_bytes: row.try_get::<_, Option<i64>>("dead_bytes")?.map(i64::unsigned_abs),
            free_bytes: number(row, "freespace")?,
            all_visible_blocks: number(row, "n_all_visible")?,
        })
    };
    let details = rows.iter().map(detail).collect::<Result<_>>().context(UNEXPECTED)?;
    Ok((to_map(client, name, blocks_per_range, &rows)?, details))
}

const UNEXPECTED: &str = "garbage_summary() does not return what this version of walker expects";

fn refused(name: &str) -> String {
    format!("could not read the garbage map of table \"{name}\"")
}

/// The table's name, and how many blocks a range shall have.
fn begin(client: &mut Client, table: &str, blocks_per_range: Option<u32>) -> Result<(String, u32)> {
    let (name, blocks) =
        find_table(client, table).map_err(explain).with_context(|| format!("could not find table \"{table}\""))?;
    Ok((name, blocks_per_range.unwrap_or_else(|| suitable_range(blocks))))
}

/// A number of a row; there is none where nothing is known.
fn number(row: &Row, column: &str) -> Result<u64> {
    let value: Option<i64> = row.try_get(column)?;
    Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
}

fn to_map(client: &mut Client, table: String, blocks_per_range: u32, rows: &[Row]) -> Result<Map> {
    let small = |row: &Row, column: &str| -> Result<u32> { Ok(u32::try_from(number(row, column)?)?) };
    let range = |row: &Row| -> Result<Range> {
        Ok(Range {
            blocks: small(row, "n_blocks")?,
            known_blocks: small(row, "known_blocks")?,
            tuples: number(row, "n_tuples")?,
            dead_tuples: number(row, "n_dead_tuples")?,
        })
    };
    let ranges = rows.iter().map(range).collect::<Result<_>>().context(UNEXPECTED)?;
    let text = |column: &str| rows.iter().find_map(|row| row.try_get::<_, Option<String>>(column).ok().flatten());
    let lsn = match text("lsn") {
        Some(lsn) => lsn,
        None => server_position(client).map_err(explain)?,
    };
    Ok(Map { table, lsn, blocks_per_range, ranges, inexact: text("inexact") })
}

/// The table's name as the server writes it, and its size in blocks.
fn find_table(client: &mut Client, table: &str) -> Result<(String, u64), postgres::Error> {
    let row = client.query_one(
        "SELECT oid::pg_catalog.regclass::pg_catalog.text,
                coalesce(pg_catalog.pg_relation_size(oid), 0)
                    / pg_catalog.current_setting('block_size')::pg_catalog.int8
           FROM pg_catalog.pg_class
          WHERE oid = $1::pg_catalog.text::pg_catalog.regclass",
        &[&table],
    )?;
    let blocks: i64 = row.try_get(1)?;
    Ok((row.try_get(0)?, blocks.unsigned_abs()))
}

/// The rows of a query in which `{summary}` and `{blocks}` stand for the extension's functions, wherever it was put.
fn ask(client: &mut Client, table: &str, blocks_per_range: u32, query: &str) -> Result<Vec<Row>, postgres::Error> {
    client.batch_execute(&format!("SET garbagemap.summary_size = {blocks_per_range}"))?;
    let extension = Extension::find(client, "garbagemap")?;
    let schema = extension.schema.map(|schema| format!("{schema}.")).unwrap_or_default();
    let table_parameter = "$1::pg_catalog.text::pg_catalog.regclass";
    let summary = format!(
        "(SELECT rangeno::int8, freespace::int8, n_tuples::int8, n_dead_tuples::int8, n_all_visible::int8,
                 n_blocks::int8, known_blocks::int8, lsn::text, inexact
            FROM {schema}garbage_summary({table_parameter}))"
    );
    let blocks = format!("{schema}garbage_blocks({table_parameter}, true)");
    let sql = query.replace("{summary}", &summary).replace("{blocks}", &blocks) + " ORDER BY place";
    client.query(&sql, &[&table])
}

/// Where the server is: as a table without blocks has no rows that could tell.
fn server_position(client: &mut Client) -> Result<String, postgres::Error> {
    let row = client.query_one(
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                     ELSE pg_catalog.pg_current_wal_lsn() END::pg_catalog.text",
        &[],
    )?;
    row.try_get(0)
}

/// Powers of two are easy to compare; a table of a thousand blocks or less shows each of them.
fn suitable_range(blocks: u64) -> u32 {
    u32::try_from(blocks.div_ceil(MOST_RANGES).max(1).next_power_of_two()).unwrap_or(u32::MAX)
}

/// The server's message with its own hint, or ours where the extension is not there or not running.
pub(crate) fn explain(error: postgres::Error) -> Error {
    let message = server_message(&error);
    let Some(server_error) = error.as_db_error() else { return Error::msg(message) };
    let own = match *server_error.code() {
        SqlState::UNDEFINED_FUNCTION => {
            // The server's hint is about casts.
            return Hinted::error(message, "Run CREATE EXTENSION garbagemap in this database.");
        }
        SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME => Some(
            "Is it in this database (--dbname)? Name its schema unless that is in search_path: --table SCHEMA.NAME",
        ),
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE | SqlState::UNDEFINED_FILE => {
            Some("The server needs walker in shared_preload_libraries and garbagemap in walker.plugins.")
        }
        _ => None,
    };
    // An error without a code of its own.
    let not_named = message
        .contains("in \"walker.plugins\"")
        .then_some("Add it to walker.plugins in the server's configuration, and reload that.");
    match server_error.hint().or(own).or(not_named) {
        Some(hint) => Hinted::error(message, hint),
        None => Error::msg(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_show_each_block_and_large_ones_at_most_a_thousand_ranges() {
        for (blocks, expected) in [(0, 1), (1, 1), (500, 1), (1_000, 1), (1_001, 2), (320_000, 512)] {
            assert_eq!(suitable_range(blocks), expected, "{blocks}");
        }
        let largest = u64::from(u32::MAX);
        assert!(largest.div_ceil(u64::from(suitable_range(largest))) <= MOST_RANGES);
    }
}
