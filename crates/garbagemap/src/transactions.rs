//! Who is open, who ended how, and which blocks wait for whom.

use pgwal::{BlockNumber, RelFileLocator, TransactionId};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::ended_transactions::EndedTransactions;
use crate::map::TransactionStatus;
use crate::transaction_log::Known;

/// Blocks that wait for a transaction's end; most transactions change few.
pub(crate) type WaitingBlocks = SmallVec<[(RelFileLocator, BlockNumber); 4]>;

/// The transactions as the log has told of them so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Transactions {
    ended: EndedTransactions,
    prepared: FxHashSet<TransactionId>,
    /// Open transactions that have written something since the walk began.
    seen: FxHashSet<TransactionId>,
    /// Transactions from before the walk of which the server said that they are open: running, or prepared.
    open_before: FxHashSet<TransactionId>,
    last_seen: TransactionId,
    /// Blocks with changes of an open transaction. A block may stand here more than once.
    pending: FxHashMap<TransactionId, WaitingBlocks>,
    /// All transactions from this one on began, and so end or are prepared, in the part of the log that is read.
    horizon: Option<TransactionId>,
    /// Of those, the ones before this ended at the latest when the server last started.
    started: Option<TransactionId>,
}

impl Transactions {
    /// How a transaction ended, as far as the log has told; `None` if it is open or older than the walk.
    pub(crate) fn status(&self, xid: TransactionId) -> Option<TransactionStatus> {
        if !xid.is_normal() {
            let committed = xid.is_valid();
            return Some(if committed { TransactionStatus::Committed } else { TransactionStatus::Aborted });
        }
        self.ended.get(xid).or_else(|| self.lost_in_restart(xid).then_some(TransactionStatus::Aborted))
    }

    /// Whether the transaction was open when the server stopped or crashed: then no record tells of its end.
    fn lost_in_restart(&self, xid: TransactionId) -> bool {
        let seen = self.horizon.is_some_and(|horizon| !xid.precedes(horizon));
        seen && self.started.is_some_and(|started| xid.precedes(started)) && !self.prepared.contains(&xid)
    }

    /// A record of this transaction: it is open, unless the record itself ends it.
    pub(crate) fn saw(&mut self, xid: TransactionId) {
        if xid.is_normal() && xid != self.last_seen {
            self.last_seen = xid;
            self.seen.insert(xid);
        }
    }

    /// Whether a transaction of which the end was not told is open for certain. Else it may as well have ended before
    /// the walk began.
    pub(crate) fn is_open(&self, xid: TransactionId) -> bool {
        let began_since = self.horizon.is_some_and(|horizon| !xid.precedes(horizon));
        began_since || [&self.seen, &self.open_before, &self.prepared].iter().any(|open| open.contains(&xid))
    }

    /// The server knows the transaction, which is older than the walk.
    pub(crate) fn learn(&mut self, xid: TransactionId, known: Known) {
        match known {
            Known::Open => drop(self.open_before.insert(xid)),
            Known::Ended(status) => self.ended.set(xid, status == TransactionStatus::Committed),
        }
    }

    /// The block waits for the end of this transaction.
    pub(crate) fn wait(&mut self, xid: TransactionId, relation: RelFileLocator, block: BlockNumber) {
        let blocks = self.pending.entry(xid).or_default();
        if blocks.last() == Some(&(relation, block)) {
            return;
        }
        if blocks.len() == blocks.capacity() {
            // Before it grows, see whether it must: a long transaction comes back to the same blocks.
            blocks.sort_unstable();
            blocks.dedup();
            if blocks.len() > blocks.capacity() / 2 {
                blocks.reserve(blocks.len());
            }
        }
        blocks.push((relation, block));
    }

    /// Blocks of this relation do not wait any more.
    pub(crate) fn forget_blocks(&mut self, relation: RelFileLocator) {
        self.pending.retain(|_, blocks| {
            blocks.retain(|(of, _)| *of != relation);
            blocks.shrink_to_fit();
            !blocks.is_empty()
        });
    }

    /// About how many bytes of memory the lists of waiting blocks take.
    pub(crate) fn memory(&self) -> usize {
        let lists = self.pending.values().map(SmallVec::capacity).sum::<usize>();
        lists * size_of::<(RelFileLocator, BlockNumber)>() + self.ended.memory()
    }

    /// The transaction ended. Returns the blocks that waited for it.
    pub(crate) fn end(&mut self, xid: TransactionId, committed: bool) -> WaitingBlocks {
        self.ended.set(xid, committed);
        self.prepared.remove(&xid);
        self.seen.remove(&xid);
        self.open_before.remove(&xid);
        self.last_seen = TransactionId::INVALID;
        self.pending.remove(&xid).unwrap_or_default()
    }

