//! What catches the ERROR of a call that each record makes: pgrx's guard, which is around all of its functions, would take a
//! twentieth of what a record takes.
//!
//! Source: `src/include/utils/elog.h`: `PG_TRY`.

use std::mem::MaybeUninit;

use cee_scape::call_with_sigsetjmp;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

// pgrx has no binding of it. It goes to the handler, or ends the process if there is none.
unsafe extern "C-unwind" {
    fn pg_re_throw() -> !;
}

/// Runs `call`. A PostgreSQL ERROR in it becomes a panic, as one in any function of pgrx.
///
/// # Safety
/// `call` calls C functions only, of PostgreSQL, with arguments that they allow; nothing of it has a destructor. The thread is
/// that in which PostgreSQL runs.
#[inline(always)]
pub(crate) unsafe fn guard<T: Copy>(call: impl FnOnce() -> T) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: global variables of this process, which are set as `PG_TRY` does; no frame with a destructor is between an
    // ERROR and here.
    unsafe {
        let (handler, contexts) = (pg_sys::PG_exception_stack, pg_sys::error_context_stack);
        let memory = pg_sys::CurrentMemoryContext;
        let place = value.as_mut_ptr();
        let jumped = call_with_sigsetjmp(false, move |buffer| {
            pg_sys::PG_exception_stack = std::ptr::from_ref(buffer).cast_mut().cast();
            place.write(call());
            0
        });
        pg_sys::PG_exception_stack = handler;
        if jumped != 0 {
            pg_sys::error_context_stack = contexts;
            pg_sys::CurrentMemoryContext = memory;
            raise_again();
        }
        value.assume_init()
    }
}

/// Raises the ERROR that was caught, and that PostgreSQL still has, within pgrx's guard, which knows how to make a panic of it.
#[cold]
unsafe fn raise_again() -> ! {
    // SAFETY: there is an ERROR.
    unsafe { pg_guard_ffi_boundary(|| pg_re_throw()) }
}
