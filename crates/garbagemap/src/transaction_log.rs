//! All that can be known of transactions: from the log that was read, or else from the server.

use std::fmt;

use pgwal::{MultiXactId, TransactionId};

use crate::map::TransactionStatus;
use crate::multixacts::MultiXacts;
use crate::transactions::Transactions;

/// What the server itself knows of transactions, in `pg_xact` and `pg_multixact`. It is asked for those that are older than the
/// part of the log that is read.
pub trait TransactionLog: fmt::Debug {
    /// How the transaction ended, or that it is open; `None` if that is not known any more. What a crash may still take back
    /// is open: its end will come in the log.
    fn status(&self, xid: TransactionId) -> Option<Known>;

    /// The member that updates or deletes, if any; `None` if the members are not known.
    fn updater(&self, id: MultiXactId) -> Option<Option<TransactionId>>;

    /// What was deleted by transactions before this one may be removed from all tables; `None` if that is not known.
    fn removable_before(&self) -> Option<TransactionId> {
        None
    }
}

/// How a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is running or prepared.
    Open,
    /// It has ended.
    Ended(TransactionStatus),
}

/// Both sources of knowledge. What the server says is remembered.
pub(crate) struct Knowledge<'a> {
    pub(crate) transactions: &'a mut Transactions,
    pub(crate) multixacts: &'a mut MultiXacts,
    pub(crate) server: Option<&'a dyn TransactionLog>,
}

impl Knowledge<'_> {
    /// How the transaction ended; `None` if it is open or that is not known.
    pub(crate) fn status(&mut self, xid: TransactionId) -> Option<TransactionStatus> {
        let told = self.transactions.status(xid);
        if told.is_some() || self.transactions.is_open(xid) {
            return told;
        }
        let known = self.server?.status(xid)?;
        self.transactions.learn(xid, known);
        match known {
            Known::Open => None,
            Known::Ended(status) => Some(status),
        }
    }

    /// The member of the set that updates or deletes, if any; `None` if the set is not known.
    pub(crate) fn updater(&mut self, id: MultiXactId) -> Option<Option<TransactionId>> {
        if let Some(updater) = self.multixacts.updater(id) {
            return Some(updater);
        }
        let updater = self.server?.updater(id)?;
        self.multixacts.learn(id, updater);
        Some(updater)
    }
}
