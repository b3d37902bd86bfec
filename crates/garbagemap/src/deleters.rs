//! Dead tuples by who deleted them: how many of them nobody may remove yet.
//!
//! A tuple that was deleted by a transaction that is not before the horizon (`GetOldestNonRemovableTransactionId` in
//! `src/backend/storage/ipc/procarray.c`) was not removable at any time since, so it is still there. So no removal needs to
//! be told: the deaths are enough.

use pgwal::TransactionId;
use serde::{Deserialize, Serialize};

/// So many groups of a relation are left when they are put together,
const LIMIT: usize = 32;
/// which is done when there are more than these.
const MOST: usize = 4 * LIMIT;
/// Neighbouring groups are put together at once if they have at most this part of what the younger ones have.
const SMALL: u64 = 4;

/// How many tuples each transaction deleted, neighbouring transactions in groups.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Deleters {
    /// The oldest first.
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    /// The youngest deleter; the others come after that of the group before.
    newest: TransactionId,
    tuples: u64,
}

impl Deleters {
    /// The transaction deleted so many tuples and committed. What was deleted before `removable_before` may be removed.
    pub(crate) fn add(&mut self, deleter: TransactionId, tuples: u64, removable_before: Option<TransactionId>) {
        if tuples == 0 || !deleter.is_normal() || removable_before.is_some_and(|oldest| deleter.precedes(oldest)) {
            return;
        }
        // Most often the last one again, or one after it.
        let place = self.groups.iter().rposition(|group| !deleter.precedes(group.newest));
        match place.and_then(|place| self.groups.get_mut(place)) {
            Some(group) if group.newest == deleter => group.tuples += tuples,
            _ => self.groups.insert(place.map_or(0, |place| place + 1), Group { newest: deleter, tuples }),
        }
        if self.groups.len() > MOST {
            if let Some(oldest) = removable_before {
                self.forget_before(oldest);
            }
            // Else it would be looked for such ones each time.
            if self.groups.len() > MOST / 2 {
                self.merge();
            }
        }
    }

    /// How many tuples were deleted by transactions that do not precede `horizon`. At most too many: a group of which only
    /// some do counts as a whole.
    pub(crate) fn not_before(&self, horizon: TransactionId) -> u64 {
        let newer = self.groups.iter().rev().take_while(|group| !group.newest.precedes(horizon));
        newer.map(|group| group.tuples).sum()
    }

    /// Forgets the groups of which all transactions precede `oldest`.
    pub(crate) fn forget_before(&mut self, oldest: TransactionId) {
        self.groups.retain(|group| !group.newest.precedes(oldest));
    }

    /// All tuples are gone.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }

    /// Bytes of memory beside its own.
    pub(crate) fn memory(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
    }

    /// Puts groups together that are small beside the younger ones.
    fn merge_small(&mut self) {
        // Of the groups that are left, the youngest first.
        let mut left: Vec<Group> = Vec::with_capacity(MOST);
        let mut younger = 0;
        for group in self.groups.iter().rev() {
            match left.last_mut() {
                Some(last) if last.tuples + group.tuples <= younger / SMALL => last.tuples += group.tuples,
                _ => {
                    younger += left.last().map_or(0, |last| last.tuples);
                    left.push(*group);
                }
            }
        }
        left.reverse();
        self.groups = left;
    }

    /// Puts two groups together, until there are few enough: those where it makes the least difference to the sum of the
    /// younger ones, which is what is asked for.
    fn merge(&mut self) {
        self.merge_small();
        while self.groups.len() > LIMIT {
            let mut younger = 0;
            let mut best = (f64::INFINITY, 0);
            for (index, group) in self.groups.iter().enumerate().rev() {
                if younger > 0 {
                    let difference = group.tuples as f64 / younger as f64;
                    // Of equal ones the oldest.
                    if difference <= best.0 {
                        best = (difference, index);
                    }
                }
                younger += group.tuples;
            }
            let merged = self.groups.remove(best.1);
            if let Some(next) = self.groups.get_mut(best.1) {
                next.tuples += merged.tuples;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn xid(number: u32) -> TransactionId {
        TransactionId::new(number)
    }

    #[test]
    fn few_deleters_are_counted_exactly_in_any_order() {
        let mut deleters = Deleters::default();
        for (number, tuples) in [(800, 5), (790, 3), (810, 2), (800, 1), (795, 7)] {
            deleters.add(xid(number), tuples, None);
        }
        for (horizon, tuples) in [(700, 18), (790, 18), (791, 15), (796, 8), (800, 8), (801, 2), (810, 2), (811, 0)] {
            assert_eq!(deleters.not_before(xid(horizon)), tuples, "{horizon}");
        }
    }

    #[test]
    fn transactions_after_the_wraparound_are_younger() {
        let mut deleters = Deleters::default();
        deleters.add(xid(5), 1, None);
        deleters.add(xid(u32::MAX - 5), 10, None);
        assert_eq!(deleters.not_before(xid(u32::MAX - 10)), 11);
        assert_eq!(deleters.not_before(xid(4)), 1);
        deleters.forget_before(xid(3));
        assert_eq!(deleters.not_before(xid(u32::MAX - 10)), 1);
    }

    #[test]
    fn what_may_be_removed_takes_no_room() {
        let mut deleters = Deleters::default();
        for number in 1000..3000 {
            deleters.add(xid(number), 1, Some(xid(2990)));
        }
        assert_eq!(deleters.groups.len(), 10);
        // Nothing was put together on the way, so all of them are exact.
        assert_eq!(deleters.not_before(xid(2995)), 5);
    }

    proptest! {
        /// Never too few, all if the horizon is old, and not too many by far.
        #[test]
        fn groups_never_count_too_few(
            deaths in proptest::collection::vec((0u32..100_000, 1u64..20), 1..2000),
            horizon in 0u32..100_000,
        ) {
            let start = u32::MAX - 50_000;
            let mut deleters = Deleters::default();
            for (number, tuples) in &deaths {
                deleters.add(xid(start.wrapping_add(*number)), *tuples, None);
            }
            let sum = |from: u32| deaths.iter().filter(|(number, _)| {
                let number = xid(start.wrapping_add(*number));
                number.is_normal() && !number.precedes(xid(start.wrapping_add(from)))
            }).map(|(_, tuples)| tuples).sum::<u64>();
            let counted = deleters.not_before(xid(start.wrapping_add(horizon)));
            prop_assert!(counted >= sum(horizon));
            prop_assert_eq!(deleters.not_before(xid(start)), sum(0));
            prop_assert!(deleters.groups.len() <= MOST);
            if xid(start.wrapping_add(horizon)).is_normal() {
                // In order of time the groups are near; out of order they may be coarser.
                let mut in_order = Deleters::default();
                let mut sorted = deaths.clone();
                sorted.sort_unstable();
                for (number, tuples) in &sorted {
                    in_order.add(xid(start.wrapping_add(*number)), *tuples, None);
                }
                let counted = in_order.not_before(xid(start.wrapping_add(horizon)));
                prop_assert!(counted >= sum(horizon) && counted <= sum(horizon) * 2 + 40, "{} {}", counted, sum(horizon));
            }
        }
    }
}