    /// The transaction survives a restart of the server.
    pub(crate) fn prepare(&mut self, xid: TransactionId) {
        self.prepared.insert(xid);
    }

    /// The server started, or stopped in order: of all transactions before `next`, only prepared ones are open.
    /// Returns those that are lost, as far as they wrote something in the walk or blocks wait for them.
    pub(crate) fn restart(&mut self, next: TransactionId) -> Vec<TransactionId> {
        if self.started.is_none_or(|started| started.precedes(next)) {
            self.started = Some(next);
        }
        self.horizon.get_or_insert(next);
        // Who wrote in the walk was not prepared before it.
        let lost = |xid: &TransactionId| xid.precedes(next) && !self.prepared.contains(xid);
        let waited_for = self.pending.keys().filter(|xid| self.lost_in_restart(**xid) && !self.seen.contains(xid));
        self.seen.iter().filter(|xid| lost(xid)).chain(waited_for).copied().collect()
    }

    /// All transactions before `oldest` have ended, and the next to begin is `next`. Returns those for which blocks
    /// wait although nothing told of their end.
    pub(crate) fn running(&mut self, oldest: TransactionId, next: TransactionId) -> Vec<TransactionId> {
        // Not `oldest`: one that is open now may have been prepared before, unseen, and survive a restart.
        self.horizon.get_or_insert(next);
        self.pending.keys().copied().filter(|xid| xid.precedes(oldest) && !self.prepared.contains(xid)).collect()
    }

    /// Of these transactions the server has said that they are open, and nothing told of their end since: running when it
    /// said so, or prepared.
    pub(crate) fn take_open_before(&mut self) -> FxHashSet<TransactionId> {
        std::mem::take(&mut self.open_before)
    }

    /// Blocks do not wait for this transaction any more; how it ended is not told.
    pub(crate) fn give_up(&mut self, xid: TransactionId) -> WaitingBlocks {
        self.pending.remove(&xid).unwrap_or_default()
    }

    /// The youngest transaction that is open, as far as it wrote something in the walk or blocks wait for it.
    pub(crate) fn newest_open(&self) -> Option<TransactionId> {
        self.pending
            .keys()
            .chain(&self.seen)
            .copied()
            .reduce(|newest, xid| if newest.precedes(xid) { xid } else { newest })
    }

    /// No page holds transactions before `oldest` any more, but frozen ones.
    pub(crate) fn forget_before(&mut self, oldest: TransactionId) {
        self.ended.forget_before(oldest);
        // The numbers come again after a while, and then mean others.
        if self.horizon.is_some_and(|horizon| horizon.precedes(oldest)) {
            self.horizon = Some(oldest);
        }
        self.started = self.started.filter(|started| !started.precedes(oldest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xid(number: u32) -> TransactionId {
        TransactionId::new(number)
    }

    #[test]
    fn a_restart_aborts_what_was_open_but_not_what_was_prepared_or_is_older_than_the_walk() {
        let mut transactions = Transactions::default();
        let (relation, block) = (RelFileLocator::new(1663, 5, 16384), BlockNumber::new(0));
        transactions.running(xid(740), xid(800));
        for number in [750, 810, 820] {
            transactions.wait(xid(number), relation, block);
        }
        transactions.prepare(xid(820));
        assert_eq!(transactions.restart(xid(900)), [xid(810)]);
        assert_eq!(transactions.status(xid(810)), Some(TransactionStatus::Aborted));
        assert_eq!(transactions.status(xid(820)), None);
        assert_eq!(transactions.status(xid(750)), None);
        assert_eq!(transactions.status(xid(900)), None);
    }

    #[test]
    fn numbers_that_come_again_are_other_transactions() {
        let mut transactions = Transactions::default();
        transactions.running(xid(740), xid(800));
        transactions.restart(xid(900));
        assert_eq!(transactions.status(xid(850)), Some(TransactionStatus::Aborted));
        transactions.forget_before(xid(1000));
        assert_eq!(transactions.status(xid(850)), None);
        assert!(!transactions.is_open(xid(950)) && transactions.is_open(xid(1000)));
    }

    #[test]
    fn the_same_blocks_again_and_again_take_no_more_room() {
        let mut transactions = Transactions::default();
        for round in 0..10_000 {
            transactions.wait(xid(9), RelFileLocator::new(1663, 5, 1), BlockNumber::new(round % 7));
        }
        assert!(transactions.pending[&xid(9)].len() < 64);
    }
}
