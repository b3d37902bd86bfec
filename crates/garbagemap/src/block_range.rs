//! 128 neighbouring blocks of a relation.

use pgwal::{BlockNumber, Lsn};
use serde::{Deserialize, Serialize};

use crate::page::{Counts, TrackedPage};

/// What is known of a block.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Block {
    /// Each line pointer.
    Tracked(Box<TrackedPage>),
    /// Settled: no transaction is open on it, and the next record that changes it holds the page, because it was not
    /// changed since the last checkpoint began.
    Counted(Counts),
    /// Nothing any more: it was changed by a record that did not suffice.
    Lost,
}

impl Block {
    fn counts(&self) -> Option<Counts> {
        match self {
            Self::Tracked(page) => Some(page.counts()),
            Self::Counted(counts) => Some(*counts),
            Self::Lost => None,
        }
    }

    /// Settles the page if it was not changed since `redo` and no transaction is open on it: counts are enough until its
    /// next image.
    pub(crate) fn settle(&mut self, redo: Lsn) {
        if let Self::Tracked(page) = self
            && page.last_lsn <= redo
            && page.pending.is_empty()
        {
            *self = Self::Counted(page.counts());
        }
    }
}

/// 128 neighbouring blocks: those that were seen, and the bits of the visibility map.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct BlockRange {
    /// By place in the range, ascending.
    blocks: Vec<(u8, Block)>,
    all_visible: u128,
    all_frozen: u128,
}

impl BlockRange {
    /// Blocks of a range.
    pub(crate) const BLOCKS: u32 = 128;

    /// Which range holds a block, and at which place.
    pub(crate) fn place(block: BlockNumber) -> (u32, u8) {
        let place = block.get() % Self::BLOCKS;
        (block.get() / Self::BLOCKS, place as u8)
    }

    pub(crate) fn get(&mut self, place: u8) -> Option<&mut Block> {
        let index = self.blocks.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        self.blocks.get_mut(index).map(|(_, block)| block)
    }

    pub(crate) fn set(&mut self, place: u8, block: Block) {
        match self.blocks.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(index) => self.blocks[index].1 = block,
            Err(index) => self.blocks.insert(index, (place, block)),
        }
    }

    /// How many blocks something is known of.
    pub(crate) fn known_blocks(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Counts of the blocks at these places that were seen; `None` for lost ones.
    pub(crate) fn counts(&self, from: u8, to: u8) -> impl Iterator<Item = Option<Counts>> {
        let inside = move |place: u8| from <= place && place <= to;
        self.blocks.iter().filter(move |(place, _)| inside(*place)).map(|(_, block)| block.counts())
    }

    /// Sets and clears a block's bits of the visibility map: all-visible 1, all-frozen 2.
    pub(crate) fn set_visibility(&mut self, place: u8, set: u8, clear: u8) {
        let bit = 1u128 << place;
        for (map, flag) in [(&mut self.all_visible, 1), (&mut self.all_frozen, 2)] {
            if clear & flag != 0 {
                *map &= !bit;
            }
            if set & flag != 0 {
                *map |= bit;
            }
        }
    }

    /// How many of the blocks at these places are all-visible.
    pub(crate) fn all_visible(&self, from: u8, to: u8) -> u32 {
        let up_to = if to >= 127 { u128::MAX } else { (1u128 << (to + 1)) - 1 };
        (self.all_visible & up_to & !((1u128 << from) - 1)).count_ones()
    }

    /// Forgets all from this place on.
    pub(crate) fn truncate(&mut self, place: u8, heap: bool, visibility_map: bool) {
        if heap {
            self.blocks.retain(|(known, _)| *known < place);
        }
        if visibility_map {
            self.all_visible &= (1u128 << place) - 1;
            self.all_frozen &= (1u128 << place) - 1;
        }
    }

    /// Settles the pages for which that is possible.
    pub(crate) fn settle(&mut self, redo: Lsn) {
        for (_, block) in &mut self.blocks {
            block.settle(redo);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_at_the_edges_too() {
        let mut range = BlockRange::default();
        for place in [0, 1, 126, 127] {
            range.set_visibility(place, 3, 0);
        }
        assert_eq!(range.all_visible(0, 127), 4);
        assert_eq!(range.all_visible(1, 126), 2);
        assert_eq!(range.all_visible(127, 127), 1);
        range.set_visibility(127, 0, 3);
        assert_eq!(range.all_visible(0, 127), 3);
        range.truncate(1, true, true);
        assert_eq!(range.all_visible(0, 127), 1);
    }

    #[test]
    fn a_page_with_an_open_transaction_is_not_settled() {
        let mut range = BlockRange::default();
        let mut page = TrackedPage::initialised(8192);
        page.insert(pgwal::OffsetNumber::new(1), 40, Some(pgwal::TransactionId::new(9)));
        page.last_lsn = Lsn::new(100);
        range.set(3, Block::Tracked(Box::new(page)));
        range.settle(Lsn::new(200));
        assert!(matches!(range.get(3), Some(Block::Tracked(_))));
        if let Some(Block::Tracked(page)) = range.get(3) {
            page.finish(pgwal::TransactionId::new(9), true);
        }
        range.settle(Lsn::new(99));
        assert!(matches!(range.get(3), Some(Block::Tracked(_))));
        range.settle(Lsn::new(200));
        assert!(matches!(range.get(3), Some(Block::Counted(Counts { tuples: 1, .. }))));
    }
}
