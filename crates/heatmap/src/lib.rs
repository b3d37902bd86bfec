//! Pictures of a garbage map: where the dead tuples of a table are.
//!
//! A [`Map`] holds the numbers of every block range of one table. It is drawn as two pictures: the heat map, in which
//! each cell of a grid is a block range, and the histogram of the ranges, the worst first, with the share of all dead
//! tuples that the ranges up to there hold. Both use the same colours for the same number of dead tuples per range:
//! viridis, which is perceptually uniform and readable with colour-blind eyes and in grey.
//!
//! The colour is the absolute number of dead tuples of a range, not its share of dead tuples: the number says how much
//! there is to clean up at a place, while a nearly empty range with one dead tuple of two would look as bad as a full one.
//! In a table with more ranges than cells a cell shows its worst range, so that a hot spot cannot hide in an average.
//!
//! There is one drawing for the terminal, one in SVG, and one in HTML; the PNG is the SVG rendered with a bundled font.
//!
//! A [`Poster`] shows all tables of a database: squares of the same number of blocks each, so that a table takes the room
//! that it takes on disk. Its colours are shares of the space, since tuples of different tables differ in size.
//!
//! ```
//! use heatmap::{Colour, Map, Range, Terminal};
//!
//! let map = Map {
//!     table: "public.order_line".to_owned(),
//!     lsn: "0/16B3748".to_owned(),
//!     blocks_per_range: 128,
//!     ranges: (0..300)
//!         .map(|i| Range { blocks: 128, known_blocks: 128, tuples: 7_000, dead_tuples: if i < 12 { 900 } else { 9 } })
//!         .collect(),
//!     inexact: None,
//! };
//! let terminal = Terminal { width: 80, height: 20, colour: Colour::None, unicode: true };
//! let pictures = map.to_terminal(&terminal);
//! assert!(pictures.contains("81 % of the dead tuples are in 12 of 300 ranges (4 % of the table)."));
//! assert!(map.to_svg().starts_with("<svg"));
//! assert_eq!(&map.to_png()?[1..4], b"PNG");
//! # Ok::<(), heatmap::Error>(())
//! ```
#![forbid(unsafe_code)]

mod axis;
mod cell;
mod colour;
mod grid;
mod html;
pub mod number;
mod png;
mod poster;
mod ranking;
mod svg;
mod terminal;
pub mod text;
mod words;

pub use html::Origin;
pub use png::Error;
pub use poster::{LeftOut, Poster, PosterTable};
pub use terminal::{Colour, Terminal};

/// What is drawn: the numbers of every block range of one table at one position of the WAL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// Name of the table, as it shall appear in the title.
    pub table: String,
    /// The position the numbers are true for, as PostgreSQL writes it: `0/16B3748`.
    pub lsn: String,
    /// Number of blocks of each range but the last one, which may be shorter.
    pub blocks_per_range: u32,
    /// The ranges in the order of their blocks: range `i` starts at block `i * blocks_per_range`.
    pub ranges: Vec<Range>,
    /// Why the numbers are not exact; `None` when they are. Each picture shows it.
    pub inexact: Option<String>,
}

/// The numbers of one block range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Blocks that exist in this range.
    pub blocks: u32,
    /// Blocks of which the content is known; the other numbers count these alone.
    pub known_blocks: u32,
    /// Tuples in the known blocks, dead ones included.
    pub tuples: u64,
    /// Dead tuples in the known blocks.
    pub dead_tuples: u64,
}

/// The colours of all pictures, for those that are drawn elsewhere: red, green and blue at equally distant places of the
/// scale, from no dead tuple (dark) to the largest number of them (light). Between them colours are mixed.
pub fn scale() -> [[u8; 3]; 17] {
    colour::scale()
}

impl Map {
    /// Number of dead tuples in all ranges.
    pub fn total_dead(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.dead_tuples))
    }

    /// Number of tuples in all ranges, dead ones included.
    pub fn total_tuples(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.tuples))
    }

    /// Number of blocks of the table.
    pub fn total_blocks(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.blocks)).sum()
    }

    /// The first block of range `index`.
    pub fn first_block(&self, index: usize) -> u64 {
        (index as u64).saturating_mul(u64::from(self.blocks_per_range))
    }

    /// Both pictures as text for a terminal, no line wider than it and neither picture higher than it.
    ///
    /// Below eight lines there is no room for a picture: a smaller height counts as eight.
    pub fn to_terminal(&self, terminal: &Terminal) -> String {
        terminal::draw(self, terminal)
    }

    /// Both pictures as one SVG document, 1200 pixels wide and about 900 high.
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }

    /// The picture of [`Map::to_svg`] as PNG, in the same size.
    ///
    /// # Errors
    /// Only when the renderer refuses the document or the encoder fails, neither of which depends on the numbers.
    pub fn to_png(&self) -> Result<Vec<u8>, Error> {
        png::render(&svg::draw(self))
    }

    /// The heat map and the worst ranges as one HTML page, which asks for nothing and needs no script to be seen.
    ///
    /// `dead_bytes` are those of each range, where they are known; it may be shorter than the ranges.
    ///
    /// # Errors
    /// None that depends on the numbers: writing to memory does not fail.
    pub fn to_html(&self, origin: &Origin, dead_bytes: &[Option<u64>]) -> Result<String, Error> {
        Ok(html::draw(self, origin, dead_bytes)? + "\n")
    }

    /// The colour scale and the axis of both pictures end here.
    fn largest_dead(&self) -> u64 {
        self.ranges.iter().map(|range| range.dead_tuples).max().unwrap_or(0)
    }
}

impl Range {
    /// Whether nothing at all is known about the blocks of this range.
    pub fn is_unknown(&self) -> bool {
        self.known_blocks == 0 && self.blocks > 0
    }

    /// Whether the content of every block of this range is known.
    pub fn is_fully_known(&self) -> bool {
        self.known_blocks >= self.blocks
    }
}

#[cfg(test)]
mod samples {
    use super::{Map, Range};

    /// A map of `count` ranges with different numbers, of which a few are unknown or partly known.
    pub(crate) fn map(count: usize) -> Map {
        let ranges = (0..count)
            .map(|i| {
                let known_blocks = match i % 29 {
                    13 => 0,
                    14 => 50,
                    _ => 128,
                };
                let dead_tuples = if known_blocks == 0 { 0 } else { (i as u64 * 7_919) % 701 };
                Range { blocks: 128, known_blocks, tuples: 7_000, dead_tuples }
            })
            .collect();
        Map {
            table: "public.order_line".to_owned(),
            lsn: "0/16B3748".to_owned(),
            blocks_per_range: 128,
            ranges,
            inexact: None,
        }
    }
}
