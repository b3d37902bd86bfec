//! Blocks of a range that are settled: counts are enough until their next image. There may be millions, so that they are
//! kept packed.
//!
//! ```text
//! blocks with counts, lost ones, merged ones   three sets
//! sums of the merged ones                      if there are any
//! blocks with garbage                          a set
//! tuples, free bytes                           of the blocks without garbage, a column each
//! tuples, dead tuples, ...                     of the blocks with garbage, a column each
//! ```
//! A column holds its least number, and what the others are above it in units of their greatest common divisor, in as few
//! bits as suffice: rows of one length, and pages filled once, take hardly any room.

use serde::{Deserialize, Serialize};

use crate::bits::{BitReader, BitWriter};
use crate::columns::{Column, read_places, write_column, write_places};
use crate::page::Counts;
use crate::places::{Places, RANGE_BLOCKS};
use crate::sums::{Sums, field_mut, fields, has_garbage};

/// All [`fields`].
const ALL: &[usize] = &[0, 1, 2, 3, 4, 5];
/// Those that are not zero on a page without garbage.
const CLEAN: &[usize] = &[0, 5];

/// How much is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Merge {
    /// The blocks without garbage: dead tuples stay exact.
    Clean,
    /// All blocks.
    All,
}

/// The settled blocks of a range, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettledBlocks {
    counted: Places,
    counts: [Counts; RANGE_BLOCKS as usize],
    lost: Places,
    /// Blocks that are not told one by one any more, to save memory.
    merged: Places,
    merged_sums: Sums,
    /// What was merged: with garbage among it, what is left of the sums is not exact even where it is zero.
    level: Option<Merge>,
}

impl Default for SettledBlocks {
    fn default() -> Self {
        Self {
            counted: Places::EMPTY,
            counts: [Counts::default(); RANGE_BLOCKS as usize],
            lost: Places::EMPTY,
            merged: Places::EMPTY,
            merged_sums: Sums::default(),
            level: None,
        }
    }
}

impl SettledBlocks {
    /// Nothing more is known of the block than its counts.
    pub(crate) fn set_counts(&mut self, place: u16, counts: Counts) {
        self.counted.insert(place);
        self.counts[usize::from(place % RANGE_BLOCKS)] = counts;
    }

    /// Nothing is known of the block any more.
    pub(crate) fn set_lost(&mut self, place: u16) {
        self.lost.insert(place);
    }

    /// Forgets blocks. Of merged ones goes the average.
    pub(crate) fn forget(&mut self, places: &Places) {
        self.counted = self.counted.without(places);
        self.lost = self.lost.without(places);
        let left = self.merged.without(places);
        if left != self.merged {
            self.merged_sums = self.merged_sums.portion(left.len(), self.merged.len());
            self.merged = left;
        }
    }

    /// Keeps only the sums of some blocks.
    pub(crate) fn merge(&mut self, merge: Merge) {
        for place in self.counted.iter() {
            let counts = &self.counts[usize::from(place)];
            if merge == Merge::All || !has_garbage(counts) {
                self.merged_sums.add(counts);
                self.merged.insert(place);
                self.level = self.level.max(Some(if has_garbage(counts) { Merge::All } else { Merge::Clean }));
            }
        }
        self.counted = self.counted.without(&self.merged);
    }

    /// Tells the counts of those of `places` that are known, `None` for lost ones. For merged ones it is what is left
    /// of the sums when all have the same.
    pub(crate) fn for_each(&self, places: &Places, mut tell: impl FnMut(u16, Option<Counts>)) {
        for place in self.counted.and(places).iter() {
            tell(place, Some(self.counts[usize::from(place)]));
        }
        for place in self.lost.and(places).iter() {
            tell(place, None);
        }
        let whole = self.merged.len();
        for (index, place) in (0..whole).zip(self.merged.iter()) {
            if places.contains(place) {
                tell(place, Some(self.merged_sums.share(index, whole)));
            }
        }
    }

    /// What is kept of them.
    pub(crate) fn pack(&self) -> PackedBlocks {
        let mut writer = BitWriter::default();
        for places in [&self.counted, &self.lost, &self.merged] {
            write_places(&mut writer, places);
        }
        if !self.merged.is_empty() {
            self.merged_sums.to_array().iter().for_each(|sum| writer.write(*sum, 32));
        }
        let garbage: Places =
            self.counted.iter().filter(|place| has_garbage(&self.counts[usize::from(*place)])).collect();
        write_places(&mut writer, &garbage);
        let mut numbers = Vec::with_capacity(RANGE_BLOCKS.into());
        for (places, columns) in [(self.counted.without(&garbage), CLEAN), (garbage, ALL)] {
            for column in columns {
                numbers.clear();
                numbers.extend(places.iter().map(|place| fields(&self.counts[usize::from(place)])[*column]));
                write_column(&mut writer, &numbers);
            }
        }
        let mut sums = self.merged_sums;
        self.counted.iter().for_each(|place| sums.add(&self.counts[usize::from(place)]));
        PackedBlocks {
            bytes: writer.finish(),
            sums,
            known: self.counted.len() + self.merged.len(),
            lost: self.lost.len(),
            merged: self.level.filter(|_| !self.merged.is_empty()),
        }
    }
}

