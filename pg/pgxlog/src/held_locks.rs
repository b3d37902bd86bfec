//! Which buffers this process has locked through this crate: PostgreSQL waits for ever if a process locks a buffer's
//! content twice, and does not lock those of temporary relations at all, so that a page could be read and changed at once.
//!
//! When a transaction or a subtransaction is aborted, PostgreSQL releases all content locks, also those that were taken
//! before it began. Each guard knows of which time its lock is; and where whoever holds a lock goes on behind the abort of a
//! subtransaction that he let others begin, he is stopped: he may be looking at the page.
//!
//! Source: `src/backend/access/transam/xact.c`: `AbortSubTransaction`.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::null_mut;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::submodules::panic::pgrx_extern_c_guard;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::catch::raise;

// Raises nothing.
unsafe extern "C-unwind" {
    fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
}

thread_local! {
    /// Few: redo of a record and a change hold a handful at most. A backend has one thread.
    /// With the subtransaction in which each was locked.
    static HELD: RefCell<Vec<(pg_sys::Buffer, pg_sys::SubTransactionId)>> = const { RefCell::new(Vec::new()) };
    static RELEASES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// How often PostgreSQL has released all locks of this process: what was locked before the last time is not any more.
pub(crate) fn releases() -> u64 {
    RELEASES.get()
}

/// Notes that PostgreSQL has released all locks.
pub(crate) fn note_release() {
    HELD.with_borrow_mut(Vec::clear);
    RELEASES.set(RELEASES.get().wrapping_add(1));
}

/// Whether any buffer is locked.
pub(crate) fn is_any_held() -> bool {
    HELD.with_borrow(|held| !held.is_empty())
}

/// Notes that `buffer` is about to be locked.
///
/// # Panics
/// With an ERROR if this process holds a lock on it.
pub(crate) fn note(buffer: pg_sys::Buffer) {
    watch();
    // SAFETY: looks at this process's state.
    let subtransaction = unsafe { GetCurrentSubTransactionId() };
    let is_new = HELD.with_borrow_mut(|held| {
        let is_new = held.iter().all(|(other, _)| *other != buffer);
        if is_new {
            held.push((buffer, subtransaction));
        }
        is_new
    });
    if !is_new {
        let code = PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
        raise(code, format!("buffer {buffer} is locked by this process already"), None);
    }
}

/// Notes that `buffer` is locked no more.
pub(crate) fn forget(buffer: pg_sys::Buffer) {
    HELD.with_borrow_mut(|held| {
        if let Some(place) = held.iter().rposition(|(other, _)| *other == buffer) {
            held.swap_remove(place);
        }
    });
}

/// Has PostgreSQL tell of transactions and subtransactions, from now on.
fn watch() {
    if !IS_WATCHING.get() {
        // SAFETY: the callbacks are part of a library that is never unloaded.
        unsafe {
            pg_sys::RegisterXactCallback(Some(on_transaction), null_mut());
            pg_sys::RegisterSubXactCallback(Some(on_subtransaction), null_mut());
        }
        IS_WATCHING.set(true);
    }
}

unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_PARALLEL_ABORT};
    if matches!(event, XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT) {
        note_release();
    }
}

unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    aborted: pg_sys::SubTransactionId,
    _: pg_sys::SubTransactionId,
    _: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // What was locked in the subtransaction is not used any more: it is left over from what failed.
        let is_older = HELD.with_borrow(|held| held.iter().any(|(_, subtransaction)| *subtransaction < aborted));
        note_release();
        if is_older {
            // SAFETY: no frame with destructors is between here and PostgreSQL.
            unsafe { pgrx_extern_c_guard(end_of_session) }
        }
    }
}

/// An ERROR would do if it could not be caught; and this is no place to raise one.
fn end_of_session() {
    let code = PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
    let message = "a subtransaction was aborted while a buffer was locked, which released the lock";
    ErrorReport::new(code, message, pgrx::function_name!())
        .set_hint("Unlock buffers before SQL is run that may handle an error.")
        .report(PgLogLevel::FATAL);
}
