//! Neighbouring blocks of a relation: [`RANGE_BLOCKS`] of them.

use pgwal::{BlockNumber, Lsn};
use serde::{Deserialize, Serialize};

use crate::page::{Counts, TrackedPage};
use crate::places::{Places, RANGE_BLOCKS};
use crate::settled_blocks::{Merge, PackedBlocks, Part, PartOf};

/// What is known of a block that a record may change.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Block {
    /// Each line pointer.
    Tracked(Box<TrackedPage>),
    /// Nothing any more: it was changed by a record that did not suffice.
    Lost,
}

impl Block {
    /// Whether counts are enough until its next image: no transaction is open on it, and the next record that changes it
    /// holds the page, because it was not changed since `redo`, where the last checkpoint began.
    fn is_settled(&self, redo: Lsn) -> bool {
        match self {
            Self::Tracked(page) => page.last_lsn <= redo && page.pending.is_empty(),
            Self::Lost => true,
        }
    }

    fn counts(&self) -> Option<Counts> {
        match self {
            Self::Tracked(page) => Some(page.counts()),
            Self::Lost => None,
        }
    }
}

/// How a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was told of it.
    Untold,
    /// What it holds is known.
    Known,
    /// It was, and is not any more.
    Lost,
}

/// What the allocator takes for itself beside each piece of memory, about, in bytes.
const ALLOCATION: usize = 16;

/// Neighbouring blocks: those that were told of, and the bits of the visibility map.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct BlockRange {
    /// Blocks that were told of since they were settled, if ever, by place, ascending. What is settled of them does not
    /// hold any more.
    blocks: Vec<(u16, Block)>,
    settled: PackedBlocks,
    all_visible: Places,
}

impl BlockRange {
    /// Which range holds a block, and at which place.
    pub(crate) fn place(block: BlockNumber) -> (u32, u16) {
        let size = u32::from(RANGE_BLOCKS);
        (block.get() / size, (block.get() % size) as u16)
    }

    fn index(&self, place: u16) -> Result<usize, usize> {
        // Most are told in order; and where all before are known, each is at its own place.
        match (self.blocks.last(), self.blocks.get(usize::from(place))) {
            (Some((last, _)), _) if *last < place => Err(self.blocks.len()),
            (_, Some((found, _))) if *found == place => Ok(usize::from(place)),
            _ => self.blocks.binary_search_by_key(&place, |(place, _)| *place),
        }
    }

    /// The block, if it is not settled.
    pub(crate) fn get(&mut self, place: u16) -> Option<&mut Block> {
        let index = self.index(place).ok()?;
        self.blocks.get_mut(index).map(|(_, block)| block)
    }

    pub(crate) fn set(&mut self, place: u16, block: Block) {
        match self.index(place) {
            Ok(index) => self.blocks[index].1 = block,
            Err(index) => self.blocks.insert(index, (place, block)),
        }
    }

    /// How the block stands, settled or not.
    pub(crate) fn standing(&self, place: u16) -> Standing {
        match self.index(place).map(|index| &self.blocks[index].1) {
            Ok(Block::Tracked(_)) => Standing::Known,
            Ok(Block::Lost) => Standing::Lost,
            Err(_) if self.settled.is_empty() => Standing::Untold,
            Err(_) => {
                let (known, lost) = self.settled.known_and_lost();
                match (known.contains(place), lost.contains(place)) {
                    (false, _) => Standing::Untold,
                    (true, false) => Standing::Known,
                    (true, true) => Standing::Lost,
                }
            }
        }
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.settled.is_empty() && self.all_visible.is_empty()
    }

    /// Tells the counts of those of `places` that were told of, `None` for lost ones.
    pub(crate) fn for_each(&self, places: &Places, mut tell: impl FnMut(u16, Option<Counts>)) {
        let told = self.told();
        if !self.settled.is_empty() {
            self.settled.unpack().for_each(&places.without(&told), &mut tell);
        }
        for (place, block) in self.blocks.iter().filter(|(place, _)| places.contains(*place)) {
            tell(*place, block.counts());
        }
    }