/// Blocks of a range from the end of the part before on, and what those of them that were told of have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Behind the last block.
    pub(crate) end: u16,
    pub(crate) sums: Sums,
    /// Blocks that are known, and lost ones.
    pub(crate) known: u16,
    pub(crate) lost: u16,
}

impl Part {
    pub(crate) fn add(&mut self, counts: Option<&Counts>) {
        match counts {
            Some(counts) => {
                self.known += 1;
                self.sums.add(counts);
            }
            None => self.lost += 1,
        }
    }
}

/// Finds the parts of ascending places.
pub(crate) struct PartOf<'p> {
    parts: &'p mut [Part],
    index: usize,
}

impl<'p> PartOf<'p> {
    pub(crate) fn new(parts: &'p mut [Part]) -> Self {
        Self { parts, index: 0 }
    }

    /// The part of a place, which is not before the last that was asked for; `None` behind all parts.
    pub(crate) fn find(&mut self, place: u16) -> Option<&mut Part> {
        while self.parts.get(self.index)?.end <= place {
            self.index += 1;
        }
        self.parts.get_mut(self.index)
    }
}

/// The settled blocks of a range, packed, with what all of them have.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PackedBlocks {
    bytes: Box<[u8]>,
    sums: Sums,
    /// Blocks, without the lost ones.
    known: u16,
    lost: u16,
    /// How far blocks are merged.
    merged: Option<Merge>,
}

impl PackedBlocks {
    pub(crate) fn is_empty(&self) -> bool {
        self.known == 0 && self.lost == 0
    }

    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Number of blocks, without the lost ones.
    pub(crate) fn known_blocks(&self) -> u16 {
        self.known
    }

    pub(crate) fn lost_blocks(&self) -> u16 {
        self.lost
    }

    /// What the merged ones among them have, if there are any: garbage too, or only tuples.
    pub(crate) fn merged(&self) -> Option<Merge> {
        self.merged
    }

    /// Bytes of memory beside the struct's own.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// The blocks of which something is known, and of these the lost ones.
    pub(crate) fn known_and_lost(&self) -> (Places, Places) {
        let [counted, lost, merged] = read_kinds(&mut BitReader::new(&self.bytes));
        (counted.or(&lost).or(&merged), lost)
    }

    /// Adds what those of the blocks have that are `wanted` to the parts that they belong to. Where all have the same, it is
    /// not looked at each.
    pub(crate) fn add_to_parts(&self, wanted: &Places, parts: &mut [Part]) {
        if self.is_empty() {
            return;
        }
        let mut reader = BitReader::new(&self.bytes);
        let [counted, lost, merged] = read_kinds(&mut reader);
        let merged_sums = read_merged_sums(&mut reader, &merged);
        let mut begin = 0;
        for part in &mut *parts {
            let count = |places: &Places| places.and(wanted).count_between(begin, part.end);
            part.known += count(&counted) + count(&merged);
            part.lost += count(&lost);
            begin = part.end;
        }
        if !merged.is_empty() {
            let whole = merged.len();
            let mut of_place = PartOf::new(parts);
            for (index, place) in (0..whole).zip(merged.iter()) {
                if let Some(part) = of_place.find(place).filter(|_| wanted.contains(place)) {
                    part.sums.add(&merged_sums.share(index, whole));
                }
            }
        }
        let garbage = read_places(&mut reader);
        for (places, columns) in [(counted.without(&garbage), CLEAN), (garbage, ALL)] {
            for field in columns {
                let column = Column::read(&mut reader, !places.is_empty());
                let places_wanted = places.and(wanted);
                if column.width == 0 {
                    let mut begin = 0;
                    for part in &mut *parts {
                        let count = u32::from(places_wanted.count_between(begin, part.end));
                        let sum = part.sums.field_mut(*field);
                        *sum = sum.saturating_add(count * u32::from(column.least));
                        begin = part.end;
                    }
                    continue;
                }
                let mut of_place = PartOf::new(parts);
                for place in places.iter() {
                    let number = column.next(&mut reader);
                    if let Some(part) = of_place.find(place).filter(|_| places_wanted.contains(place)) {
                        let sum = part.sums.field_mut(*field);
                        *sum = sum.saturating_add(number.into());
                    }
                }
            }
        }
    }

