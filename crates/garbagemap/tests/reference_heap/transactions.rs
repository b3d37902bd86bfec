//! The transactions of the reference: who belongs to whom, and how they ended.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use garbagemap::{Known, TransactionLog, TransactionStatus};
use pgwal::{MultiXactId, TransactionId};

/// How a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Committed,
    Aborted,
}

/// A transaction, or a subtransaction.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) status: Status,
    pub(crate) parent: Option<u32>,
    pub(crate) prepared: bool,
    /// Subtransactions that were released into it.
    pub(crate) children: Vec<u32>,
    /// Relations to be removed when it commits.
    pub(crate) dropped: Vec<u32>,
    /// Relations to be removed when it aborts.
    pub(crate) created: Vec<u32>,
}

/// All transactions, by number. Numbers wrap around, so that their order is not that of time.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) all: BTreeMap<u32, Transaction>,
    pub(crate) next: u32,
    /// The next set of transactions.
    pub(crate) next_set: u32,
    pub(crate) server: Rc<ServerLog>,
}

/// Whether `one` is older than `other` (`TransactionIdPrecedes`).
pub(crate) fn precedes(one: u32, other: u32) -> bool {
    TransactionId::new(one).precedes(TransactionId::new(other))
}

/// The transaction after this one (`FullTransactionIdAdvance`).
pub(crate) fn after(xid: u32) -> u32 {
    xid.wrapping_add(1).max(3)
}

impl Transactions {
    pub(crate) fn new(first: u32) -> Self {
        Self { all: BTreeMap::new(), next: first, next_set: 1, server: Rc::default() }
    }

    pub(crate) fn begin(&mut self, parent: Option<u32>) -> u32 {
        let xid = self.next;
        self.next = after(xid);
        self.all.insert(
            xid,
            Transaction {
                status: Status::Open,
                parent,
                prepared: false,
                children: Vec::new(),
                dropped: Vec::new(),
                created: Vec::new(),
            },
        );
        self.server.transactions.borrow_mut().insert(xid, Known::Open);
        xid
    }

    pub(crate) fn get(&mut self, xid: u32) -> &mut Transaction {
        self.all.get_mut(&xid).unwrap()
    }

    pub(crate) fn status(&self, xid: u32) -> Status {
        self.all[&xid].status
    }

    pub(crate) fn is_open(&self, xid: u32) -> bool {
        self.status(xid) == Status::Open
    }

    /// The top transaction that it belongs to.
    pub(crate) fn top(&self, xid: u32) -> u32 {
        self.all[&xid].parent.map_or(xid, |parent| self.top(parent))
    }

    /// The transaction, which is not to be counted with any more, ended.
    pub(crate) fn end(&mut self, xid: u32, status: Status) {
        self.get(xid).status = status;
        let ended = if status == Status::Committed { TransactionStatus::Committed } else { TransactionStatus::Aborted };
        self.server.transactions.borrow_mut().insert(xid, Known::Ended(ended));
    }

    /// It and all that were released into it.
    pub(crate) fn family(&self, xid: u32) -> Vec<u32> {
        let children = self.all[&xid].children.iter();
        std::iter::once(xid).chain(children.flat_map(|child| self.family(*child))).collect()
    }

    pub(crate) fn open(&self) -> Vec<u32> {
        self.all.keys().copied().filter(|xid| self.is_open(*xid)).collect()
    }

    /// All before this one have ended.
    pub(crate) fn oldest_open(&self) -> u32 {
        self.open().into_iter().fold(self.next, |oldest, xid| if precedes(xid, oldest) { xid } else { oldest })
    }
}

/// What a server could be asked for: `pg_xact` and `pg_multixact`.
#[derive(Debug, Default)]
pub(crate) struct ServerLog {
    transactions: RefCell<HashMap<u32, Known>>,
    pub(crate) updaters: RefCell<HashMap<u32, Option<u32>>>,
}

impl TransactionLog for ServerLog {
    fn status(&self, xid: TransactionId) -> Option<Known> {
        self.transactions.borrow().get(&xid.get()).copied()
    }

    fn updater(&self, id: MultiXactId) -> Option<Option<TransactionId>> {
        self.updaters.borrow().get(&id.get()).map(|updater| updater.map(TransactionId::new))
    }
}