    /// The places of the blocks that are not settled.
    fn told(&self) -> Places {
        self.blocks.iter().map(|(place, _)| *place).collect()
    }

    /// Adds what the blocks have to the parts that they belong to.
    pub(crate) fn add_to_parts(&self, parts: &mut [Part]) {
        self.settled.add_to_parts(&Places::before(RANGE_BLOCKS).without(&self.told()), parts);
        let mut of_place = PartOf::new(parts);
        for (place, block) in &self.blocks {
            let Some(part) = of_place.find(*place) else { return };
            part.add(block.counts().as_ref());
        }
    }

    /// What all of its blocks have.
    pub(crate) fn totals(&self) -> Part {
        let mut all = Part { end: RANGE_BLOCKS, ..Part::default() };
        if self.blocks.is_empty() {
            (all.sums, all.known, all.lost) =
                (*self.settled.sums(), self.settled.known_blocks(), self.settled.lost_blocks());
        } else {
            self.add_to_parts(std::slice::from_mut(&mut all));
        }
        all
    }

    /// How far its blocks are merged.
    pub(crate) fn merged(&self) -> Option<Merge> {
        self.settled.merged()
    }

    /// The blocks of which nothing is known any more.
    pub(crate) fn lost(&self) -> Places {
        let lost = self.blocks.iter().filter(|(_, block)| matches!(block, Block::Lost)).map(|(place, _)| *place);
        let lost: Places = lost.collect();
        if self.settled.lost_blocks() == 0 {
            return lost;
        }
        self.settled.known_and_lost().1.without(&self.told()).or(&lost)
    }

    /// Sets or clears a block's bit for all-visible.
    pub(crate) fn set_all_visible(&mut self, place: u16, all_visible: bool) {
        if all_visible { self.all_visible.insert(place) } else { self.all_visible.remove(place) }
    }

    /// The blocks that are all-visible.
    pub(crate) fn all_visible(&self) -> &Places {
        &self.all_visible
    }

    /// Clears the bits of these blocks.
    pub(crate) fn clear_all_visible(&mut self, places: &Places) {
        self.all_visible = self.all_visible.without(places);
    }

    /// Forgets the blocks from this place on.
    pub(crate) fn truncate(&mut self, place: u16) {
        self.blocks.retain(|(known, _)| *known < place);
        if !self.settled.is_empty() {
            let mut settled = self.settled.unpack();
            settled.forget(&Places::before(RANGE_BLOCKS).without(&Places::before(place)));
            self.settled = settled.pack();
        }
    }

    /// Settles the blocks for which that is possible.
    pub(crate) fn settle(&mut self, redo: Lsn) {
        let places: Places =
            self.blocks.iter().filter(|(_, block)| block.is_settled(redo)).map(|(place, _)| *place).collect();
        if places.is_empty() {
            return;
        }
        let mut settled = self.settled.unpack();
        settled.forget(&places);
        self.blocks.retain(|(place, block)| {
            let settles = places.contains(*place);
            match block.counts() {
                Some(counts) if settles => settled.set_counts(*place, counts),
                None if settles => settled.set_lost(*place),
                _ => {}
            }
            !settles
        });
        self.blocks.shrink_to_fit();
        self.settled = settled.pack();
    }

    /// Keeps only the sums of some settled blocks, if that saves memory.
    pub(crate) fn merge(&mut self, merge: Merge) {
        let mut settled = self.settled.unpack();
        settled.merge(merge);
        let settled = settled.pack();
        if settled.memory() < self.settled.memory() {
            self.settled = settled;
        }
    }

    /// Gives up the blocks that are not settled, to save memory.
    pub(crate) fn lose(&mut self) {
        self.blocks.iter_mut().for_each(|(_, block)| *block = Block::Lost);
        self.settle(Lsn::INVALID);
    }

