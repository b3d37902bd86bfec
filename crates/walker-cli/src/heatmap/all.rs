//! All tables of a database: which ones are shown, how many blocks a square is, and what is left out.

use ::heatmap::{LeftOut, Poster, PosterTable, Terminal};
use anyhow::{Context as _, Error, Result, bail};
use postgres::Client;

use super::data::Data;
use super::{HeatmapFormat, Made, NOT_DRAWN, terminal_for};
use crate::arguments::HeatmapArguments;
use crate::exit::Hinted;
use crate::observation::{Observation, Table};
use crate::origin;
use crate::summary;

/// So many tables are on a picture, unless somebody wants more.
const TABLES: usize = 40;
/// A picture has about so many squares, at most twice as many, unless somebody wants more.
const SQUARES: u64 = 2_000;
/// Lines of squares in a terminal.
const LINES: u64 = 30;
/// More than that nobody can draw or see.
const MOST_SQUARES: u64 = 100_000;

pub(super) fn draw(client: &mut Client, arguments: &HeatmapArguments, format: HeatmapFormat) -> Result<Made> {
    let origin = origin::read(client)?;
    let tables = read_tables(client)?;
    let limit = match arguments.limit {
        Some(limit) => limit as usize,
        None if format.is_data() => usize::MAX,
        None => TABLES,
    };
    let (shown, rest) = tables.split_at(limit.min(tables.len()));
    let left_out = left_out(rest);
    let what = format!("heat maps of {} tables of database {}", shown.len(), origin.database);
    if format.is_data() {
        let mut data = Data::new(&origin, left_out);
        for table in shown {
            let read = summary::read_detailed(client, &table.name, arguments.blocks_per_range);
            if let Some((map, details)) = if_there(client, table, read)? {
                data.add(&::heatmap::Map { table: table.name.clone(), ..map }, &details);
            }
        }
        return Ok(Made { content: data.write(format)?, what });
    }
    let terminal = (format == HeatmapFormat::Text).then(|| terminal_for(arguments));
    let blocks_per_square = arguments.blocks_per_range.unwrap_or_else(|| blocks_per_square(shown, terminal.as_ref()));
    if squares(shown, blocks_per_square) > MOST_SQUARES {
        let hint = "Give a larger --blocks-per-range or a smaller --limit, or write csv or json.";
        return Err(Hinted::error("the picture would have more than 100,000 squares", hint));
    }
    let mut drawn = Vec::new();
    for table in shown {
        let read = summary::read(client, &table.name, Some(blocks_per_square));
        let Some(map) = if_there(client, table, read)? else { continue };
        drawn.push(PosterTable {
            name: said_name(table),
            // A table that nothing is known of has none.
            dead_bytes: unsigned(table.dead_bytes),
            ranges: map.ranges,
            lsn: map.lsn,
            inexact: map.inexact,
        });
    }
    let poster = Poster { origin, blocks_per_square, tables: drawn, left_out };
    let content = match (format, terminal) {
        (HeatmapFormat::Png, _) => poster.to_png().map_err(explain).context(NOT_DRAWN)?,
        (HeatmapFormat::Svg, _) => poster.to_svg().into_bytes(),
        (_, Some(terminal)) => poster.to_terminal(&terminal).into_bytes(),
        (_, None) => poster.to_html().context(NOT_DRAWN)?.into_bytes(),
    };
    Ok(Made { content, what })
}

/// A picture that is too high has a hint.
fn explain(error: ::heatmap::Error) -> Error {
    match error {
        ::heatmap::Error::Size(..) => Hinted::error(error.to_string(), "Give a smaller --limit, or write svg or html."),
        other => other.into(),
    }
}

/// Those that have blocks, the ones with most dead bytes first.
fn read_tables(client: &mut Client) -> Result<Vec<Table>> {
    let observation = Observation::take(client)?;
    if let Some(missing) = observation.tables.missing() {
        bail!("could not read the view garbagemap: {missing}");
    }
    let mut tables: Vec<Table> =
        observation.tables.rows().iter().filter(|table| unsigned(table.blocks) > 0).cloned().collect();
    tables.sort_by_cached_key(|table| {
        (std::cmp::Reverse((unsigned(table.dead_bytes), unsigned(table.blocks))), table.name.clone())
    });
    Ok(tables)
}

fn unsigned(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

fn said_name(table: &Table) -> String {
    match &table.toast_of {
        Some(owner) => format!("TOAST of {owner}"),
        None => table.name.clone(),
    }
}

fn left_out(tables: &[Table]) -> LeftOut {
    let add = |sum: LeftOut, table: &Table| LeftOut {
        tables: sum.tables + 1,
        blocks: sum.blocks.saturating_add(unsigned(table.blocks)),
        dead_bytes: sum.dead_bytes.saturating_add(unsigned(table.dead_bytes)),
    };
    tables.iter().fold(LeftOut::default(), add)
}

/// How many squares these tables take.
fn squares(tables: &[Table], blocks_per_square: u32) -> u64 {
    tables.iter().map(|table| unsigned(table.blocks).div_ceil(blocks_per_square.max(1).into())).sum()
}

/// A power of two, with which the picture is about as large as it should be.
fn blocks_per_square(tables: &[Table], terminal: Option<&Terminal>) -> u32 {
    // In a terminal a line holds some squares, and each table takes one anyway.
    let most = terminal.map_or(SQUARES, |terminal| LINES * (u64::from(terminal.width) / 2).max(10));
    let most = most + tables.len() as u64;
    (0..31).map(|power| 1_u32 << power).find(|blocks| squares(tables, *blocks) <= most).unwrap_or(1 << 31)
}

/// A table that was dropped since is left out.
fn if_there<T>(client: &mut Client, table: &Table, read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => match client.query_opt("SELECT FROM pg_catalog.pg_class WHERE oid = $1", &[&table.id])? {
            Some(_) => Err(error),
            None => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(blocks: &[i64]) -> Vec<Table> {
        blocks.iter().map(|blocks| Table { blocks: Some(*blocks), ..Table::default() }).collect()
    }

    #[test]
    fn squares_are_as_many_as_can_be_seen() {
        for blocks in [vec![], vec![1], vec![1; 2_000], vec![i64::from(u32::MAX) - 1; 40], vec![1_000_000, 3, 1]] {
            let tables = tables(&blocks);
            let blocks_per_square = blocks_per_square(&tables, None);
            assert!(squares(&tables, blocks_per_square) <= SQUARES + tables.len() as u64, "{blocks:?}");
            assert!(blocks_per_square == 1 || squares(&tables, blocks_per_square / 2) > SQUARES);
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let rest = left_out(&tables(&[3, 4, -1]));
        assert_eq!((rest.tables, rest.blocks, rest.dead_bytes), (3, 7, 0));
    }
}
