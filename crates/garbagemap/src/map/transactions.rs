//! Ends of transactions, told or implied, and checkpoints. Sources: `src/backend/access/transam/xact.c`,
//! `src/backend/access/transam/xlog.c`, `src/backend/storage/ipc/standby.c`.

use pgwal::rmgr::standby::Standby;
use pgwal::rmgr::xact::Xact;
use pgwal::rmgr::xlog::{Checkpoint, Xlog};
use pgwal::{Lsn, Record, RecordError, TransactionId};

use super::{GarbageMap, TransactionStatus};
use crate::block_range::Block;
use crate::inexact::Inexact;
use crate::transaction_log::Known;

impl GarbageMap {
    pub(super) fn apply_xact(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let (end, committed) = match Xact::parse(record)? {
            Xact::Commit(end) => (end, true),
            Xact::Abort(end) => (end, false),
            Xact::Prepare(prepare) => {
                self.transactions.prepare(prepare.xid);
                prepare.subtransactions.iter().for_each(|xid| self.transactions.prepare(*xid));
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.time = Some(end.time.get());
        for xid in end.subtransactions.iter().copied().chain(end.xid.is_valid().then_some(end.xid)) {
            self.end_transaction(xid, committed);
        }
        for locator in &end.relations {
            self.relations.remove(locator);
        }
        Ok(())
    }

    pub(super) fn end_transaction(&mut self, xid: TransactionId, committed: bool) {
        for (locator, number) in self.transactions.end(xid, committed) {
            let Some(relation) = self.relations.get_mut(&locator) else { continue };
            relation.forget_unknown(xid);
            if let Some(Block::Tracked(page)) = relation.block(number) {
                let died = page.finish(xid, committed);
                let deleter = committed.then_some(xid);
                relation.activity.died(died, deleter, self.time.unwrap_or(0), self.removable_before);
            }
        }
    }

    pub(super) fn apply_standby(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        if let Standby::RunningXacts(running) = Standby::parse(record)? {
            self.running_told = record.lsn;
            self.removable_before = self.server.as_ref().and_then(|server| server.removable_before());
            for xid in self.transactions.running(running.oldest_running_xid, running.next_xid) {
                match self.server.as_ref().and_then(|server| server.status(xid)) {
                    Some(Known::Ended(status)) => self.end_transaction(xid, status == TransactionStatus::Committed),
                    // Its end is still to come.
                    Some(Known::Open) => {}
                    None => self.give_up_transaction(xid),
                }
            }
        }
        Ok(())
    }

    /// The transaction ended before the walk began: whether it committed is not in the log.
    pub(super) fn give_up_transaction(&mut self, xid: TransactionId) {
        for (locator, number) in self.transactions.give_up(xid) {
            let Some(relation) = self.relations.get_mut(&locator) else { continue };
            relation.forget_unknown(xid);
            // A later image may have told meanwhile.
            if let Some(Block::Tracked(page)) = relation.block(number)
                && page.forget(xid)
            {
                relation.note(Inexact::UnknownTransaction(xid));
            }
        }
    }

    pub(super) fn apply_xlog(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        match Xlog::parse(record)? {
            Xlog::Image | Xlog::ImageForHint => self.take_page_images(record),
            Xlog::CheckpointShutdown(checkpoint) => {
                self.end_lost_transactions(checkpoint.next_xid());
                self.checkpoint(&checkpoint);
            }
            Xlog::CheckpointOnline(checkpoint) => {
                // With another wal_level the checkpoint would have told the running transactions on its way.
                let whole = self.first.is_some_and(|first| first <= checkpoint.redo);
                if whole && self.running_told < checkpoint.redo {
                    self.set_wal_level_minimal(true);
                }
                self.checkpoint(&checkpoint);
            }
            Xlog::EndOfRecovery(_) => self.end_of_recovery(),
            Xlog::FullPageWrites(on) => {
                self.full_page_writes = on;
                self.incomplete_before = if on { record.end } else { Lsn::MAX };
                self.full_page_writes_changed = record.lsn;
            }
            Xlog::ParameterChange(change) if change.wal_level == 0 => self.set_wal_level_minimal(true),
            // Now nothing is left out any more; what was left out is in the files.
            Xlog::ParameterChange(_) if self.everywhere == Some(Inexact::WalLevelMinimal) => self.begin_anew(record),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        // The checkpoint tells what was set when it began; it may have changed since.
        if self.full_page_writes_changed < checkpoint.redo {
            self.full_page_writes = checkpoint.full_page_writes;
        }
        if checkpoint.wal_level == Some(0) {
            self.set_wal_level_minimal(true);
        }
        self.transactions.forget_before(checkpoint.oldest_xid);
        self.multixacts.forget_before(checkpoint.oldest_multi);
        self.relations.values_mut().for_each(|relation| relation.activity.forget_before(checkpoint.oldest_xid));
        if !self.full_page_writes {
            self.incomplete_before = Lsn::MAX;
        } else if self.incomplete_before == Lsn::MAX {
            // A server that starts with another value than it stopped with writes no record of that
            // (src/backend/access/transam/xlog.c: UpdateFullPageWrites); pg_upgrade runs the new server without.
            self.incomplete_before = checkpoint.redo;
        }
        if self.first.is_some_and(|first| first <= checkpoint.redo) {
            self.flushed = checkpoint.redo;
        }
        if self.full_page_writes {
            self.relations.values_mut().for_each(|relation| relation.settle(checkpoint.redo));
        }
        if self.can_use_files() {
            let flushed = self.flushed;
            self.relations.values_mut().for_each(|relation| relation.read_lost_again(flushed));
        }
        self.save_memory();
    }

    /// All transactions before `next` that did not end and were not prepared are lost.
    pub(super) fn end_lost_transactions(&mut self, next: TransactionId) {
        for xid in self.transactions.restart(next) {
            self.end_transaction(xid, false);
        }
        // Those from before the walk are lost as well, or were prepared: only the server knows.
        for xid in self.transactions.take_open_before() {
            match self.server.as_ref().and_then(|server| server.status(xid)) {
                Some(Known::Ended(status)) => self.end_transaction(xid, status == TransactionStatus::Committed),
                Some(Known::Open) => self.transactions.learn(xid, Known::Open),
                None => self.give_up_transaction(xid),
            }
        }
    }

    /// Recovery ended without a checkpoint. Which transaction comes next is not told: all that blocks wait for count.
    pub(super) fn end_of_recovery(&mut self) {
        // The checkpoints before were those of another server.
        self.flushed = Lsn::INVALID;
        if let Some(newest) = self.transactions.newest_open() {
            let next = newest.get().wrapping_add(1).max(TransactionId::FIRST_NORMAL.get());
            self.end_lost_transactions(TransactionId::new(next));
        }
    }
}
