//! How much memory the map takes, and what it gives up to stay within its limit.
//!
//! First it merges settled blocks without garbage, of which only tuples and free bytes become averages; then all settled
//! blocks; and if pages are most of it, because a transaction changed very many or a checkpoint is far, it gives up the
//! pages of the relations that have most. Each of that is said with the relation's numbers.

use std::cmp::Reverse;

use pgwal::RelFileLocator;

use super::GarbageMap;
use crate::relation::Relation;
use crate::settled_blocks::Merge;

/// What the map takes, in bytes, as it was last counted and what may have come since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    limit: u64,
    counted: u64,
    /// Pages that were taken up since.
    pub(super) tracked: u64,
    /// Records that were told since.
    pub(super) records: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { limit: u64::MAX, counted: 0, tracked: 0, records: 0 }
    }
}

impl Memory {
    /// About what a page takes that is tracked.
    const PAGE: u64 = 512;
    /// About what a record adds to the lists of changes by open transactions.
    const RECORD: u64 = 32;

    /// Where giving up ends: not just within the limit, since it is not to begin anew at once.
    fn aim(&self) -> u64 {
        self.limit - self.limit / 8
    }

    /// The map takes so much now.
    fn count(&mut self, bytes: u64) {
        *self = Self { limit: self.limit, counted: bytes, tracked: 0, records: 0 };
    }

    /// Whether the limit may have been reached; if so, memory is to be counted.
    pub(super) fn may_be_short(&self) -> bool {
        // Between two counts, which take the longer the more there is, comes at least a part of that.
        let left = self.limit.saturating_sub(self.counted).max(self.limit.max(self.counted) / 16);
        self.tracked * Self::PAGE + self.records * Self::RECORD > left
    }
}

impl GarbageMap {
    /// The map may take about so many bytes of memory. At a checkpoint, or when it has grown much, it gives up what does
    /// not fit, first that which is least missed.
    pub fn set_max_memory(&mut self, bytes: u64) {
        self.memory.limit = bytes;
    }

    /// About how many bytes of memory the map takes: what is settled, and what is not.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let sum = |(settled, tracked): (usize, usize), (more, more_tracked): (usize, usize)| {
            (settled + more, tracked + more_tracked)
        };
        let relations = self.relations.len() * 2 * size_of::<(RelFileLocator, Relation)>();
        let all = self.relations.values().map(Relation::memory);
        let (settled, tracked) = all.fold((relations, 0), sum);
        (settled as u64, (tracked + self.transactions.memory() + self.multixacts.memory()) as u64)
    }

    /// Whether files may be read: there is room, or can be made without giving up what is known of dead tuples.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.memory.may_be_short() {
            let (settled, tracked) = self.merge(Merge::Clean, self.memory());
            self.memory.count(settled + tracked);
        }
        self.memory.counted < self.memory.limit
    }

    /// Counts what the map takes and gives up what is beyond the limit.
    pub(super) fn save_memory(&mut self) {
        let (limit, aim) = (self.memory.limit, self.memory.aim());
        let (mut settled, mut tracked) = self.memory();
        if settled + tracked > limit && self.server.is_some() {
            self.multixacts.forget();
            (settled, tracked) = self.memory();
        }
        (settled, tracked) = self.merge(Merge::Clean, (settled, tracked));
        // When pages are most of it, dead tuples are not given up for them.
        if settled > limit / 2 {
            (settled, tracked) = self.merge(Merge::All, (settled, tracked));
        }
        if settled + tracked > limit {
            let mut relations: Vec<_> =
                self.relations.iter().map(|(locator, relation)| (relation.memory().1, *locator)).collect();
            relations.sort_unstable_by_key(|(memory, _)| Reverse(*memory));
            for (memory, locator) in relations {
                if memory == 0 || settled + tracked <= aim {
                    break;
                }
                let before = self.memory_of(locator);
                self.give_up_pages(locator);
                let after = self.memory_of(locator);
                (settled, tracked) = (settled + after.0 - before.0, tracked + after.1 - before.1);
            }
        }
        self.memory.count(settled + tracked);
    }

    /// Merges blocks if the map is beyond its limit, until it is well within. Returns what is left of the bytes of memory.
    fn merge(&mut self, merge: Merge, (mut settled, tracked): (u64, u64)) -> (u64, u64) {
        if settled + tracked > self.memory.limit {
            for relation in self.relations.values_mut() {
                if settled + tracked <= self.memory.aim() {
                    break;
                }
                let before = relation.memory().0;
                relation.merge(merge);
                settled -= (before - relation.memory().0) as u64;
            }
        }
        (settled, tracked)
    }

    /// What giving up the relation's pages changes of the bytes of memory: settled, and not settled with the lists of waiting
    /// blocks.
    fn memory_of(&self, locator: RelFileLocator) -> (u64, u64) {
        let (settled, tracked) = self.relations.get(&locator).map_or((0, 0), Relation::memory);
        (settled as u64, (tracked + self.transactions.memory()) as u64)
    }

    fn give_up_pages(&mut self, locator: RelFileLocator) {
        self.transactions.forget_blocks(locator);
        let position = self.position;
        if let Some(relation) = self.relations.get_mut(&locator) {
            relation.lose_tracked(position);
        }
    }
}
