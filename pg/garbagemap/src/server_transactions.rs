//! What the server knows of transactions.
//!
//! Sources: `src/backend/utils/adt/xid8funcs.c`: `pg_xact_status`, `src/backend/access/transam/multixact.c`.

use garbagemap::{Known, TransactionLog, TransactionStatus};
use pgrx::pg_sys;
use pgwal::{MultiXactId, TransactionId};
use pgxlog::{catch_error, recover, server_log};

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
                // A commit that is not flushed may be lost yet.
                "committed" if !commit_is_durable(xid) => Some(Known::Open),
                "committed" => Some(Known::Ended(TransactionStatus::Committed)),
                _ => None,
            }
        })
    }

    fn updater(&self, id: MultiXactId) -> Option<Option<TransactionId>> {
        caught(|| {
            let mut members: *mut pg_sys::MultiXactMember = std::ptr::null_mut();
            // SAFETY: gives an array of so many members in the current memory context, or -1. What it notes of the oldest
            // set that is looked at would else stay until the end of a transaction, and there is none here.
            let members = unsafe {
                let id = pg_sys::MultiXactId::from(id.get());
                let count = pg_sys::GetMultiXactIdMembers(id, &mut members, false, false);
                pg_sys::AtEOXact_MultiXact();
                let count = usize::try_from(count).ok().filter(|count| *count > 0 && !members.is_null())?;
                std::slice::from_raw_parts(members, count)
            };
            let updater = members.iter().find(|member| member.status >= FIRST_UPDATER);
            Some(updater.map(|member| pgxlog::transaction_id(member.xid)))
        })
    }
}

/// With an ERROR nothing is known.
fn caught<T>(call: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_error(call).inspect_err(|_| recover()).ok().flatten()
}

/// Whether no crash can take the commit back any more.
fn commit_is_durable(xid: TransactionId) -> bool {
    // SAFETY: locks what it reads.
    let commit = unsafe { pg_sys::TransactionIdGetCommitLSN(pg_sys::TransactionId::from(xid.get())) };
    commit <= server_log::durable().0.get()
}

/// With its epoch: the newest such transaction that is not in the future.
fn full(xid: TransactionId) -> u64 {
    // SAFETY: locks what it reads.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    let same_epoch = (next >> 32 << 32) | u64::from(xid.get());
    if same_epoch < next { same_epoch } else { same_epoch.saturating_sub(1 << 32) }
}
