//! Counts by relation, fork or range of blocks.

use std::collections::HashMap;

use anyhow::Result;
use pgwal::{Block, Fork, RawRecord, ReadError, Record, RelFileLocator};
use smallvec::SmallVec;

use super::Counter;
use super::counts::{Counts, Share};
use super::table::{Cell, Span, Table, TableRow};
use crate::arguments::RecordFormat;
use crate::output::Output;

/// How exactly a place is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// The relation.
    Relation,
    /// The fork of a relation.
    Fork,
    /// The range of so many blocks of a fork.
    BlockRange(u32),
}

/// A relation, or a part of one. What is not told is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    relation: RelFileLocator,
    fork: Fork,
    /// Number of the range.
    range: u32,
}

impl Detail {
    fn place(self, block: &Block<'_>) -> Place {
        let relation = block.relation;
        match self {
            Self::Relation => Place { relation, fork: Fork::MAIN, range: 0 },
            Self::Fork => Place { relation, fork: block.fork, range: 0 },
            Self::BlockRange(length) => Place { relation, fork: block.fork, range: block.number.get() / length.max(1) },
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Relation => "relation",
            Self::Fork => "fork",
            Self::BlockRange(_) => "block-range",
        }
    }

    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Relation => &["tablespace", "database", "filenode"],
            Self::Fork => &["tablespace", "database", "filenode", "fork"],
            Self::BlockRange(_) => &["tablespace", "database", "filenode", "fork", "first_block", "last_block"],
        }
    }

    const fn headings(self) -> &'static [&'static str] {
        match self {
            Self::Relation => &["Relation"],
            Self::Fork => &["Relation", "Fork"],
            Self::BlockRange(_) => &["Relation", "Fork", "Blocks"],
        }
    }

    /// The row of a place, or of the records that change no blocks.
    fn row(self, place: Option<Place>, share: Share) -> TableRow {
        let Some(Place { relation, fork, range }) = place else {
            let cells = vec![Cell::Missing(()); self.fields().len()];
            let mut labels = vec![String::new(); self.headings().len()];
            labels[0] = "-".to_owned();
            return TableRow { cells, labels, share };
        };
        let numbers = [relation.tablespace, relation.database, relation.relation];
        let mut cells: Vec<_> = numbers.iter().map(|number| Cell::Number(u64::from(number.get()))).collect();
        let mut labels = vec![relation.to_string()];
        if self != Self::Relation {
            let fork = fork.name().map_or_else(|| fork.get().to_string(), ToOwned::to_owned);
            cells.push(Cell::Text(fork.clone()));
            labels.push(fork);
        }
        if let Self::BlockRange(length) = self {
            let first = u64::from(range) * u64::from(length.max(1));
            let last = (first + u64::from(length.max(1)) - 1).min(u64::from(u32::MAX - 1));
            cells.extend([Cell::Number(first), Cell::Number(last)]);
            labels.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
        }
        TableRow { cells, labels, share }
    }
}

/// The counts of each place that was changed: one entry in memory for each.
#[derive(Debug)]
pub(super) struct Places {
    detail: Detail,
    top: Option<u32>,
    shares: HashMap<Option<Place>, Share>,
    total: Share,
}

impl Places {
    pub(super) fn new(detail: Detail, top: Option<u32>) -> Self {
        Self { detail, top, shares: HashMap::new(), total: Share::default() }
    }

    /// Gives each place its part: an image and what is stored for a block to that block, everything else to the first.
    fn add(&mut self, record: &Record<'_>) {
        let mut parts: SmallVec<[(Option<Place>, Share); 4]> = SmallVec::new();
        let mut rest = u64::from(record.total_len);
        for block in &record.blocks {
            let place = Some(self.detail.place(block));
            let fpi_size = block.image.as_ref().map_or(0, |image| image.bytes.len() as u64);
            let record_size = block.data.len() as u64;
            rest = rest.saturating_sub(fpi_size + record_size);
            let counts = Counts { count: 0, record_size, fpi_size };
            let share = Share { counts, fpi_count: u64::from(block.image.is_some()) };
            match parts.iter_mut().find(|(known, _)| *known == place) {
                Some((_, sum)) => *sum += share,
                None => parts.push((place, share)),
            }
        }
        if parts.is_empty() {
            parts.push((None, Share::default()));
        }
        parts[0].1.counts.record_size += rest;
        self.total.counts.count += 1;
        for (place, mut share) in parts {
            self.total += share;
            share.counts.count = 1;
            *self.shares.entry(place).or_default() += share;
        }
    }