    pub(crate) fn unpack(&self) -> SettledBlocks {
        let mut blocks = SettledBlocks::default();
        if self.is_empty() {
            return blocks;
        }
        let mut reader = BitReader::new(&self.bytes);
        [blocks.counted, blocks.lost, blocks.merged] = read_kinds(&mut reader);
        blocks.level = self.merged;
        blocks.merged_sums = read_merged_sums(&mut reader, &blocks.merged);
        let garbage = read_places(&mut reader);
        for (places, columns) in [(blocks.counted.without(&garbage), CLEAN), (garbage, ALL)] {
            for column in columns {
                let numbers = Column::read(&mut reader, !places.is_empty());
                for place in places.iter() {
                    *field_mut(&mut blocks.counts[usize::from(place)], *column) = numbers.next(&mut reader);
                }
            }
        }
        blocks
    }
}

/// The blocks with counts, lost ones, merged ones.
fn read_kinds(reader: &mut BitReader<'_>) -> [Places; 3] {
    std::array::from_fn(|_| read_places(reader))
}

fn read_merged_sums(reader: &mut BitReader<'_>, merged: &Places) -> Sums {
    if merged.is_empty() { Sums::default() } else { Sums::from_array(std::array::from_fn(|_| reader.read(32))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sums::from_fields;

    fn counts() -> impl Strategy<Value = Counts> {
        let clean =
            (0u16..300, 0u16..9000).prop_map(|(tuples, free_space)| Counts { tuples, free_space, ..Counts::default() });
        let any = any::<[u16; 6]>().prop_map(from_fields);
        prop_oneof![4 => clean, 1 => any]
    }

    fn blocks() -> impl Strategy<Value = SettledBlocks> {
        let block = (0..RANGE_BLOCKS, prop_oneof![9 => counts().prop_map(Some), 1 => Just(None)]);
        prop_oneof![
            3 => proptest::collection::vec(block, 0..300).boxed(),
            1 => proptest::collection::vec(counts(), 1024).prop_map(|all| (0..).zip(all.into_iter().map(Some)).collect()).boxed(),
        ]
        .prop_map(|told| {
            let mut blocks = SettledBlocks::default();
            for (place, counts) in told {
                blocks.forget(&Places::from_iter([place]));
                match counts {
                    Some(counts) => blocks.set_counts(place, counts),
                    None => blocks.set_lost(place),
                }
            }
            blocks
        })
    }

    fn list(blocks: &SettledBlocks, places: &Places) -> Vec<(u16, Option<Counts>)> {
        let mut list = Vec::new();
        blocks.for_each(places, |place, counts| list.push((place, counts)));
        list.sort_by_key(|(place, _)| *place);
        list
    }

    fn sums<'a>(list: impl IntoIterator<Item = &'a (u16, Option<Counts>)>) -> Sums {
        let mut sums = Sums::default();
        list.into_iter().filter_map(|(_, counts)| counts.as_ref()).for_each(|counts| sums.add(counts));
        sums
    }

    const EVERYWHERE: u16 = RANGE_BLOCKS;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(blocks in blocks()) {
            let all = list(&blocks, &Places::before(EVERYWHERE));
            let packed = blocks.pack();
            prop_assert_eq!(&list(&packed.unpack(), &Places::before(EVERYWHERE)), &all);
            prop_assert_eq!(packed.sums(), &sums(&all));
            prop_assert_eq!(usize::from(packed.known_blocks()), all.iter().filter(|(_, counts)| counts.is_some()).count());
            prop_assert_eq!(usize::from(packed.lost_blocks()), all.iter().filter(|(_, counts)| counts.is_none()).count());
            prop_assert_eq!(packed.merged(), None);
            let places = |wanted: fn(&Option<Counts>) -> bool| {
                all.iter().filter(|(_, counts)| wanted(counts)).map(|(place, _)| *place).collect::<Places>()
            };
            prop_assert_eq!(packed.known_and_lost(), (places(|_| true), places(Option::is_none)));
        }

        /// Merged blocks are still known, their sums stay, and dead tuples stay where they are if only clean ones are merged.
        #[test]
        fn merged_blocks_keep_their_sums(blocks in blocks(), all in any::<bool>()) {
            let before = list(&blocks, &Places::before(EVERYWHERE));
            let mut merged = blocks.clone();
            merged.merge(if all { Merge::All } else { Merge::Clean });
            let packed = merged.pack();
            let after = list(&packed.unpack(), &Places::before(EVERYWHERE));
            prop_assert_eq!(packed.known_and_lost(), blocks.pack().known_and_lost());
            prop_assert_eq!(packed.sums(), &sums(&before));
            prop_assert_eq!(sums(&after), sums(&before));
            if !all {
                for ((place, before), (_, after)) in before.iter().zip(&after) {
                    let dead = |counts: &Option<Counts>| counts.map(|counts| (counts.dead_tuples, counts.dead_bytes, counts.lp_dead, counts.redirects));
                    prop_assert_eq!(dead(before), dead(after), "{}", place);
                }
                prop_assert_ne!(packed.merged(), Some(Merge::All));
            }
        }

        #[test]
        fn parts_have_what_their_blocks_have(
            blocks in blocks(),
            merge in prop_oneof![Just(None), Just(Some(Merge::Clean)), Just(Some(Merge::All))],
            wanted in proptest::collection::vec(0..RANGE_BLOCKS, 0..1500),
            ends in proptest::collection::btree_set(1..=RANGE_BLOCKS, 1..20),
        ) {
            let mut blocks = blocks;
            if let Some(merge) = merge {
                blocks.merge(merge);
            }
            let wanted: Places = wanted.into_iter().collect();
            let mut parts: Vec<_> = ends.iter().map(|end| Part { end: *end, ..Part::default() }).collect();
            blocks.pack().add_to_parts(&wanted, &mut parts);
            let mut expected: Vec<_> = ends.iter().map(|end| Part { end: *end, ..Part::default() }).collect();
            for (place, counts) in list(&blocks, &wanted) {
                if let Some(part) = expected.iter_mut().find(|part| place < part.end) {
                    part.add(counts.as_ref());
                }
            }
            prop_assert_eq!(parts, expected);
        }

        #[test]
        fn any_bytes_are_unpacked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let packed = PackedBlocks { bytes: bytes.into(), known: 1, ..PackedBlocks::default() };
            let blocks = packed.unpack();
            list(&blocks, &Places::before(EVERYWHERE));
            packed.add_to_parts(&Places::before(EVERYWHERE), &mut [Part { end: EVERYWHERE, ..Part::default() }]);
        }
    }

    #[test]
    fn rows_of_one_length_take_little_room() {
        let mut blocks = SettledBlocks::default();
        for place in 0..RANGE_BLOCKS {
            let dead = if place % 10 == 3 { 1 + place % 7 } else { 0 };
            let clean = Counts { tuples: 61, free_space: 32, ..Counts::default() };
            blocks.set_counts(place, Counts { dead_tuples: dead, dead_bytes: dead * 121, ..clean });
        }
        assert!(blocks.pack().memory() < 102 * 2 + 150, "{}", blocks.pack().memory());
        blocks.merge(Merge::Clean);
        blocks.merge(Merge::All);
        assert!(blocks.pack().memory() < 40, "{}", blocks.pack().memory());
    }

    #[test]
    fn what_is_left_of_merged_garbage_is_never_said_to_be_exact() {
        let mut blocks = SettledBlocks::default();
        for place in 0..1000 {
            let dead = u16::from(place == 500);
            blocks.set_counts(
                place,
                Counts { tuples: 60, dead_tuples: dead, dead_bytes: dead * 40, ..Counts::default() },
            );
        }
        blocks.merge(Merge::All);
        for place in 0..40 {
            blocks.forget(&Places::from_iter([place]));
            let packed = blocks.pack();
            assert_eq!(packed.merged(), Some(Merge::All));
            blocks = packed.unpack();
        }
        blocks.forget(&Places::before(RANGE_BLOCKS));
        assert_eq!(blocks.pack().merged(), None);
    }

    #[test]
    fn of_forgotten_blocks_goes_what_they_had_or_the_average() {
        let mut blocks = SettledBlocks::default();
        for place in 0..10 {
            blocks.set_counts(place, Counts { tuples: place, dead_tuples: u16::from(place == 4), ..Counts::default() });
        }
        blocks.merge(Merge::Clean);
        blocks.forget(&Places::from_iter([4, 9]));
        let sums = blocks.pack().sums;
        // 41 tuples in 9 blocks were merged, of which one is gone.
        assert_eq!((sums.tuples, sums.dead_tuples), (41 * 8 / 9, 0));
        blocks.forget(&Places::before(RANGE_BLOCKS));
        assert!(blocks.pack().is_empty());
        assert_eq!(blocks.pack().sums, Sums::default());
    }
}
