//! PostgreSQL's ERRORs as values.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::{PgSqlErrorCode, PgTryBuilder};

use crate::held_locks;

// pgrx has no binding of `src/include/utils/timeout.h` and `src/include/storage/aio_subsys.h`.
unsafe extern "C-unwind" {
    fn disable_all_timeouts(keep_indicators: bool);
    #[cfg(feature = "pg18")]
    fn pgaio_error_cleanup();
}

/// Runs `call`; a PostgreSQL ERROR or a Rust panic in it becomes its text.
///
/// A FATAL or PANIC still ends the process, and outside of a transaction nothing is released: see [`recover`].
///
/// # Errors
/// The error's message with its detail, or what the panic says.
#[inline]
pub fn catch_error<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // pgrx's builder takes as long as a record of the log may, so only when something was raised.
    catch_unwind(AssertUnwindSafe(call)).map_err(raised_error)
}

/// The text of what was raised: an ERROR, which PostgreSQL still has and forgets now, or a panic.
#[cold]
#[inline(never)]
fn raised_error(raised: Box<dyn Any + Send>) -> String {
    PgTryBuilder::new(AssertUnwindSafe(|| -> String { resume_unwind(raised) }))
        .catch_others(|error| text(&error))
        .catch_rust_panic(|error| text(&error))
        .execute()
}

/// As [`catch_error`]; after an ERROR or panic, releases what it left behind.
///
/// # Errors
/// As [`catch_error`].
///
/// # Safety
/// As [`recover`].
pub unsafe fn catch_and_recover<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // SAFETY: promised by the caller.
    catch_error(call).inspect_err(|_| unsafe { recover() })
}

/// Runs `call`; a Rust panic in it becomes its text, an ERROR passes.
///
/// # Errors
/// What the panic says.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).or_else(|raised| {
        PgTryBuilder::new(AssertUnwindSafe(|| -> Result<T, String> { resume_unwind(raised) }))
            .catch_rust_panic(|error| Err(text(&error)))
            .execute()
    })
}

/// As [`catch_error`], for a call that does not call PostgreSQL and that may be made while an error is being reported: pgrx's
/// builder would make PostgreSQL forget that one.
///
/// # Errors
/// What the panic says.
pub(crate) fn catch_plain_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let report = payload.downcast_ref::<ErrorReportWithLevel>().map(ErrorReportWithLevel::message);
        let caught = payload.downcast_ref::<CaughtError>().map(text);
        match (message, report.map(str::to_owned).or(caught)) {
            (Some(message), _) => format!("panicked: {message}"),
            (None, Some(error)) => error,
            (None, None) => "panicked".to_owned(),
        }
    })
}

fn text(error: &CaughtError) -> String {
    let (report, panicked) = match error {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => (report, false),
        CaughtError::RustPanic { ereport, .. } => (ereport, true),
    };
    let mut text = if panicked { "panicked: ".to_owned() } else { String::new() };
    text.push_str(report.message());
    if let Some(detail) = report.detail() {
        text.push_str(" (");
        text.push_str(detail);
        text.push(')');
    }
    text
}

/// Raises a PostgreSQL ERROR with this code and message, and a hint if one can help.
///
/// # Panics
/// Always: that is how pgrx carries an ERROR up to the next border with C.
pub fn raise(code: PgSqlErrorCode, message: impl Into<String>, hint: Option<&str>) -> ! {
    let mut report = ErrorReport::new(code, message.into(), pgrx::function_name!());
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(pgrx::PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Releases what an ERROR left behind in a background worker that goes on after it, as the worker's own error handler
/// would: locks, pins, waits, files and a transaction, if one is open.
///
/// Sources: the handlers of `sigsetjmp` in `src/backend/postmaster/autovacuum.c` (the launcher, which may have a
/// transaction), `src/backend/postmaster/walsummarizer.c` and `src/backend/tcop/postgres.c`.
///
/// # Safety
/// Called at the outermost level of a background worker, whose own transaction is the one that may be open: nothing that
/// belongs to a transaction (a relation, a buffer, memory of its contexts) is used after it.
pub unsafe fn recover() {
    // SAFETY: each of these is what PostgreSQL's own processes call at their outermost level after an ERROR, and does
    // nothing if nothing of its kind is left; interrupts are held meanwhile, as there. Nothing of the caller's is
    // locked or pinned across this call.
    unsafe {
        pg_sys::InterruptHoldoffCount += 1;
        disable_all_timeouts(false);
        pg_sys::QueryCancelPending = 0;
        pg_sys::LWLockReleaseAll();
        held_locks::note_release();
        pg_sys::ConditionVariableCancelSleep();
        *pg_sys::my_wait_event_info = 0;
        #[cfg(feature = "pg18")]
        pgaio_error_cleanup();
        pg_sys::UnlockBuffers();
        if !pg_sys::MyReplicationSlot.is_null() {
            pg_sys::ReplicationSlotRelease();
        }
        pg_sys::AbortOutOfAnyTransaction();
        if !pg_sys::AuxProcessResourceOwner.is_null() {
            pg_sys::ReleaseAuxProcessResources(false);
        }
        pg_sys::AtEOXact_Files(false);
        pg_sys::AtEOXact_HashTables(false);
        pg_sys::InterruptHoldoffCount -= 1;
    }
}