    fn table(self, span: Span) -> Table {
        let Self { detail, top, shares, total } = self;
        let mut places: Vec<_> = shares.into_iter().collect();
        // Among rows of one size the order must be the same each time.
        places.sort_unstable_by_key(|(place, _)| *place);
        let rows = places.into_iter().map(|(place, share)| detail.row(place, share)).collect();
        let mut table = Table::new(detail.name(), span, detail.fields(), detail.headings(), rows, total);
        match top {
            Some(top) => table.keep_largest(top),
            None => table.sort(),
        }
        table
    }
}

impl Counter for Places {
    fn parts(&self) -> Option<impl Fn() -> Self + Sync + use<>> {
        let Self { detail, top, .. } = *self;
        Some(move || Self::new(detail, top))
    }

    fn join(&mut self, later: Self) {
        for (place, share) in later.shares {
            *self.shares.entry(place).or_default() += share;
        }
        self.total += later.total;
    }

    fn count(&mut self, record: &RawRecord<'_>) -> Result<(), ReadError> {
        self.add(&record.decode()?);
        Ok(())
    }

    fn write(self, span: Span, format: RecordFormat, output: &mut Output) -> Result<()> {
        self.table(span).write(format, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwal::{BlockFlags, BlockNumber, Image, Lsn, RmgrId, TransactionId, Version};

    const PAGE: [u8; 8192] = [0; 8192];

    fn block(id: u8, relation: u32, fork: Fork, number: u32, data: &[u8], image: bool) -> Block<'_> {
        let image = image.then(|| Image::new(&PAGE, 0, 0, 0x02, Version::V15));
        let relation = RelFileLocator::new(1663, 5, relation);
        Block { id, flags: BlockFlags::empty(), relation, fork, number: BlockNumber::new(number), data, image }
    }

    fn record<'a>(total_len: u32, blocks: &[Block<'a>]) -> Record<'a> {
        Record {
            lsn: Lsn::new(0x100),
            end: Lsn::new(0x200),
            prev: Lsn::INVALID,
            total_len,
            xid: TransactionId::INVALID,
            top_xid: None,
            origin: None,
            rmgr: RmgrId::HEAP,
            info: 0,
            version: Version::V15,
            main_data: &[],
            blocks: blocks.iter().copied().collect(),
        }
    }

    fn rows(detail: Detail) -> serde_json::Value {
        let mut places = Places::new(detail, None);
        // 60 bytes: 3 for each heap block's data, 54 others; an image for the visibility map.
        let (main, map) = (Fork::MAIN, Fork::VISIBILITY_MAP);
        let blocks = [
            block(0, 7, main, 1, b"abc", false),
            block(1, 7, main, 300, b"def", false),
            block(2, 7, map, 0, b"", true),
        ];
        places.add(&record(60 + 8192, &blocks));
        places.add(&record(40, &[block(0, 8, main, 5, b"x", false)]));
        places.add(&record(30, &[]));
        let span = Span { start: Lsn::new(0x100), end: Lsn::new(0x200) };
        serde_json::to_value(places.table(span)).unwrap()
    }

    fn numbers(json: &serde_json::Value) -> Vec<[u64; 4]> {
        let names = ["count", "record_size", "fpi_count", "fpi_size"];
        let rows = json["rows"].as_array().unwrap().iter();
        rows.map(|row| names.map(|name| row[name].as_u64().unwrap())).collect()
    }

    #[test]
    fn a_record_counts_once_for_each_relation_and_its_bytes_add_up() {
        let json = rows(Detail::Relation);
        assert_eq!(numbers(&json), [[1, 60, 1, 8192], [1, 40, 0, 0], [1, 30, 0, 0]]);
        assert_eq!(json["rows"][0]["filenode"], 7);
        assert_eq!(json["rows"][2]["filenode"], serde_json::Value::Null);
        assert_eq!((&json["total"]["count"], &json["total"]["combined_size"]), (&3.into(), &(130 + 8192).into()));
    }

    #[test]
    fn forks_and_ranges_are_told_apart() {
        let json = rows(Detail::Fork);
        assert_eq!(numbers(&json), [[1, 0, 1, 8192], [1, 60, 0, 0], [1, 40, 0, 0], [1, 30, 0, 0]]);
        assert_eq!(json["rows"][0]["fork"], "vm");
        let json = rows(Detail::BlockRange(128));
        assert_eq!(numbers(&json), [[1, 0, 1, 8192], [1, 57, 0, 0], [1, 40, 0, 0], [1, 30, 0, 0], [1, 3, 0, 0]]);
        assert_eq!((&json["rows"][4]["first_block"], &json["rows"][4]["last_block"]), (&256.into(), &383.into()));
    }
}
