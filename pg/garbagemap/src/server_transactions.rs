//! What the server knows of transactions.
//!
//! Sources: `src/backend/utils/adt/xid8funcs.c`: `pg_xact_status`, `src/backend/access/transam/multixact.c`,
//! `src/backend/storage/ipc/procarray.c`.

use garbagemap::{Known, TransactionLog, TransactionStatus};
use pgrx::pg_sys;
use pgwal::{MultiXactId, TransactionId};
use pgxlog::catch_and_recover;

/// From this status on a member of a set updates or deletes (`MultiXactStatusNoKeyUpdate`).
const FIRST_UPDATER: pg_sys::MultiXactStatus::Type = pg_sys::MultiXactStatus::MultiXactStatusNoKeyUpdate;

/// `pg_xact` and `pg_multixact` of the server that this runs in.
#[derive(Debug)]
pub(crate) struct ServerTransactions;

impl TransactionLog for ServerTransactions {
    fn status(&self, xid: TransactionId) -> Option<Known> {
        caught(|| {
            // SAFETY: the function takes one xid8 and locks what it reads; it gives NULL for what is too old, and an
            // ERROR for what is in the future.
            let text = unsafe {
                let argument = Some(pg_sys::Datum::from(full(xid)));
                pgrx::direct_function_call::<String>(pg_sys::pg_xact_status, &[argument])
            };
            match text?.as_str() {
                "in progress" => Some(Known::Open),
                "aborted" => Some(Known::Ended(TransactionStatus::Aborted)),
                "committed" => {
                    make_durable(xid);
                    Some(Known::Ended(TransactionStatus::Committed))
                }
                _ => None,
            }
        })
    }

    fn updater(&self, id: MultiXactId) -> Option<Option<TransactionId>> {
        caught(|| {
            let mut members: *mut pg_sys::MultiXactMember = std::ptr::null_mut();
            // SAFETY: gives an array of so many members in the transaction's memory, or -1. The transaction ends what the
            // function notes and keeps: the oldest set that is looked at, which vacuum heeds, and a cache.
            unsafe {
                pg_sys::StartTransactionCommand();
                let id = pg_sys::MultiXactId::from(id.get());
                let count = pg_sys::GetMultiXactIdMembers(id, &mut members, false, false);
                let updater =
                    usize::try_from(count).ok().filter(|count| *count > 0 && !members.is_null()).map(|count| {
                        let members = std::slice::from_raw_parts(members, count);
                        let updater = members.iter().find(|member| member.status >= FIRST_UPDATER);
                        updater.map(|member| pgxlog::transaction_id(member.xid))
                    });
                pg_sys::CommitTransactionCommand();
                updater
            }
        })
    }

    fn removable_before(&self) -> Option<TransactionId> {
        caught(|| {
            // SAFETY: looks at the server's transactions and locks what it reads; without a relation it is the oldest horizon
            // of all. On a standby it says nothing, since others remove there.
            unsafe {
                (!pg_sys::RecoveryInProgress()).then(|| {
                    let oldest = pg_sys::GetOldestNonRemovableTransactionId(std::ptr::null_mut());
                    pgxlog::transaction_id(oldest)
                })
            }
        })
    }
}

/// With an ERROR nothing is known. The memory context stays the same.
fn caught<T>(call: impl FnOnce() -> Option<T>) -> Option<T> {
    // SAFETY: the context is that of a callback, which outlives this. The map is asked by the worker alone, outside of
    // transactions.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let known = catch_and_recover(call).ok().flatten();
        pg_sys::MemoryContextSwitchTo(context);
        known
    }
}

/// Has the commit flushed, so that no crash can take back what was learned of it. On a standby it was replayed.
fn make_durable(xid: TransactionId) {
    // SAFETY: both lock what they need; nothing is flushed that is already.
    unsafe {
        if !pg_sys::RecoveryInProgress() {
            pg_sys::XLogFlush(pg_sys::TransactionIdGetCommitLSN(pg_sys::TransactionId::from(xid.get())));
        }
    }
}

/// With its epoch: the newest such transaction that is not in the future.
fn full(xid: TransactionId) -> u64 {
    // SAFETY: locks what it reads.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    let same_epoch = (next >> 32 << 32) | u64::from(xid.get());
    if same_epoch < next { same_epoch } else { same_epoch.saturating_sub(1 << 32) }
}
