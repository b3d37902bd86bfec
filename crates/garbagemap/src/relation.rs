//! All that is known of one relation.

use std::collections::BTreeMap;

use pgwal::{BlockNumber, Lsn, TransactionId};
use serde::{Deserialize, Serialize};

use crate::block_range::{Block, BlockRange};
use crate::inexact::Inexact;
use crate::question::RangeSummary;

/// A relation's totals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationSummary {
    /// Blocks whose content is known.
    pub known_blocks: u64,
    /// Whether the relation was created while the log was walked: then blocks that were never told of are empty.
    pub complete: bool,
    /// Tuples on the known blocks, dead ones included.
    pub tuples: u64,
    /// Dead tuples on the known blocks.
    pub dead_tuples: u64,
    /// Bytes of dead tuples, without alignment.
    pub dead_bytes: u64,
    /// Line pointers that are dead themselves.
    pub lp_dead: u64,
    /// Line pointers that redirect.
    pub redirects: u64,
    /// Blocks whose bit for all-visible was set since the walk began.
    pub all_visible_blocks: u64,
    /// Free bytes on the known blocks.
    pub free_space: u64,
    /// Why the numbers are not exact, if they are not.
    pub inexact: Option<String>,
}

/// One relation, by ranges of blocks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Relation {
    /// Whether its creation was seen, so that all of it is known.
    pub(crate) complete: bool,
    /// The first cause that makes its numbers not exact.
    inexact: Option<Inexact>,
    /// Transactions of which blocks hold changes, and of which the log has not told whether they are open or ended
    /// before the walk began.
    unknown: Vec<TransactionId>,
    ranges: BTreeMap<u32, BlockRange>,
    /// How much of the file was read for what the log does not tell, in blocks.
    pub(crate) read: FileProgress,
    /// The file was cut off here once: what is behind is told by the log.
    cut_at: Option<BlockNumber>,
}

/// How much of a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileProgress {
    /// So many blocks from the beginning on.
    Blocks(u32),
    /// All that there was.
    All,
}

impl Default for FileProgress {
    fn default() -> Self {
        Self::Blocks(0)
    }
}

impl Relation {
    /// Just created and empty.
    pub(crate) fn created() -> Self {
        Self { complete: true, ..Self::default() }
    }

    pub(crate) fn block(&mut self, number: BlockNumber) -> Option<&mut Block> {
        let (range, place) = BlockRange::place(number);
        self.ranges.get_mut(&range)?.get(place)
    }

    /// Whether what its file holds of this block is what there is: nothing else was told of it.
    pub(crate) fn is_untold(&mut self, number: BlockNumber) -> bool {
        !self.complete && self.cut_at.is_none_or(|cut| number < cut) && self.block(number).is_none()
    }

    pub(crate) fn set_block(&mut self, number: BlockNumber, block: Block) {
        let (range, place) = BlockRange::place(number);
        self.ranges.entry(range).or_default().set(place, block);
    }

    /// Sets and clears a block's bits of the visibility map.
    pub(crate) fn set_visibility(&mut self, number: BlockNumber, set: u8, clear: u8) {
        let (range, place) = BlockRange::place(number);
        if set != 0 {
            self.ranges.entry(range).or_default().set_visibility(place, set, clear);
        } else if let Some(range) = self.ranges.get_mut(&range) {
            range.set_visibility(place, set, clear);
        }
    }

    /// Clears the bits of blocks `from..to` of the visibility map.
    pub(crate) fn clear_visibility(&mut self, from: u64, to: u64) {
        let size = u64::from(BlockRange::BLOCKS);
        let range_of = |block: u64| u32::try_from(block / size).unwrap_or(u32::MAX);
        for (number, range) in self.ranges.range_mut(range_of(from)..=range_of(to)) {
            for place in 0..BlockRange::BLOCKS as u8 {
                let block = u64::from(*number) * size + u64::from(place);
                if (from..to).contains(&block) {
                    range.set_visibility(place, 0, 3);
                }
            }
        }
    }

