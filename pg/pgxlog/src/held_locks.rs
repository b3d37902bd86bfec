//! Which buffers this process has locked through this crate: PostgreSQL waits for ever if a process locks a buffer's
//! content twice, and does not lock those of temporary relations at all, so that a page could be read and changed at once.
//!
//! When a transaction or a subtransaction is aborted, PostgreSQL releases all content locks, also those that were taken
//! before it began. Each guard knows of which time its lock is; and where whoever holds a lock goes on behind the abort of a
//! subtransaction that he let others begin, he is stopped: he may be looking at the page.
//!
//! Source: `src/backend/access/transam/xact.c`: `AbortSubTransaction`.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::submodules::panic::pgrx_extern_c_guard;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use crate::catch::raise;

/// How many buffers can be locked at once: as many locks as PostgreSQL lets a process have (`MAX_SIMUL_LWLOCKS` in
/// `src/backend/storage/lmgr/lwlock.c`).
const MOST: usize = 200;

/// A locked buffer.
struct Held {
    buffer: AtomicI32,
    /// In which subtransaction it was locked, once another has begun in that; zero, which none has, before.
    subtransaction: AtomicU32,
}

/// The locks of this process.
struct Locks {
    /// The first `count` are the locked buffers, in no order.
    held: [Held; MOST],
    count: AtomicUsize,
    /// See [`releases`].
    releases: AtomicU64,
}

// A process has one thread that comes here; a `thread_local!` of a shared library would take a call for each access.
static LOCKS: Locks = Locks {
    held: [const { Held { buffer: AtomicI32::new(0), subtransaction: AtomicU32::new(0) } }; MOST],
    count: AtomicUsize::new(0),
    // Zero is what no lock has.
    releases: AtomicU64::new(1),
};

fn held() -> &'static [Held] {
    LOCKS.held.get(..count()).unwrap_or_default()
}

/// How many buffers are locked.
#[inline]
fn count() -> usize {
    LOCKS.count.load(Relaxed)
}

/// How often PostgreSQL has released all locks of this process, and one: what was locked before the last time is not any more.
#[inline]
pub(crate) fn releases() -> u64 {
    LOCKS.releases.load(Relaxed)
}

/// Notes that PostgreSQL has released all locks.
pub(crate) fn note_release() {
    LOCKS.count.store(0, Relaxed);
    LOCKS.releases.store(releases().wrapping_add(1), Relaxed);
}

/// Whether any buffer is locked.
pub(crate) fn is_any_held() -> bool {
    count() > 0
}

/// Notes that `buffer` is about to be locked, after [`watch`]. Returns how many are locked then.
///
/// # Panics
/// With an ERROR if this process holds a lock on it, or too many others.
#[inline]
pub(crate) fn note(buffer: pg_sys::Buffer) -> usize {
    let count = count();
    let (Some(free), Some(held)) = (LOCKS.held.get(count), LOCKS.held.get(..count)) else { refuse(buffer, false) };
    if held.iter().any(|held| held.buffer.load(Relaxed) == buffer) {
        refuse(buffer, true);
    }
    free.buffer.store(buffer, Relaxed);
    free.subtransaction.store(0, Relaxed);
    LOCKS.count.store(count + 1, Relaxed);
    count + 1
}

/// Notes that `buffer` was locked to replay a record. There are no transactions then that could release it, and PostgreSQL would
/// have waited for ever if it had been locked already.
///
/// # Panics
/// With an ERROR if this process holds too many locks.
#[inline]
pub(crate) fn note_in_redo(buffer: pg_sys::Buffer) {
    let count = count();
    let Some(free) = LOCKS.held.get(count) else { refuse(buffer, false) };
    free.buffer.store(buffer, Relaxed);
    LOCKS.count.store(count + 1, Relaxed);
}

#[cold]
fn refuse(buffer: pg_sys::Buffer, is_room: bool) -> ! {
    let message = if is_room {
        format!("buffer {buffer} is locked by this process already")
    } else {
        format!("more than {MOST} buffers are locked by this process")
    };
    raise(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message, None);
}

/// Notes that `buffer` is locked no more.
#[inline]
pub(crate) fn forget(buffer: pg_sys::Buffer) {
    let last = count().wrapping_sub(1);
    if let Some(held) = LOCKS.held.get(last)
        && (held.buffer.load(Relaxed) == buffer || replace(buffer, held))
    {
        LOCKS.count.store(last, Relaxed);
    }
}

/// Puts the last locked buffer where `buffer` is; returns whether there is one.
fn replace(buffer: pg_sys::Buffer, last: &Held) -> bool {
    let place = held().iter().find(|other| other.buffer.load(Relaxed) == buffer);
    if let Some(place) = place {
        place.buffer.store(last.buffer.load(Relaxed), Relaxed);
        place.subtransaction.store(last.subtransaction.load(Relaxed), Relaxed);
    }
    place.is_some()
}

/// Has PostgreSQL tell of transactions and subtransactions, from now on: before the first buffer is locked.
#[inline]
pub(crate) fn watch() {
    static IS_WATCHING: AtomicBool = AtomicBool::new(false);
    if IS_WATCHING.load(Relaxed) {
        return;
    }
    // SAFETY: the callbacks are part of a library that is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction), null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), null_mut());
    }
    IS_WATCHING.store(true, Relaxed);
}

unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    use pg_sys::XactEvent::{
        XACT_EVENT_ABORT, XACT_EVENT_PARALLEL_ABORT, XACT_EVENT_PARALLEL_PRE_COMMIT, XACT_EVENT_PRE_COMMIT,
        XACT_EVENT_PRE_PREPARE,
    };
    match event {
        XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => note_release(),
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PARALLEL_PRE_COMMIT | XACT_EVENT_PRE_PREPARE if is_any_held() => {
            // By `mem::forget`: a commit would release the pin and leave the lock for ever.
            // SAFETY: no frame with destructors is between here and PostgreSQL.
            unsafe { pgrx_extern_c_guard(refuse_to_commit) }
        }
        _ => {}
    }
}

unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    subtransaction: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _: *mut c_void,
) {
    use pg_sys::SubXactEvent::{SUBXACT_EVENT_ABORT_SUB, SUBXACT_EVENT_START_SUB};
    match event {
        SUBXACT_EVENT_START_SUB => {
            for held in held().iter().filter(|held| held.subtransaction.load(Relaxed) == 0) {
                held.subtransaction.store(parent, Relaxed);
            }
        }
        SUBXACT_EVENT_ABORT_SUB => {
            // What was locked in the subtransaction is not used any more: it is left over from what failed.
            let is_older = held().iter().any(|held| (1..subtransaction).contains(&held.subtransaction.load(Relaxed)));
            note_release();
            if is_older {
                // SAFETY: no frame with destructors is between here and PostgreSQL.
                unsafe { pgrx_extern_c_guard(end_of_session) }
            }
        }
        _ => {}
    }
}

fn refuse_to_commit() {
    raise(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "a buffer is still locked at the end of the transaction", None);
}

/// An ERROR would do if it could not be caught; and this is no place to raise one.
fn end_of_session() {
    let code = PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
    let message = "a subtransaction was aborted while a buffer was locked, which released the lock";
    ErrorReport::new(code, message, pgrx::function_name!())
        .set_hint("Unlock buffers before SQL is run that may handle an error.")
        .report(PgLogLevel::FATAL);
}
