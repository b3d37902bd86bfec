//! All tables of a database on one picture.

use crate::axis::Ticks;
use crate::html::Origin;
use crate::number::{counted, grouped, percent, size, size_of_blocks};
use crate::text::printable;
use crate::{Error, Range, Terminal, html, png, svg, terminal};

/// PostgreSQL's block size unless it was built with another one.
const BLOCK_SIZE: f64 = 8192.0;
/// Renderers and viewers hold no higher pictures.
const MOST_PIXELS: u32 = 32_000;

/// What is drawn: tables in the order given, each as squares of the same number of blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Poster {
    /// Where and when.
    pub origin: Origin,
    /// So many blocks are one square.
    pub blocks_per_square: u32,
    /// The tables to be drawn, in their order.
    pub tables: Vec<PosterTable>,
    /// Those for which there is no room.
    pub left_out: LeftOut,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PosterTable {
    /// As it shall be written.
    pub name: String,
    /// Its blocks, tuples and dead tuples, one after the other, in ranges of [`Poster::blocks_per_square`] blocks.
    pub ranges: Vec<Range>,
    /// Bytes of all its dead tuples.
    pub dead_bytes: u64,
    /// The position of the log for which its numbers hold.
    pub lsn: String,
    /// Why its numbers are not exact, if they are not.
    pub inexact: Option<String>,
}

/// Tables that are not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub tables: u64,
    /// Blocks of all of them.
    pub blocks: u64,
    /// Bytes of all their dead tuples.
    pub dead_bytes: u64,
}

impl Poster {
    /// As text, with one line or more for each table, no line wider than the terminal.
    pub fn to_terminal(&self, terminal: &Terminal) -> String {
        terminal::draw_poster(self, terminal)
    }

    /// As one SVG document, 1200 pixels wide, whose height depends on the number of tables.
    pub fn to_svg(&self) -> String {
        svg::draw_poster(self).0
    }

    /// The picture of [`Poster::to_svg`] as PNG.
    ///
    /// # Errors
    /// [`Error::Size`] if it were higher than 32,000 pixels, which takes more than a thousand tables.
    pub fn to_png(&self) -> Result<Vec<u8>, Error> {
        let (svg, width, height) = svg::draw_poster(self);
        if height > MOST_PIXELS { Err(Error::Size(width, height)) } else { png::render(&svg) }
    }

    /// The same as one HTML page, which asks for nothing and needs no script to be seen.
    ///
    /// # Errors
    /// None that depends on the numbers: writing to memory does not fail.
    pub fn to_html(&self) -> Result<String, Error> {
        Ok(html::draw_poster(self)? + "\n")
    }

    pub(crate) fn title(&self) -> String {
        format!("Garbage in database {}", printable(&self.origin.database))
    }

    pub(crate) fn ticks(&self, wanted: u32) -> Ticks {
        let shares = self.tables.iter().flat_map(|table| table.ranges.iter().map(|range| table.garbage(range)));
        Ticks::covering(shares.max().unwrap_or(0), wanted)
    }

    /// All that is on the database's disk.
    pub(crate) fn totals(&self) -> String {
        let blocks = self.tables.iter().map(PosterTable::blocks).sum::<u64>().saturating_add(self.left_out.blocks);
        let of_tables = self.tables.iter().fold(0_u64, |sum, table| sum.saturating_add(table.dead_bytes));
        let tables = (self.tables.len() as u64).saturating_add(self.left_out.tables);
        let dead = of_tables.saturating_add(self.left_out.dead_bytes);
        format!("{} of {}, {} of it in dead tuples", counted(tables, "table"), size_of_blocks(blocks), size(dead))
    }

    /// What a square is.
    pub(crate) fn scale(&self) -> String {
        let blocks = self.blocks_per_square;
        format!(
            "One square is {} ({}) of a table, a narrower one what is left of it.",
            counted(blocks.into(), "block"),
            size_of_blocks(blocks.into())
        )
    }

    /// What the colours are.
    pub(crate) const COLOURS: &'static str = "share of a square's bytes that dead tuples take";
    pub(crate) const COLOURS_NOTE: &'static str =
        "Colours count each dead tuple with the average size of the table's dead tuples; the sums of tables are exact.";

