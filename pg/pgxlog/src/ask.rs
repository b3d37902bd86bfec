//! Asking a plugin that runs in WALker's worker.

use std::ffi::{CString, c_char, c_int};
use std::time::Duration;

use pgrx::pg_sys;

/// `walker_ask` of the library `walker`, as in `include/walker.h`.
type Ask = unsafe extern "C-unwind" fn(
    plugin: *const c_char,
    question: *const c_char,
    length: pg_sys::Size,
    timeout_ms: c_int,
    answer: pg_sys::StringInfo,
);

/// Puts a question to a plugin and waits for its answer.
///
/// # Panics
/// With a PostgreSQL ERROR that says why: the worker does not run, there is no such plugin, the plugin's own error, or
/// no answer within `timeout`.
#[must_use]
pub fn ask(plugin: &str, question: &[u8], timeout: Duration) -> Vec<u8> {
    let plugin = CString::new(plugin).unwrap_or_default();
    let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the function has the signature above, by the header both sides share; its ERROR is taken as one of C.
    // The StringInfo is copied before its memory, the current context's, can go.
    unsafe {
        let function =
            pg_sys::load_external_function(c"walker".as_ptr(), c"walker_ask".as_ptr(), true, std::ptr::null_mut());
        let function: Ask = std::mem::transmute::<*mut std::ffi::c_void, Ask>(function.cast());
        let answer = pg_sys::makeStringInfo();
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            function(plugin.as_ptr(), question.as_ptr().cast(), question.len(), timeout_ms, answer);
        });
        let length = usize::try_from((*answer).len).unwrap_or(0);
        let bytes = std::slice::from_raw_parts((*answer).data.cast::<u8>(), length).to_vec();
        pg_sys::pfree((*answer).data.cast());
        pg_sys::pfree(answer.cast());
        bytes
    }
}
