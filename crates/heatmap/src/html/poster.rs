//! The poster as a page: a section for each table.

use askama::Template;

use super::Scale;
use crate::colour::viridis;
use crate::number::{size, size_of_blocks};
use crate::poster::{Poster, PosterTable, label};

/// Squares of a line, and from one to the next, in units of the picture.
const COLUMNS: usize = 40;
const STEP: usize = 14;
const SIDE: f64 = 13.0;

#[derive(Template)]
#[template(path = "poster.html")]
struct Page {
    title: String,
    origin: String,
    totals: String,
    exactness: Vec<String>,
    square: String,
    scale: Scale,
    note: &'static str,
    has_unknown: bool,
    tables: Vec<Table>,
    left_out: Option<String>,
}

struct Table {
    name: String,
    figures: String,
    height: usize,
    squares: Vec<Square>,
}

struct Square {
    x: usize,
    y: usize,
    width: f64,
    fill: String,
    words: String,
}

pub(crate) fn draw(poster: &Poster) -> Result<String, askama::Error> {
    let ticks = poster.ticks(5);
    let square = |table: &PosterTable, index: usize| {
        let range = &table.ranges[index];
        let part = f64::from(range.blocks) / f64::from(poster.blocks_per_square.max(1));
        Square {
            x: index % COLUMNS * STEP,
            y: index / COLUMNS * STEP,
            // A rest is narrower, and a single block still to be seen.
            width: (SIDE * part).round().clamp(2.0, SIDE),
            fill: match range.is_unknown() {
                true => "url(#unknown)".to_owned(),
                false => viridis(ticks.fraction(table.garbage(range))).hex(),
            },
            words: table.words_of(index, poster.blocks_per_square),
        }
    };
    let table = |table: &PosterTable| Table {
        name: table.marked_name(),
        figures: format!("{}, {} dead ({})", size_of_blocks(table.blocks()), size(table.dead_bytes), table.share()),
        height: table.ranges.len().div_ceil(COLUMNS).max(1) * STEP,
        squares: (0..table.ranges.len()).map(|index| square(table, index)).collect(),
    };
    Page {
        title: poster.title(),
        origin: poster.origin.line(),
        totals: poster.totals(),
        exactness: poster.exactness(),
        square: poster.scale(),
        scale: Scale::of(Poster::COLOURS, &ticks, label),
        note: Poster::COLOURS_NOTE,
        has_unknown: poster.tables.iter().flat_map(|table| &table.ranges).any(crate::Range::is_unknown),
        tables: poster.tables.iter().map(table).collect(),
        left_out: poster.left_out(),
    }
    .render()
}
