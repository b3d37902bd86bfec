//! Which buffers this process has locked through this crate: PostgreSQL waits for ever if a process locks a buffer's
//! content twice, and does not lock those of temporary relations at all, so that a page could be read and changed at once.

use std::cell::RefCell;

use pgrx::pg_sys;

use crate::catch::raise;

thread_local! {
    /// Few: redo of a record and a change hold a handful at most. A backend has one thread.
    static HELD: RefCell<Vec<pg_sys::Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Notes that `buffer` is about to be locked.
///
/// # Panics
/// With an ERROR if this process holds a lock on it.
pub(crate) fn note(buffer: pg_sys::Buffer) {
    let is_new = HELD.with_borrow_mut(|held| {
        let is_new = !held.contains(&buffer);
        if is_new {
            held.push(buffer);
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
        if let Some(place) = held.iter().rposition(|other| *other == buffer) {
            held.swap_remove(place);
        }
    });
}
