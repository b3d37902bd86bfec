//! Whether the server is in recovery, where nobody but redo changes anything.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pgrx::PgSqlErrorCode;

use crate::catch::raise;

// Raises nothing: without pgrx's guard.
unsafe extern "C" {
    fn XLogInsertAllowed() -> bool;
}

/// Whether the server is not in recovery. Once it is not, a process stays so: PostgreSQL is asked until then.
#[inline]
pub(crate) fn is_insert_allowed() -> bool {
    static IS_ALLOWED: AtomicBool = AtomicBool::new(false);
    IS_ALLOWED.load(Relaxed) || {
        // SAFETY: looks at the server's state, and raises nothing.
        let is_allowed = unsafe { XLogInsertAllowed() };
        IS_ALLOWED.store(is_allowed, Relaxed);
        is_allowed
    }
}

/// Raises an ERROR with this message while the server is in recovery.
pub(crate) fn refuse_in_recovery(message: &str) {
    if !is_insert_allowed() {
        raise(PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION, message, None);
    }
}