    /// Bytes of memory: of what is settled, and of what is not.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let tracked = |block: &Block| if let Block::Tracked(page) = block { page.memory() + 2 * ALLOCATION } else { 0 };
        let entries = self.blocks.capacity() * size_of::<(u16, Block)>();
        (
            size_of::<Self>() + self.settled.memory() + 2 * ALLOCATION,
            entries + self.blocks.iter().map(|(_, block)| tracked(block)).sum::<usize>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tuples: u16, last_lsn: u64) -> Block {
        let mut page = TrackedPage::initialised(8192);
        for offset in 1..=tuples {
            page.insert(pgwal::OffsetNumber::new(offset), 40, None);
        }
        page.last_lsn = Lsn::new(last_lsn);
        Block::Tracked(Box::new(page))
    }

    fn tuples(range: &BlockRange) -> Vec<(u16, Option<u16>)> {
        let mut list = Vec::new();
        range.for_each(&Places::before(RANGE_BLOCKS), |place, counts| {
            list.push((place, counts.map(|counts| counts.tuples)));
        });
        list.sort_unstable();
        list
    }

    #[test]
    fn a_page_with_an_open_transaction_or_a_late_change_is_not_settled() {
        let mut range = BlockRange::default();
        let mut pinned = TrackedPage::initialised(8192);
        pinned.insert(pgwal::OffsetNumber::new(1), 40, Some(pgwal::TransactionId::new(9)));
        pinned.last_lsn = Lsn::new(100);
        range.set(3, Block::Tracked(Box::new(pinned)));
        range.set(900, page(2, 300));
        range.set(901, page(5, 200));
        range.settle(Lsn::new(200));
        assert!(range.get(3).is_some() && range.get(900).is_some() && range.get(901).is_none());
        if let Some(Block::Tracked(page)) = range.get(3) {
            page.finish(pgwal::TransactionId::new(9), true);
        }
        range.settle(Lsn::new(99));
        assert!(range.get(3).is_some());
        range.settle(Lsn::new(200));
        assert!(range.get(3).is_none());
        assert_eq!(tuples(&range), [(3, Some(1)), (900, Some(2)), (901, Some(5))]);
        assert_eq!((range.totals().sums.tuples, range.totals().known, range.totals().lost), (8, 3, 0));
    }

    #[test]
    fn what_was_told_last_holds() {
        let mut range = BlockRange::default();
        for place in 0..10 {
            range.set(place, page(place, 10));
        }
        range.settle(Lsn::new(10));
        range.set(4, page(50, 20));
        range.set(7, Block::Lost);
        assert_eq!(range.standing(4), Standing::Known);
        assert_eq!(range.standing(7), Standing::Lost);
        assert_eq!(range.standing(10), Standing::Untold);
        let told = |range: &BlockRange| (range.totals().sums.tuples, range.totals().known, range.totals().lost);
        assert_eq!(told(&range), (45 - 4 - 7 + 50, 9, 1));
        range.settle(Lsn::new(20));
        assert_eq!(told(&range), (45 - 4 - 7 + 50, 9, 1));
        assert_eq!(range.standing(7), Standing::Lost);
        assert_eq!(range.lost(), Places::from_iter([7]));
        range.set(7, page(3, 30));
        assert_eq!(range.standing(7), Standing::Known);
        assert!(range.lost().is_empty());
        range.truncate(7);
        assert_eq!(told(&range), (1 + 2 + 3 + 50 + 5 + 6, 7, 0));
        range.truncate(0);
        assert!(range.is_empty());
    }

    #[test]
    fn to_save_memory_blocks_are_merged_or_lost() {
        let mut range = BlockRange::default();
        for place in 0..1000 {
            range.set(place, page(place % 100, 10));
        }
        let (settled, tracked) = range.memory();
        range.settle(Lsn::new(10));
        let (packed, rest) = range.memory();
        assert!(packed > settled && rest == 0 && packed < settled + 3_000 && tracked > 100_000, "{packed} {tracked}");
        let before = range.totals();
        range.merge(Merge::Clean);
        assert!(range.memory().0 < packed / 4 && range.totals() == before && range.merged() == Some(Merge::Clean));
        // A block that is told anew takes an average out.
        range.set(99, page(0, 20));
        let left = range.totals().sums.tuples;
        assert!((49_450..=49_451).contains(&left), "{left}");
        range.lose();
        assert_eq!((range.totals().known, range.totals().lost), (999, 1));
    }
}