    /// What is not there, in words.
    pub(crate) fn left_out(&self) -> Option<String> {
        let LeftOut { tables, blocks, dead_bytes } = self.left_out;
        let noun = if self.tables.is_empty() { "table" } else { "more table" };
        (tables > 0).then(|| {
            let all = counted(tables, noun);
            format!("And {all} of {}, with {} in dead tuples.", size_of_blocks(blocks), size(dead_bytes))
        })
    }

    /// Why numbers of some tables are not exact.
    pub(crate) fn exactness(&self) -> Vec<String> {
        let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
        for table in &self.tables {
            let Some(cause) = table.not_exact() else { continue };
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, names)) => names.push(&table.name),
                None => causes.push((cause, vec![&table.name])),
            }
        }
        if causes.is_empty() {
            return vec![format!("Exact: what pgstattuple would find by reading the tables, at LSN {}.", self.lsns())];
        }
        let said = |(cause, names): &(String, Vec<&str>)| {
            let more =
                if names.len() > 3 { format!(" and {} more", grouped(names.len() as u64 - 3)) } else { String::new() };
            printable(&format!("* Not exact: {}{more}: {cause}", names[..names.len().min(3)].join(", ")))
        };
        causes.iter().map(said).chain([format!("All others are exact, at LSN {}.", self.lsns())]).collect()
    }

    /// The positions for which the numbers hold.
    fn lsns(&self) -> String {
        let mut lsns = self.tables.iter().map(|table| table.lsn.as_str()).filter(|lsn| !lsn.is_empty());
        match (lsns.next(), lsns.next_back()) {
            (None, _) => "0/0".to_owned(),
            (Some(first), Some(last)) if first != last => printable(&format!("{first} to {last}")),
            (Some(first), _) => printable(first),
        }
    }
}

impl PosterTable {
    pub(crate) fn blocks(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.blocks)).sum()
    }

    pub(crate) fn dead_tuples(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.dead_tuples))
    }

    /// Share of the table's bytes that dead tuples take.
    pub(crate) fn share(&self) -> String {
        percent(self.dead_bytes as f64, self.blocks() as f64 * BLOCK_SIZE)
    }

    /// Share of a range's bytes that dead tuples take, in parts of 10,000. What is not nothing is at least one.
    pub(crate) fn garbage(&self, range: &Range) -> u64 {
        if range.dead_tuples == 0 {
            return 0;
        }
        let each = self.dead_bytes as f64 / self.dead_tuples().max(1) as f64;
        let share = range.dead_tuples as f64 * each / (f64::from(range.known_blocks.max(1)) * BLOCK_SIZE);
        ((share * 10_000.0).round() as u64).clamp(1, 10_000)
    }

    /// Why its numbers are not exact.
    pub(crate) fn not_exact(&self) -> Option<String> {
        let unknown = self.ranges.iter().map(|range| u64::from(range.blocks.saturating_sub(range.known_blocks))).sum();
        match (&self.inexact, unknown) {
            (Some(cause), _) => Some(cause.clone()),
            (None, 0) => None,
            (None, _) => Some("not all blocks are known yet".to_owned()),
        }
    }

    /// The name, with a mark if its numbers are not exact.
    pub(crate) fn marked_name(&self) -> String {
        let mark = if self.not_exact().is_some() { " *" } else { "" };
        format!("{}{mark}", printable(&self.name))
    }

    /// What one of its squares tells.
    pub(crate) fn words_of(&self, index: usize, blocks_per_square: u32) -> String {
        let range = &self.ranges[index];
        let place = crate::words::blocks(index as u64 * u64::from(blocks_per_square), range.blocks.into());
        let name = printable(&self.name);
        if range.is_unknown() {
            return format!("{name}, {place}: unknown");
        }
        let tuples = format!("{} of {} tuples dead", grouped(range.dead_tuples), grouped(range.tuples));
        format!("{name}, {place}: {tuples}, about {} of the bytes", label(self.garbage(range)))
    }
}