    /// The file was cut off at `number` blocks.
    pub(crate) fn truncate(&mut self, number: BlockNumber, heap: bool, visibility_map: bool) {
        if heap {
            self.cut_at = Some(self.cut_at.map_or(number, |before| before.min(number)));
        }
        let (first, place) = BlockRange::place(number);
        for (range_number, range) in self.ranges.range_mut(first..) {
            range.truncate(if *range_number == first { place } else { 0 }, heap, visibility_map);
        }
    }

    /// How many blocks something is known of.
    pub(crate) fn known_blocks(&self) -> u64 {
        self.ranges.values().map(BlockRange::known_blocks).sum()
    }

    pub(crate) fn settle(&mut self, redo: Lsn) {
        self.ranges.values_mut().for_each(|range| range.settle(redo));
    }

    pub(crate) fn note(&mut self, cause: Inexact) {
        self.inexact.get_or_insert(cause);
    }

    /// How this transaction ended, or that it is open, is not known.
    pub(crate) fn note_unknown(&mut self, xid: TransactionId) {
        if !self.unknown.contains(&xid) {
            self.unknown.push(xid);
        }
    }

    /// It is known now.
    pub(crate) fn forget_unknown(&mut self, xid: TransactionId) {
        self.unknown.retain(|unknown| *unknown != xid);
    }

    /// Why the numbers are not exact, if they are not.
    pub(crate) fn cause(&self, everywhere: Option<Inexact>) -> Option<Inexact> {
        let unknown = || self.unknown.first().map(|xid| Inexact::UnknownTransaction(*xid));
        self.inexact.or_else(unknown).or(everywhere)
    }

    /// Totals. Blocks that were never told of are not counted as known: how many there are, only the file tells.
    pub(crate) fn summary(&self, everywhere: Option<Inexact>) -> RelationSummary {
        let all = self.range(0, u32::MAX);
        RelationSummary {
            known_blocks: u64::from(all.seen_blocks),
            complete: self.complete,
            tuples: all.summary.tuples,
            dead_tuples: all.summary.dead_tuples,
            dead_bytes: all.summary.dead_bytes,
            lp_dead: all.summary.lp_dead,
            redirects: all.summary.redirects,
            all_visible_blocks: u64::from(all.summary.all_visible),
            free_space: all.summary.free_space,
            inexact: self.cause(everywhere).map(|cause| cause.to_string()),
        }
    }

    /// Summaries of ranges of `size` blocks, for a file of `total` blocks.
    pub(crate) fn range_summaries(&self, size: u32, total: u32) -> Vec<RangeSummary> {
        let size = size.max(1);
        (0..total.div_ceil(size))
            .map(|number| {
                let first = number * size;
                let blocks = size.min(total - first);
                let found = self.range(first, first + (blocks - 1));
                let known_blocks = if self.complete { blocks - found.lost_blocks } else { found.seen_blocks };
                RangeSummary { number, blocks, known_blocks, ..found.summary }
            })
            .collect()
    }

    /// Adds up the blocks from `first` to `last`, both included.
    fn range(&self, first: u32, last: u32) -> Found {
        let ((first_range, first_place), (last_range, last_place)) =
            (BlockRange::place(BlockNumber::new(first)), BlockRange::place(BlockNumber::new(last)));
        let mut found = Found::default();
        for (number, range) in self.ranges.range(first_range..=last_range) {
            let from = if *number == first_range { first_place } else { 0 };
            let to = if *number == last_range { last_place } else { 127 };
            found.summary.all_visible += range.all_visible(from, to);
            for counts in range.counts(from, to) {
                match counts {
                    None => found.lost_blocks += 1,
                    Some(counts) => {
                        found.seen_blocks += 1;
                        found.summary.add(&counts);
                    }
                }
            }
        }
        found
    }
}

#[derive(Default)]
struct Found {
    summary: RangeSummary,
    seen_blocks: u32,
    lost_blocks: u32,
}
