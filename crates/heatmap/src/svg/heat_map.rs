//! The heat map: a grid of cells with its axes, colour bar and legend.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::writer::{Anchor, INK, Pair, SOFT, Writer, estimated_width};
use super::{LEFT, NAMES, RIGHT, heading, placeholder, tooltip};
use crate::axis::{Ticks, stride};
use crate::cell::{Cell, Knowledge, cells};
use crate::colour::{DARK, LIGHT, viridis};
use crate::grid::{Area, Grid};
use crate::number::{grouped, short};
use crate::{Map, words};

const HEADING: u32 = 58;
const GRID_HEIGHT: u32 = 310;
const AXIS: u32 = 46;
pub(super) const MOST_HEIGHT: u32 = HEADING + GRID_HEIGHT + AXIS;

/// Above this many cells a shape with a tooltip for each would make the document too large.
const MOST_TOOLTIPS: usize = 2_000;
/// Cells of this width and height are set apart by a white line, and marks in them can be seen.
const LARGE_CELL: u32 = 10;

pub(super) fn draw(writer: &mut Writer, map: &Map, ticks: &Ticks, top: u32) -> u32 {
    let area = Area {
        width: RIGHT - LEFT,
        height: GRID_HEIGHT,
        smallest: (4, 4),
        largest: (150, 64),
        square: 1.0,
        even_height: false,
    };
    let Some(grid) = Grid::choose(map.ranges.len(), area) else {
        heading(writer, map, top, "Where the dead tuples are", "");
        placeholder(writer, top + 34, 150, "The table is empty: it has no blocks.");
        return top + 34 + 150;
    };
    let cells = cells(map, &grid);
    let caption = words::cell_caption(&grid) + if grid.rows > 1 { ", row by row from the top left." } else { "." };
    heading(writer, map, top, "Where the dead tuples are", &caption);
    legend(writer, &cells, ticks, top);
    let origin = (LEFT, top + HEADING);
    writer.begin_crisp();
    if cells.len() <= MOST_TOOLTIPS {
        single_cells(writer, map, &grid, &cells, ticks, origin);
    } else {
        runs_of_cells(writer, &grid, &cells, ticks, origin);
    }
    marks(writer, &grid, &cells, ticks, origin);
    writer.end_crisp();
    numbers_in_cells(writer, &grid, &cells, ticks, origin);
    row_axis(writer, map, &grid, origin);
    column_axis(writer, map, &grid, origin);
    origin.1 + grid.height() + AXIS
}

fn legend(writer: &mut Writer, cells: &[Cell], ticks: &Ticks, top: u32) {
    let bar_width = 320;
    let left = RIGHT - bar_width;
    writer.text((RIGHT, top + 6), 13, Anchor::End, SOFT, "dead tuples per range");
    writer.rect((left, top + 14), (bar_width, 12), "url(#scale)");
    for value in &ticks.values {
        let x = left + (ticks.fraction(*value) * f64::from(bar_width)) as u32;
        writer.axis_line((x, top + 26), (x, top + 29));
        writer.text((x, top + 42), 12, Anchor::Middle, SOFT, &short(*value));
    }
    let mut right = left - 36;
    let mut entry = |writer: &mut Writer, name: &str| {
        let swatch = right - estimated_width(name, 13) - 22;
        writer.text((swatch + 22, top + 25), 13, Anchor::Start, SOFT, name);
        right = swatch - 16;
        (swatch, top + 13)
    };
    if cells.iter().any(|cell| cell.knowledge == Knowledge::Nothing) {
        let place = entry(writer, "unknown");
        writer.rect(place, (16, 16), "url(#unknown)");
    }
    if cells.iter().any(|cell| cell.knowledge == Knowledge::Part) {
        let place = entry(writer, "partly known");
        writer.rect(place, (16, 16), &viridis(0.5).hex());
        writer.path(&mark(place, 16), &viridis(0.5).contrast().hex());
    }
}

fn fill(cell: &Cell, ticks: &Ticks) -> String {
    match cell.knowledge {
        Knowledge::Nothing => "url(#unknown)".to_owned(),
        Knowledge::Part | Knowledge::All => viridis(ticks.fraction(cell.dead_tuples)).hex(),
    }
}

fn gap(grid: &Grid) -> u32 {
    u32::from(grid.cell_width.min(grid.cell_height) >= LARGE_CELL)
}

fn corner(grid: &Grid, index: usize, origin: Pair) -> Pair {
    let (column, row) = grid.place(index);
    (origin.0 + column * grid.cell_width, origin.1 + row * grid.cell_height)
}

fn single_cells(writer: &mut Writer, map: &Map, grid: &Grid, cells: &[Cell], ticks: &Ticks, origin: Pair) {
    let size = (grid.cell_width - gap(grid), grid.cell_height - gap(grid));
    for (index, cell) in cells.iter().enumerate() {
        writer.telling_rect(corner(grid, index, origin), size, &fill(cell, ticks), &tooltip(map, cell));
    }
}