/// Parts of 10,000 as per cent.
pub(crate) fn label(parts: u64) -> String {
    format!("{} %", parts as f64 / 100.0)
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// So many tables, each half as large as the one before.
    pub(crate) fn poster(tables: usize) -> Poster {
        let table = |i: usize| {
            let blocks = 100_000_u32 >> i.min(16);
            let range = |number: u32| Range {
                blocks: (blocks - number * 64).min(64),
                known_blocks: (blocks - number * 64).min(64),
                tuples: 6_000,
                dead_tuples: u64::from(number * 37 % 90) * if i.is_multiple_of(3) { 50 } else { 1 },
            };
            let ranges: Vec<Range> = (0..blocks.div_ceil(64)).map(range).collect();
            let dead = ranges.iter().map(|range| range.dead_tuples).sum::<u64>();
            let name = format!("public.table_{i}");
            PosterTable { name, ranges, dead_bytes: dead * 60, lsn: "0/16B3748".into(), inexact: None }
        };
        Poster {
            origin: Origin {
                server: "db.example.com:5432 (PostgreSQL 15.4)".into(),
                database: "shop".into(),
                time: "2026-01-02 03:04:05 UTC".into(),
            },
            blocks_per_square: 64,
            tables: (0..tables).map(table).collect(),
            left_out: LeftOut { tables: 214, blocks: 900, dead_bytes: 1_258_291 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said() {
        let mut poster = samples::poster(3);
        let expected = "And 214 more tables of 7.03 MiB, with 1.2 MiB in dead tuples.";
        assert_eq!(poster.left_out().as_deref(), Some(expected));
        for text in [poster.to_svg(), poster.to_html().unwrap()] {
            assert!(text.contains(expected), "{text}");
        }
        poster.left_out = LeftOut::default();
        assert_eq!(poster.left_out(), None);
    }

    #[test]
    fn garbage_is_a_share_of_the_space() {
        let range = Range { blocks: 1, known_blocks: 1, tuples: 100, dead_tuples: 50 };
        let mut table = PosterTable { ranges: vec![range; 2], dead_bytes: 8192, ..PosterTable::default() };
        assert_eq!((table.garbage(&range), table.share()), (5_000, "50 %".to_owned()));
        table.dead_bytes = 1;
        assert_eq!(table.garbage(&range), 1, "not nothing");
        table.dead_bytes = u64::MAX;
        assert_eq!(table.garbage(&range), 10_000);
        assert_eq!(label(50), "0.5 %");
    }

    #[test]
    fn two_tables_and_two_thousand_are_drawn() {
        for tables in [0, 1, 2, 50, 2_000] {
            let poster = samples::poster(tables);
            if tables <= 2 {
                let tree = crate::png::parse(&poster.to_svg()).unwrap();
                let drawing = tree.root().abs_bounding_box();
                assert!(drawing.left() >= 0.0 && drawing.right() <= 1200.0 && drawing.bottom() <= tree.size().height());
            }
            let page = poster.to_html().unwrap();
            assert_eq!(page.matches("<h3").count(), tables);
            assert!(!page.contains("http://") && !page.contains("src="));
            let squares: usize = poster.tables.iter().map(|table| table.ranges.len()).sum();
            assert_eq!(page.matches("<rect class=\"cell\"").count(), squares);
        }
        assert!(matches!(samples::poster(2_000).to_png(), Err(Error::Size(1200, _))));
        assert!(samples::poster(2).to_png().is_ok());
    }

    #[test]
    fn hostile_names_are_text_and_a_table_that_is_not_exact_is_marked() {
        let mut poster = samples::poster(2);
        poster.tables[0].name = "a<b>&'; --\"\u{1b}".into();
        poster.tables[0].inexact = Some("<no> images".into());
        let page = poster.to_html().unwrap();
        assert!(page.contains("a&#60;b&#62;") && !page.contains("a<b>"), "{page}");
        assert!(page.contains("Not exact: a&#60;b&#62;"));
        crate::png::parse(&poster.to_svg()).unwrap();
        assert!(poster.to_svg().contains("a&lt;b&gt;"));
    }
}
