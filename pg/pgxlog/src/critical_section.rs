//! Critical sections: what may not fail half way.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::catch::catch_error;

/// Runs `body` in a critical section (`START_CRIT_SECTION`): an ERROR in it becomes a PANIC, by which all servers' processes
/// end and the log is replayed, and so does a Rust panic.
#[inline]
pub(crate) fn critical_section<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: a global variable of this process, which PostgreSQL's own macros change so.
    unsafe { pg_sys::CritSectionCount += 1 };
    match catch_error(body) {
        Ok(value) => {
            // SAFETY: as above. Not reached if the body was left otherwise: the section never ends then.
            unsafe { pg_sys::CritSectionCount -= 1 };
            value
        }
        Err(text) => end_of_server(text),
    }
}

/// Ends the process, and with it all of the server's, with a PANIC.
pub(crate) fn end_of_server(message: impl Into<String>) -> ! {
    // There alone memory may be allocated in a critical section.
    // SAFETY: the context is there from the beginning of a process.
    unsafe { pg_sys::MemoryContextSwitchTo(pg_sys::ErrorContext) };
    let code = PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
    ErrorReport::new(code, message.into(), pgrx::function_name!()).report(PgLogLevel::PANIC);
    std::process::abort()
}
