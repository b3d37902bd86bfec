//! The heat map of a part of a table, and its blocks one by one.

use axum::http::StatusCode;
use postgres::{Client, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::failure::Failure;
use crate::extension::Extension;

/// Cells of a picture.
pub(super) const MOST_CELLS: u32 = 4_096;
/// Blocks that are told one by one.
pub(super) const MOST_BLOCKS: u64 = 2_048;
/// Up to so many blocks are told one by one by the server and added up by it; more it adds up by ranges of the whole table,
/// and does not tell the bytes of dead tuples.
const MOST_ADDED: u64 = 32_768;
/// Ranges that `garbage_summary` tells of at most.
const MOST_RANGES: u64 = 1_048_576;

/// How a table is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TableName {
    Id(u32),
    Name { schema: String, table: String },
}

/// From one block on and up to before another one, or the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Blocks {
    pub(super) from: u64,
    pub(super) to: Option<u64>,
}

/// A table, as large as it is now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TableFile")]
struct TableFile {
    id: u32,
    /// As it is written in SQL whatever the search_path.
    name: String,
    blocks: u64,
    /// Bytes.
    block_size: u64,
}

/// A part of a table, in cells of as many blocks each; the last one may have fewer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HeatMap {
    table: TableFile,
    /// The position of the WAL for which the numbers hold; null if there are none.
    lsn: Option<String>,
    /// Why the numbers are not exact, if they are not.
    inexact: Option<String>,
    /// The first block.
    from: u64,
    /// The block behind the last one.
    to: u64,
    /// A power of two.
    blocks_per_cell: u64,
    cells: Vec<Cell>,
}

/// The sums of a range of blocks: of those that are known.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Cell {
    first_block: u64,
    blocks: u64,
    /// Blocks of which the content is known. The other numbers are those of these, and null if there is none.
    known_blocks: u64,
    /// Tuples, dead ones included.
    tuples: Option<i64>,
    dead_tuples: Option<i64>,
    /// Null also where the part is large, for which the server does not tell it.
    dead_bytes: Option<i64>,
    free_bytes: Option<i64>,
    all_visible_blocks: Option<i64>,
}

/// Blocks one by one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Blocks")]
pub(super) struct BlockList {
    table: TableFile,
    lsn: Option<String>,
    /// Why the numbers are not exact, if they are not.
    inexact: Option<String>,
    /// The first block.
    from: u64,
    /// The block behind the last one.
    to: u64,
    blocks: Vec<Block>,
}

/// A block: a row of the function `garbage_blocks`. What is not known is null.
#[derive(Debug, Serialize, JsonSchema)]
struct Block {
    block: u64,
    known: bool,
    /// Tuples, dead ones included.
    tuples: Option<i32>,
    dead_tuples: Option<i32>,
    dead_bytes: Option<i32>,
    /// Line pointers that wait for vacuum, whose tuples are gone already.
    lp_dead: Option<i32>,
    /// Line pointers that lead to another one of the block.
    redirects: Option<i32>,
    free_bytes: Option<i32>,
    all_visible: Option<bool>,
}

/// Reads the heat map of a part, in so many cells at most.
pub(super) fn read(
    client: &mut Client,
    name: &TableName,
    wanted: Blocks,
    cells: u32,
    inexact: impl FnOnce(u32) -> Option<String>,
) -> Result<HeatMap, Failure> {
    let table = find(client, name)?;
    let part = Part::new(table.blocks, wanted, cells);
    let (cells, lsn, own) = if part.to - part.from <= MOST_ADDED {
        add_blocks(client, &table, part)?
    } else {
        add_ranges(client, &table, part)?
    };
    let inexact = own.or_else(|| inexact(table.id));
    Ok(HeatMap { table, lsn, inexact, from: part.from, to: part.to, blocks_per_cell: part.blocks_per_cell, cells })
}

/// What is drawn of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    from: u64,
    to: u64,
    blocks_per_cell: u64,
}

impl Part {
    /// The part that is wanted of a table, widened to whole cells.
    fn new(blocks: u64, Blocks { from, to }: Blocks, cells: u32) -> Self {
        let to = to.unwrap_or(blocks).min(blocks);
        let from = from.min(to);
        let mut blocks_per_cell = (to - from).div_ceil(u64::from(cells.max(1))).max(1).next_power_of_two();
        if to - from > MOST_ADDED {
            blocks_per_cell = blocks_per_cell.max(blocks.div_ceil(MOST_RANGES).next_power_of_two());
        }
        Self {
            from: from - from % blocks_per_cell,
            to: to.next_multiple_of(blocks_per_cell).min(blocks),
            blocks_per_cell,
        }
    }
}