/// One shape for each of 64 colours, with neighbours of one colour in one piece: many cells stay a small document.
fn runs_of_cells(writer: &mut Writer, grid: &Grid, cells: &[Cell], ticks: &Ticks, origin: Pair) {
    let level = |cell: &Cell| match cell.knowledge {
        Knowledge::Nothing => None,
        Knowledge::Part | Knowledge::All => Some((ticks.fraction(cell.dead_tuples) * 63.0).round() as u8),
    };
    let height = grid.cell_height - gap(grid);
    let mut shapes: BTreeMap<Option<u8>, String> = BTreeMap::new();
    for (row, of_row) in cells.chunks(grid.columns as usize).enumerate() {
        let (mut x, y) = corner(grid, row * grid.columns as usize, origin);
        for run in of_row.chunk_by(|a, b| gap(grid) == 0 && level(a) == level(b)) {
            let width = run.len() as u32 * grid.cell_width;
            let drawn = width - gap(grid);
            write!(shapes.entry(level(&run[0])).or_default(), "M{x} {y}h{drawn}v{height}h-{drawn}z")
                .expect("a String takes every text");
            x += width;
        }
    }
    for (level, data) in shapes {
        let fill = level.map_or("url(#unknown)".to_owned(), |level| viridis(f64::from(level) / 63.0).hex());
        writer.path(&data, &fill);
    }
}

/// Marks of the partly known cells, dark on light cells and the reverse.
fn marks(writer: &mut Writer, grid: &Grid, cells: &[Cell], ticks: &Ticks, origin: Pair) {
    let (mut dark, mut light) = (String::new(), String::new());
    let partly = |(_, cell): &(usize, &Cell)| cell.knowledge == Knowledge::Part;
    for (index, cell) in cells.iter().enumerate().filter(partly) {
        let paint = viridis(ticks.fraction(cell.dead_tuples));
        let data = if paint.contrast() == DARK { &mut dark } else { &mut light };
        data.push_str(&mark(corner(grid, index, origin), grid.cell_width.min(grid.cell_height) - gap(grid)));
    }
    for (data, paint) in [(dark, DARK), (light, LIGHT)] {
        if !data.is_empty() {
            if grid.cell_width.min(grid.cell_height) >= LARGE_CELL {
                writer.path(&data, &paint.hex());
            } else {
                // A whole dot would be louder than the colour of a small cell.
                writer.veil(&data, &paint.hex());
            }
        }
    }
}

/// A triangle near the upper left corner, in small cells a dot.
fn mark((x, y): Pair, size: u32) -> String {
    if size + 1 >= LARGE_CELL {
        let side = (size * 2 / 5).min(9);
        let inset = (size / 8).min(3);
        format!("M{} {}h{side}l-{side} {side}z", x + inset, y + inset)
    } else {
        let side = (size / 3).max(2);
        let inset = (size - side) / 2;
        format!("M{} {}h{side}v{side}h-{side}z", x + inset, y + inset)
    }
}

fn numbers_in_cells(writer: &mut Writer, grid: &Grid, cells: &[Cell], ticks: &Ticks, origin: Pair) {
    let label = |cell: &Cell| short(cell.dead_tuples);
    let widest = cells.iter().map(|cell| estimated_width(&label(cell), 13)).max().unwrap_or(0);
    if grid.cell_height < 28 || grid.cell_width < (widest + 14).max(44) {
        return;
    }
    for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.knowledge != Knowledge::Nothing) {
        let (x, y) = corner(grid, index, origin);
        let ink = viridis(ticks.fraction(cell.dead_tuples)).contrast().hex();
        let place = (x + grid.cell_width / 2, y + grid.cell_height / 2 + 5);
        writer.text(place, 13, Anchor::Middle, &ink, &label(cell));
    }
}

/// The first block of the rows, every row or fewer.
fn row_axis(writer: &mut Writer, map: &Map, grid: &Grid, (x, y): Pair) {
    if grid.rows == 1 {
        return;
    }
    let step = stride(u64::from(20_u32.div_ceil(grid.cell_height))) as u32;
    for row in (0..grid.rows).step_by(step as usize) {
        let middle = y + row * grid.cell_height + grid.cell_height / 2;
        let first = map.first_block(row as usize * grid.ranges_per_row());
        writer.axis_line((x - 5, middle), (x - 2, middle));
        writer.text((x - 9, middle + 4), 12, Anchor::End, SOFT, &grouped(first));
    }
    let name = if grid.height() >= 150 { "first block of the row" } else { "first block" };
    writer.upright_text((NAMES, y + grid.height() / 2), INK, name);
}

/// How far the columns are from the first block of their row.
fn column_axis(writer: &mut Writer, map: &Map, grid: &Grid, (x, y): Pair) {
    let bottom = y + grid.height();
    let sign = if grid.rows > 1 { "+" } else { "" };
    let label = |column: u32| {
        let block = map.first_block(column as usize * grid.ranges_per_cell);
        if column == 0 { "0".to_owned() } else { format!("{sign}{}", grouped(block)) }
    };
    let widest = estimated_width(&label(grid.columns - 1), 12) + 22;
    let step = stride(u64::from(widest.div_ceil(grid.cell_width))) as usize;
    for column in (0..grid.columns).step_by(step) {
        let middle = x + column * grid.cell_width + grid.cell_width / 2;
        writer.axis_line((middle, bottom + 1), (middle, bottom + 4));
        writer.text((middle, bottom + 18), 12, Anchor::Middle, SOFT, &label(column));
    }
    let name = match (grid.rows, grid.columns) {
        (1, 1) => "block".to_owned(),
        (1, _) => "first block of the range".to_owned(),
        _ => "block, counted from the first block of the row".to_owned(),
    };
    let middle = x + grid.width().max(2 * 80) / 2;
    writer.text((middle, bottom + 38), 13, Anchor::Middle, INK, &name);
}
