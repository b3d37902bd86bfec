//! Sleeping, as a process of the server must: so that others can wake it.

use std::ffi::c_int;
use std::time::Duration;

use pgrx::pg_sys;

use crate::wait_event::WaitEvent;

/// Sleeps until somebody sets this process's latch, at most so long; ends the process if the postmaster is gone.
/// `wait_event` is what `pg_stat_activity` shows meanwhile.
///
/// Source: `src/backend/storage/ipc/latch.c`: `WaitLatch`.
pub fn sleep_on_latch(longest: Duration, wait_event: WaitEvent) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = i64::try_from(longest.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
    // SAFETY: the process's own latch, which signals and other processes set.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as c_int, milliseconds, wait_event.number());
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}