type Cells = (Vec<Cell>, Option<String>, Option<String>);

/// Adds up blocks.
fn add_blocks(client: &mut Client, table: &TableFile, part: Part) -> Result<Cells, Failure> {
    let schema = schema(client)?;
    let rows = client.query(
        &format!(
            "SELECT pg_catalog.min(blkno), pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE known),
                    pg_catalog.sum(n_tuples), pg_catalog.sum(n_dead_tuples), pg_catalog.sum(dead_bytes),
                    pg_catalog.sum(freespace),
                    CASE WHEN pg_catalog.bool_or(known) THEN pg_catalog.count(*) FILTER (WHERE all_visible) END,
                    pg_catalog.min(lsn)::pg_catalog.text, NULL::pg_catalog.text
               FROM {schema}.garbage_blocks($1::pg_catalog.oid::pg_catalog.regclass, false, $2, $3)
              GROUP BY blkno OPERATOR(pg_catalog./) $4::pg_catalog.int8
              ORDER BY 1"
        ),
        &[&table.id, &signed(part.from), &(signed(part.to) - 1), &signed(part.blocks_per_cell)],
    )?;
    cells(&rows)
}

/// Takes the ranges of the table that are in the part.
fn add_ranges(client: &mut Client, table: &TableFile, part: Part) -> Result<Cells, Failure> {
    let schema = schema(client)?;
    client.batch_execute(&format!("SET garbagemap.summary_size = {}", part.blocks_per_cell))?;
    let rows = client.query(
        &format!(
            "SELECT rangeno::pg_catalog.int8 OPERATOR(pg_catalog.*) $2::pg_catalog.int8,
                    n_blocks::pg_catalog.int8, known_blocks::pg_catalog.int8, n_tuples, n_dead_tuples,
                    NULL::pg_catalog.int8, freespace, n_all_visible::pg_catalog.int8,
                    lsn::pg_catalog.text, inexact
               FROM {schema}.garbage_summary($1::pg_catalog.oid::pg_catalog.regclass)
              WHERE rangeno::pg_catalog.int8 OPERATOR(pg_catalog.*) $2::pg_catalog.int8 OPERATOR(pg_catalog.>=) $3
                AND rangeno::pg_catalog.int8 OPERATOR(pg_catalog.*) $2::pg_catalog.int8 OPERATOR(pg_catalog.<) $4
              ORDER BY rangeno"
        ),
        &[&table.id, &signed(part.blocks_per_cell), &signed(part.from), &signed(part.to)],
    )?;
    cells(&rows)
}

fn cells(rows: &[Row]) -> Result<Cells, Failure> {
    let cell = |row: &Row| {
        Ok(Cell {
            first_block: unsigned(row.try_get(0)?),
            blocks: unsigned(row.try_get(1)?),
            known_blocks: unsigned(row.try_get(2)?),
            tuples: row.try_get(3)?,
            dead_tuples: row.try_get(4)?,
            dead_bytes: row.try_get(5)?,
            free_bytes: row.try_get(6)?,
            all_visible_blocks: row.try_get(7)?,
        })
    };
    let text = |column: usize| rows.iter().find_map(|row| row.try_get::<_, Option<String>>(column).ok().flatten());
    Ok((rows.iter().map(cell).collect::<Result<_, postgres::Error>>()?, text(8), text(9)))
}

