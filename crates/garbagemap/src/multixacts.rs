//! Sets of transactions, as far as one of their members updates.

use pgwal::rmgr::multixact::Create;
use pgwal::{MultiXactId, TransactionId};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// The updating member, if any, of each set that came into being since the walk began or that the server was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct MultiXacts {
    updaters: FxHashMap<MultiXactId, Option<TransactionId>>,
}

impl MultiXacts {
    /// Nobody asks for a set of which all only lock: tuples say so themselves (`src/backend/access/heap/heapam.c`:
    /// `GetMultiXactIdHintBits`).
    pub(crate) fn create(&mut self, create: &Create) {
        if let Some(member) = create.members.iter().find(|member| member.is_updater()) {
            self.updaters.insert(create.id, Some(member.xid));
        }
    }

    /// The member that updates or deletes: `None` if the set is not known, `Some(None)` if all only lock.
    pub(crate) fn updater(&self, id: MultiXactId) -> Option<Option<TransactionId>> {
        self.updaters.get(&id).copied()
    }

    /// The server knows the set.
    pub(crate) fn learn(&mut self, id: MultiXactId, updater: Option<TransactionId>) {
        self.updaters.insert(id, updater);
    }

    /// Forgets all: there is somebody who can be asked.
    pub(crate) fn forget(&mut self) {
        self.updaters = FxHashMap::default();
    }

    /// Bytes of memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.updaters.capacity() * size_of::<(MultiXactId, Option<TransactionId>)>()
    }

    /// No tuple refers to sets before `oldest` any more.
    pub(crate) fn forget_before(&mut self, oldest: MultiXactId) {
        // MultiXactIdPrecedes: the numbers wrap around.
        self.updaters.retain(|id, _| id.get().wrapping_sub(oldest.get()).cast_signed() >= 0);
    }
}
