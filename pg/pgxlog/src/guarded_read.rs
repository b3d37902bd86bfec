//! Reading a buffer, which each change of a page does: pgrx's guard, which is around all of its functions, would take a
//! twentieth of what a record takes.
//!
//! Source: `src/backend/storage/buffer/bufmgr.c`: `ReadBufferExtended`; `src/include/utils/elog.h`: `PG_TRY`.

use std::ffi::c_int;

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

// `guarded_read.c`: no ERROR leaves it.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn pgxlog_read_buffer(
        relation: pg_sys::Relation,
        fork: c_int,
        block: pg_sys::BlockNumber,
        strategy: pg_sys::BufferAccessStrategy,
    ) -> pg_sys::Buffer;
}

// pgrx has no binding of it. It goes to the handler, or ends the process if there is none.
unsafe extern "C-unwind" {
    fn pg_re_throw() -> !;
}

/// `ReadBufferExtended` in its usual mode. Its ERROR becomes a panic, as that of any function of pgrx.
///
/// # Safety
/// The relation is open and the strategy alive or null; the fork is one of PostgreSQL's, and the block number valid.
#[inline]
pub(crate) unsafe fn read_buffer(
    relation: pg_sys::Relation,
    fork: pg_sys::ForkNumber::Type,
    block: pg_sys::BlockNumber,
    strategy: pg_sys::BufferAccessStrategy,
) -> pg_sys::Buffer {
    const { assert!(pg_sys::ReadBufferMode::RBM_NORMAL == 0, "as in guarded_read.c") };
    // SAFETY: promised by the caller.
    let buffer = unsafe { pgxlog_read_buffer(relation, fork as c_int, block, strategy) };
    if buffer == pg_sys::InvalidBuffer as pg_sys::Buffer {
        // SAFETY: PostgreSQL returns a buffer or raises an ERROR: it has one.
        unsafe { raise_again() }
    }
    buffer
}

/// Raises the ERROR that was caught, and that PostgreSQL still has, within pgrx's guard, which knows how to make a panic of it.
///
/// # Safety
/// There is an ERROR.
#[cold]
#[inline(never)]
unsafe fn raise_again() -> ! {
    // SAFETY: there is an ERROR.
    unsafe { pg_guard_ffi_boundary(|| pg_re_throw()) }
}
