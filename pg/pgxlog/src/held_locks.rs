//! Which buffers this process has locked through this crate: PostgreSQL waits for ever if a process locks a buffer's
//! content twice, and does not lock those of temporary relations at all, so that a page could be read and changed at once.
//!
//! When a transaction or a subtransaction is aborted, PostgreSQL releases all content locks, also those that were taken
//! before it began. So no subtransaction begins while this process holds one, and each guard knows of which time its lock is.
//!
//! Source: `src/backend/access/transam/xact.c`: `AbortSubTransaction`, `StartSubTransaction`.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::null_mut;

use pgrx::pg_sys;
use pgrx::pg_sys::submodules::panic::pgrx_extern_c_guard;

use crate::catch::raise;

thread_local! {
    /// Few: redo of a record and a change hold a handful at most. A backend has one thread.
    /// With the resource owner for which each was locked.
    static HELD: RefCell<Vec<(pg_sys::Buffer, pg_sys::ResourceOwner)>> = const { RefCell::new(Vec::new()) };
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
    // SAFETY: a global variable of this process.
    let owner = unsafe { pg_sys::CurrentResourceOwner };
    let is_new = HELD.with_borrow_mut(|held| {
        let is_new = held.iter().all(|(other, _)| *other != buffer);
        if is_new {
            held.push((buffer, owner));
        }
        is_new
    });
    if !is_new {
        let code = pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
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
    _: pg_sys::SubTransactionId,
    _: pg_sys::SubTransactionId,
    _: *mut c_void,
) {
    use pg_sys::SubXactEvent::{SUBXACT_EVENT_ABORT_SUB, SUBXACT_EVENT_START_SUB};
    let owner = HELD.with_borrow(|held| held.last().map(|(_, owner)| *owner));
    match (event, owner) {
        (SUBXACT_EVENT_ABORT_SUB, _) => note_release(),
        (SUBXACT_EVENT_START_SUB, Some(owner)) => {
            // Who began the subtransaction sets it back only when that is there: until the abort, what is dropped while the
            // ERROR passes is looked for under it.
            // SAFETY: the lock's owner is there as long as the lock is.
            unsafe { pg_sys::CurrentResourceOwner = owner };
            let refuse = || {
                let code = pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
                let hint = "Unlock it before SQL is run: aborting the subtransaction would release the lock.";
                raise(code, "cannot begin a subtransaction while a buffer is locked", Some(hint))
            };
            // SAFETY: the ERROR reaches PostgreSQL as its own, and it aborts the subtransaction that has just begun.
            unsafe { pgrx_extern_c_guard(refuse) }
        }
        _ => {}
    }
}
