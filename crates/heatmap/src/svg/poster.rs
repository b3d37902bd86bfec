//! The poster: a row for each table, its figures on the left and its squares on the right.

use super::WIDTH;
use super::writer::{Anchor, INK, SOFT, Writer, estimated_width};
use crate::axis::Ticks;
use crate::colour::viridis;
use crate::number::{size, size_of_blocks};
use crate::poster::{Poster, PosterTable, label};
use crate::text::{shortened, wrapped};

const LEFT: u32 = 40;
const RIGHT: u32 = WIDTH - 40;
/// Right edges of the columns of figures.
const SIZE: u32 = 400;
const DEAD: u32 = 484;
const SHARE: u32 = 544;
/// Where squares begin.
const SQUARES: u32 = 566;
/// From one square to the next, and how much of that is drawn.
const STEP: u32 = 14;
const SIDE: u32 = 13;
const COLUMNS: usize = ((RIGHT - SQUARES) / STEP) as usize;
/// Between two tables.
const GAP: u32 = 9;

/// The document, its width and its height.
pub(crate) fn draw(poster: &Poster) -> (String, u32, u32) {
    let mut writer = Writer::default();
    let ticks = poster.ticks(5);
    let mut y = header(&mut writer, poster, &ticks);
    for table in &poster.tables {
        y = row(&mut writer, poster, table, &ticks, y);
    }
    let mut lines: Vec<String> = poster.left_out().into_iter().collect();
    lines.extend(poster.exactness());
    lines.push(Poster::COLOURS_NOTE.to_owned());
    y += 12;
    for text in lines.iter().flat_map(|line| wrapped(line, 140)) {
        y += 21;
        writer.text((LEFT, y), 14, Anchor::Start, INK, &text);
    }
    let height = y + 30;
    (writer.finish(WIDTH, height), WIDTH, height)
}

fn header(writer: &mut Writer, poster: &Poster, ticks: &Ticks) -> u32 {
    writer.title(&poster.title());
    writer.text((LEFT, 46), 25, Anchor::Start, INK, &shortened(&poster.title(), 50));
    writer.text((LEFT, 72), 15, Anchor::Start, SOFT, &shortened(&poster.origin.line(), 78));
    writer.text((LEFT, 94), 15, Anchor::Start, SOFT, &format!("{}.", poster.totals()));
    let (bar, width) = (RIGHT - 300, 300);
    writer.text((RIGHT, 44), 13, Anchor::End, SOFT, Poster::COLOURS);
    writer.rect((bar, 52), (width, 12), "url(#scale)");
    for value in &ticks.values {
        let x = bar + (ticks.fraction(*value) * f64::from(width)) as u32;
        writer.axis_line((x, 64), (x, 67));
        writer.text((x, 80), 12, Anchor::Middle, SOFT, &label(*value));
    }
    writer.rect((SQUARES, 102), (SIDE, SIDE), &viridis(0.5).hex());
    writer.text((SQUARES + STEP + 8, 113), 13, Anchor::Start, INK, &poster.scale());
    if poster.tables.iter().flat_map(|table| &table.ranges).any(crate::Range::is_unknown) {
        writer.rect((RIGHT - 76, 102), (SIDE, SIDE), "url(#unknown)");
        writer.text((RIGHT, 113), 13, Anchor::End, INK, "unknown");
    }
    for (x, anchor, name) in [
        (LEFT, Anchor::Start, "table"),
        (SIZE, Anchor::End, "size"),
        (DEAD, Anchor::End, "dead"),
        (SHARE, Anchor::End, "share"),
    ] {
        writer.text((x, 113), 13, anchor, SOFT, name);
    }
    writer.axis_line((LEFT, 122), (RIGHT, 122));
    131
}

fn row(writer: &mut Writer, poster: &Poster, table: &PosterTable, ticks: &Ticks, y: u32) -> u32 {
    let base = y + 11;
    let fits = |columns: &usize| estimated_width(&shortened(&table.marked_name(), *columns), 13) <= SIZE - LEFT - 70;
    let columns = [60, 50, 42, 34, 28].into_iter().find(fits).unwrap_or(22);
    writer.text((LEFT, base), 13, Anchor::Start, INK, &shortened(&table.marked_name(), columns));
    writer.text((SIZE, base), 13, Anchor::End, INK, &size_of_blocks(table.blocks()));
    writer.text((DEAD, base), 13, Anchor::End, INK, &size(table.dead_bytes));
    writer.text((SHARE, base), 13, Anchor::End, INK, &table.share());
    writer.begin_crisp();
    for (index, range) in table.ranges.iter().enumerate() {
        let place = (SQUARES + (index % COLUMNS) as u32 * STEP, y + (index / COLUMNS) as u32 * STEP);
        let part = f64::from(range.blocks) / f64::from(poster.blocks_per_square.max(1));
        // A rest is narrower, and a single block still to be seen.
        let width = ((f64::from(SIDE) * part).round() as u32).clamp(2, SIDE);
        let fill = match range.is_unknown() {
            true => "url(#unknown)".to_owned(),
            false => viridis(ticks.fraction(table.garbage(range))).hex(),
        };
        writer.telling_rect(place, (width, SIDE), &fill, &table.words_of(index, poster.blocks_per_square));
    }
    writer.end_crisp();
    y + (table.ranges.len().div_ceil(COLUMNS).max(1)) as u32 * STEP + GAP
}
