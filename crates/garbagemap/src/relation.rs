//! All that is known of one relation.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use pgwal::{BlockNumber, Lsn, TransactionId};
use serde::{Deserialize, Serialize};

use crate::activity::Activity;
use crate::block_range::{Block, BlockRange, Standing};
use crate::inexact::Inexact;
use crate::page::{Counts, TrackedPage};
use crate::places::{Places, RANGE_BLOCKS};
use crate::question::RangeSummary;
use crate::settled_blocks::{Merge, Part};

/// A relation's totals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationSummary {
    /// Blocks whose content is known.
    pub known_blocks: u64,
    /// Blocks whose content was known and is not any more.
    pub lost_blocks: u64,
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
    // Boxed, since the tree's nodes are half empty.
    ranges: BTreeMap<u32, Box<BlockRange>>,
    /// How much of the file was read for what the log does not tell, in blocks.
    pub(crate) read: FileProgress,
    /// Lost blocks are being read again, from here on.
    read_again: Option<u32>,
    /// The file was cut off here once: what is behind is told by the log.
    cut_at: Option<BlockNumber>,
    /// Since when, and why, blocks are lost, if there are any.
    lost: Option<Loss>,
    /// What happened to it in the course of time.
    pub(crate) activity: Activity,
}

/// Blocks of which nothing is known any more.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Loss {
    /// The first cause.
    cause: Inexact,
    /// All of them were changed last before this, or will be told by the log.
    until: Lsn,
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

    /// The block, if it is not settled.
    pub(crate) fn block(&mut self, number: BlockNumber) -> Option<&mut Block> {
        let (range, place) = BlockRange::place(number);
        self.ranges.get_mut(&range)?.get(place)
    }

    /// How the block stands by what was told of it.
    fn told(&self, number: BlockNumber) -> Standing {
        let (range, place) = BlockRange::place(number);
        self.ranges.get(&range).map_or(Standing::Untold, |range| range.standing(place))
    }

    /// Whether the block was told of and its content is known.
    pub(crate) fn was_told(&self, number: BlockNumber) -> bool {
        self.told(number) == Standing::Known
    }

    /// How the block stands. A new one that was not told of is known to be empty.
    pub(crate) fn standing(&self, number: BlockNumber) -> Standing {
        match self.told(number) {
            Standing::Untold if self.complete => Standing::Known,
            standing => standing,
        }
    }

    /// Whether what its file holds of this block is what there is, all that was changed before `flushed` being in it.
    pub(crate) fn may_be_read(&self, number: BlockNumber, flushed: Lsn) -> bool {
        match self.standing(number) {
            Standing::Untold => self.cut_at.is_none_or(|cut| number < cut),
            Standing::Known => false,
            Standing::Lost => self.lost.is_some_and(|lost| lost.until <= flushed),
        }
    }

    fn range_mut(&mut self, range: u32) -> &mut BlockRange {
        self.ranges.entry(range).or_default()
    }

    /// What the page holds.
    pub(crate) fn track(&mut self, number: BlockNumber, page: TrackedPage) {
        let (range, place) = BlockRange::place(number);
        self.range_mut(range).set(place, Block::Tracked(Box::new(page)));
    }

    /// Nothing is known of the block any more, because of the record that begins at `lsn`.
    pub(crate) fn lose(&mut self, number: BlockNumber, cause: Inexact, lsn: Lsn) {
        let (range, place) = BlockRange::place(number);
        self.range_mut(range).set(place, Block::Lost);
        self.note_loss(cause, lsn);
    }

    fn note_loss(&mut self, cause: Inexact, lsn: Lsn) {
        let lost = self.lost.get_or_insert(Loss { cause, until: lsn });
        // The record itself must be before the checkpoint.
        lost.until = lost.until.max(Lsn::new(lsn.get().saturating_add(1)));
    }

    /// Sets or clears a block's bit for all-visible.
    pub(crate) fn set_all_visible(&mut self, number: BlockNumber, all_visible: bool) {
        let (range, place) = BlockRange::place(number);
        if all_visible {
            self.range_mut(range).set_all_visible(place, true);
        } else if let Some(range) = self.ranges.get_mut(&range) {
            range.set_all_visible(place, false);
        }
    }

    /// Clears the bits for all-visible of blocks `from..to`.
    pub(crate) fn clear_all_visible(&mut self, from: u64, to: u64) {
        self.for_ranges_mut(from, to, BlockRange::clear_all_visible);
    }

    /// Calls for each range that has some of the blocks `from..to`, with their places.
    fn for_ranges_mut(&mut self, from: u64, to: u64, mut call: impl FnMut(&mut BlockRange, &Places)) {
        let size = u64::from(RANGE_BLOCKS);
        let range_of = |block: u64| u32::try_from(block / size).unwrap_or(u32::MAX);
        for (number, range) in self.ranges.range_mut(range_of(from)..=range_of(to)) {
            call(range, &places(*number, from, to));
        }
    }

    /// The file was cut off at `number` blocks.
    pub(crate) fn truncate(&mut self, number: BlockNumber, heap: bool, visibility_map: bool) {
        if heap {
            self.cut_at = Some(self.cut_at.map_or(number, |before| before.min(number)));
        }
        let (first, place) = BlockRange::place(number);
        for (range_number, range) in self.ranges.range_mut(first..) {
            let place = if *range_number == first { place } else { 0 };
            if heap {
                range.truncate(place);
            }
            if visibility_map {
                range.clear_all_visible(&Places::before(RANGE_BLOCKS).without(&Places::before(place)));
            }
        }
        self.ranges.retain(|_, range| !range.is_empty());
    }

    /// Settles what was not changed since `redo`, where the last checkpoint began.
    pub(crate) fn settle(&mut self, redo: Lsn) {
        self.ranges.values_mut().for_each(|range| range.settle(redo));
    }

    /// The file was read up to here: what was read is settled.
    pub(crate) fn set_progress(&mut self, progress: FileProgress, flushed: Lsn) {
        let before = self.to_be_read().map_or(0, BlockNumber::get);
        let end = match progress {
            FileProgress::Blocks(blocks) => blocks,
            FileProgress::All => u32::MAX,
        };
        let (from, to) = (before / u32::from(RANGE_BLOCKS), end / u32::from(RANGE_BLOCKS));
        for (_, range) in self.ranges.range_mut(from.min(to)..to) {
            range.settle(flushed);
        }
        if self.is_read_first() {
            self.read = progress;
        } else {
            self.read_again = Some(end);
        }
        if self.to_be_read().is_none() {
            self.read_again = None;
            self.forget_loss();
        }
    }

    /// Whether its file is being read for what the log does not tell.
    fn is_read_first(&self) -> bool {
        !self.complete && self.read != FileProgress::All
    }

    /// There is no loss any more if there is no lost block.
    fn forget_loss(&mut self) {
        if self.ranges.values().all(|range| range.lost().is_empty()) {
            self.lost = None;
        }
    }

    /// Lost blocks that are in the file by now are to be read from there.
    pub(crate) fn read_lost_again(&mut self, flushed: Lsn) {
        if self.lost.is_some_and(|lost| lost.until <= flushed) {
            self.forget_loss();
            if self.lost.is_some() {
                // What is lost again meanwhile waits for the next time.
                self.read_again.get_or_insert(0);
            }
        }
    }

    /// From which block on its file is to be read; `None` if there is no need.
    pub(crate) fn to_be_read(&self) -> Option<BlockNumber> {
        if let FileProgress::Blocks(blocks) = self.read
            && !self.complete
        {
            return Some(BlockNumber::new(blocks));
        }
        let (from, size) = (self.read_again?, u32::from(RANGE_BLOCKS));
        let (number, _) = self.ranges.range(from / size..).find(|(_, range)| !range.lost().is_empty())?;
        Some(BlockNumber::new(from.max(number * size)))
    }

    /// Keeps only sums of some of its settled blocks, to save memory.
    pub(crate) fn merge(&mut self, merge: Merge) {
        self.ranges.values_mut().for_each(|range| range.merge(merge));
    }

    /// Gives up its blocks that are not settled, to save memory. All changes of them before `lsn` were told.
    pub(crate) fn lose_tracked(&mut self, lsn: Lsn) {
        self.ranges.values_mut().for_each(|range| range.lose());
        // Only on such pages were changes by transactions that are not known.
        self.unknown.clear();
        self.note_loss(Inexact::OutOfMemory, lsn);
    }

    /// Bytes of memory: of what is settled, and of what is not.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let entry = 2 * size_of::<(u32, Box<BlockRange>)>();
        let add = |(settled, tracked): (usize, usize), (more_settled, more_tracked): (usize, usize)| {
            (settled + more_settled, tracked + more_tracked)
        };
        let fixed = self.ranges.len() * entry + self.activity.memory();
        self.ranges.values().map(|range| range.memory()).fold((fixed, 0), add)
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
        let merged =
            || self.merged().map(|merge| if merge == Merge::All { Inexact::AllMerged } else { Inexact::Merged });
        self.inexact.or(self.lost.map(|lost| lost.cause)).or_else(unknown).or(everywhere).or_else(merged)
    }

    /// How far its blocks are merged.
    fn merged(&self) -> Option<Merge> {
        self.ranges.values().filter_map(|range| range.merged()).max()
    }

    /// Totals. Blocks that were never told of are not counted as known: how many there are, only the file tells.
    pub(crate) fn summary(&self, everywhere: Option<Inexact>) -> RelationSummary {
        let (mut all, mut known_blocks, mut lost_blocks, mut all_visible_blocks) = (RangeSummary::default(), 0, 0, 0);
        for range in self.ranges.values() {
            let Part { sums, known, lost, .. } = range.totals();
            all.add(&sums);
            known_blocks += u64::from(known);
            lost_blocks += u64::from(lost);
            all_visible_blocks += u64::from(range.all_visible().len());
        }
        RelationSummary {
            known_blocks,
            lost_blocks,
            complete: self.complete,
            tuples: all.tuples,
            dead_tuples: all.dead_tuples,
            dead_bytes: all.dead_bytes,
            lp_dead: all.lp_dead,
            redirects: all.redirects,
            all_visible_blocks,
            free_space: all.free_space,
            inexact: self.cause(everywhere).map(|cause| cause.to_string()),
        }
    }

    /// Behind the last block of which something is known.
    pub(crate) fn known_end(&self) -> u32 {
        let mut end = 0;
        if let Some((number, range)) = self.ranges.last_key_value() {
            range.for_each(&Places::before(RANGE_BLOCKS), |place, _| end = end.max(u32::from(place) + 1));
            end += number * u32::from(RANGE_BLOCKS);
        }
        end
    }

    /// Summaries of ranges of `size` blocks, for a file of `total` blocks.
    pub(crate) fn range_summaries(&self, size: u32, total: u32) -> Vec<RangeSummary> {
        let size = size.max(1);
        let mut summaries: Vec<RangeSummary> = (0..total.div_ceil(size))
            .map(|number| {
                let blocks = size.min(total - number * size);
                RangeSummary {
                    number,
                    blocks,
                    known_blocks: if self.complete { blocks } else { 0 },
                    ..Default::default()
                }
            })
            .collect();
        let mut parts = Vec::new();
        for (number, range) in &self.ranges {
            let first = number * u32::from(RANGE_BLOCKS);
            if first >= total {
                break;
            }
            let end = u32::from(RANGE_BLOCKS).min(total - first);
            let summaries = summaries.iter_mut().skip((first / size) as usize);
            // Where the ranges that are asked for end in this one.
            let ends = (1..).map(|index| (first / size + index).saturating_mul(size).saturating_sub(first).min(end));
            parts.clear();
            for end_of_part in ends {
                parts.push(Part { end: end_of_part as u16, ..Part::default() });
                if end_of_part == end {
                    break;
                }
            }
            range.add_to_parts(&mut parts);
            let mut begin = 0;
            for (summary, Part { end, sums, known, lost }) in summaries.zip(&parts) {
                summary.known_blocks += if self.complete { 0 } else { u32::from(*known) };
                summary.known_blocks -= if self.complete { u32::from(*lost) } else { 0 };
                summary.add(sums);
                summary.all_visible += u32::from(range.all_visible().count_between(begin, *end));
                begin = *end;
            }
        }
        summaries
    }

    /// Tells of those of `blocks` that were told of: counts, `None` for lost ones, and whether it is all-visible. In no order.
    pub(crate) fn for_each_block(&self, blocks: RangeInclusive<u32>, mut tell: impl FnMut(u32, Option<Counts>, bool)) {
        let size = u32::from(RANGE_BLOCKS);
        let (from, to) = (u64::from(*blocks.start()), u64::from(*blocks.end()) + 1);
        if from >= to {
            return;
        }
        for (number, range) in self.ranges.range(blocks.start() / size..=blocks.end() / size) {
            range.for_each(&places(*number, from, to), |place, counts| {
                tell(number * size + u32::from(place), counts, range.all_visible().contains(place));
            });
        }
    }
}

/// The places that blocks `from..to` have in a range.
fn places(range: u32, from: u64, to: u64) -> Places {
    let first = u64::from(range) * u64::from(RANGE_BLOCKS);
    let place = |block: u64| block.saturating_sub(first).min(RANGE_BLOCKS.into()) as u16;
    Places::before(place(to)).without(&Places::before(place(from)))
}