/// Reads blocks one by one.
pub(super) fn read_blocks(
    client: &mut Client,
    name: &TableName,
    Blocks { from, to }: Blocks,
    inexact: impl FnOnce(u32) -> Option<String>,
) -> Result<BlockList, Failure> {
    let table = find(client, name)?;
    let from = from.min(table.blocks);
    let to = to.unwrap_or(table.blocks).min(table.blocks).min(from.saturating_add(MOST_BLOCKS)).max(from);
    let schema = schema(client)?;
    let rows = client.query(
        &format!(
            "SELECT blkno, known, n_tuples, n_dead_tuples, dead_bytes, lp_dead, redirects, freespace, all_visible,
                    lsn::pg_catalog.text
               FROM {schema}.garbage_blocks($1::pg_catalog.oid::pg_catalog.regclass, false, $2, $3)
              ORDER BY blkno"
        ),
        &[&table.id, &signed(from), &(signed(to) - 1)],
    )?;
    let block = |row: &Row| {
        Ok(Block {
            block: unsigned(row.try_get(0)?),
            known: row.try_get(1)?,
            tuples: row.try_get(2)?,
            dead_tuples: row.try_get(3)?,
            dead_bytes: row.try_get(4)?,
            lp_dead: row.try_get(5)?,
            redirects: row.try_get(6)?,
            free_bytes: row.try_get(7)?,
            all_visible: row.try_get(8)?,
        })
    };
    let lsn = rows.first().map(|row| row.try_get(9)).transpose()?;
    let blocks = rows.iter().map(block).collect::<Result<_, postgres::Error>>()?;
    let inexact = inexact(table.id);
    Ok(BlockList { table, lsn, inexact, from, to, blocks })
}

/// The table of that name; of a number, only one that has a file.
fn find(client: &mut Client, name: &TableName) -> Result<TableFile, Failure> {
    let select = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname),
                         pg_catalog.current_setting('block_size')::pg_catalog.int8,
                         CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m,t}')
                              THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE 0 END
                    FROM pg_catalog.pg_class c
                    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace";
    let row = match name {
        TableName::Id(id) => client.query_opt(&format!("{select} WHERE c.oid OPERATOR(pg_catalog.=) $1"), &[id]),
        TableName::Name { schema, table } => client.query_opt(
            &format!(
                "{select} WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name
                            AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.text::pg_catalog.name"
            ),
            &[schema, table],
        ),
    };
    let no_table = || {
        let hint = "GET /api/v1/observation lists the tables; it may have been dropped.";
        Failure::new(StatusCode::NOT_FOUND, "there is no such table in this database", Some(hint))
    };
    let row = row?.ok_or_else(no_table)?;
    let block_size = unsigned(row.try_get(2)?).max(1);
    let bytes = unsigned(row.try_get(3)?);
    Ok(TableFile { id: row.try_get(0)?, name: row.try_get(1)?, blocks: bytes / block_size, block_size })
}

fn schema(client: &mut Client) -> Result<String, Failure> {
    let hint = "Run CREATE EXTENSION garbagemap in this database.";
    let none = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "there is no extension garbagemap", Some(hint));
    Extension::find(client, "garbagemap")?.schema.ok_or_else(none)
}

/// Numbers of blocks and bytes fit either way.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(blocks: u64, from: u64, to: Option<u64>, cells: u32) -> (u64, u64, u64) {
        let Part { from, to, blocks_per_cell } = Part::new(blocks, Blocks { from, to }, cells);
        (from, to, blocks_per_cell)
    }

    #[test]
    fn parts_are_whole_cells_of_powers_of_two() {
        assert_eq!(part(0, 0, None, 100), (0, 0, 1));
        assert_eq!(part(100, 0, None, 100), (0, 100, 1));
        assert_eq!(part(101, 0, None, 100), (0, 101, 2));
        assert_eq!(part(1000, 13, Some(210), 100), (12, 210, 2));
        assert_eq!(part(1000, 13, Some(211), 100), (12, 212, 2));
        assert_eq!(part(1000, 500, Some(5000), 4096), (500, 1000, 1));
        assert_eq!(part(1000, 5000, Some(400), 4096), (400, 400, 1));
        assert_eq!(part(1000, 5000, None, 4096), (1000, 1000, 1));
    }

    #[test]
    fn the_server_is_never_asked_for_too_much() {
        let largest = u64::from(u32::MAX) - 1;
        for (from, to) in [(0, None), (7, Some(200_000)), (largest - 131_073, None), (5, Some(1 << 31)), (9, Some(9))] {
            for cells in [1, 100, MOST_CELLS] {
                let (from, to, blocks_per_cell) = part(largest, from, to, cells);
                assert!(blocks_per_cell.is_power_of_two() && from <= to && to <= largest);
                // One more where both ends are in the middle of a cell.
                assert!((to - from).div_ceil(blocks_per_cell) <= u64::from(cells) + 1);
                assert!(to - from <= MOST_ADDED || largest.div_ceil(blocks_per_cell) <= MOST_RANGES);
            }
        }
    }
}
