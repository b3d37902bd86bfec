//! From a plugin in Rust to the C face.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};

use pgrx::pg_guard;
use pgrx::pg_sys;
use pgwal::Lsn;
use walker_core::{LogPosition, Plugin, PluginError, Resume};

use crate::callbacks::{Callbacks, Position};
use crate::catch::{catch_panic, raise};
use crate::record_view::{bytes, view};

thread_local! {
    /// The one plugin of this shared library. A backend has one thread.
    static PLUGIN: RefCell<Option<Box<dyn Plugin>>> = const { RefCell::new(None) };
}

/// Makes this shared library a plugin of WALker: exports `_PG_walker_plugin_init` around a [`walker_core::Plugin`].
///
/// ```ignore
/// pgrx::pg_module_magic!();
/// pgxlog::walker_plugin!(MyPlugin::default());
/// ```
///
/// What the plugin returns as an error, and a panic in it, reach the worker as a PostgreSQL ERROR; the worker then goes on
/// without the plugin, and tries it again later.
#[macro_export]
macro_rules! walker_plugin {
    ($plugin:expr) => {
        /// Called by WALker's worker when it loads this plugin.
        ///
        /// # Safety
        /// `callbacks` points to the worker's struct, zeroed but for its size and version.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn _PG_walker_plugin_init(callbacks: *mut $crate::Callbacks) {
            // SAFETY: the worker gives a valid pointer.
            unsafe { $crate::export_plugin(callbacks, || ::std::boxed::Box::new($plugin)) }
        }
    };
}

/// What [`walker_plugin!`] does: keeps the plugin and sets the callbacks.
///
/// # Safety
/// `callbacks` is valid for reads and writes.
pub unsafe fn export_plugin(callbacks: *mut Callbacks, make: impl FnOnce() -> Box<dyn Plugin>) {
    // SAFETY: an ERROR or panic in here is turned into a PostgreSQL ERROR for the worker, which is C to us.
    unsafe {
        pg_sys::submodules::panic::pgrx_extern_c_guard(|| {
            let callbacks = &mut *callbacks;
            assert!(
                callbacks.struct_size as usize >= size_of::<Callbacks>(),
                "this plugin needs a newer WALker: its struct WALkerCallbacks is too small"
            );
            PLUGIN.set(Some(make()));
            callbacks.startup_cb = Some(startup_callback);
            callbacks.record_cb = Some(record_callback);
            callbacks.flush_cb = Some(flush_callback);
            callbacks.shutdown_cb = Some(shutdown_callback);
            callbacks.answer_cb = Some(answer_callback);
            callbacks.resume_cb = Some(resume_callback);
            callbacks.gap_cb = Some(gap_callback);
            callbacks.work_cb = Some(work_callback);
        });
    }
}

/// Calls the plugin. Its error, or what its panic says, is raised as a PostgreSQL ERROR.
fn with_plugin<T>(call: impl FnOnce(&mut dyn Plugin) -> Result<T, PluginError>) -> T {
    let call = || {
        PLUGIN.with_borrow_mut(|plugin| match plugin {
            Some(plugin) => call(plugin.as_mut()),
            None => Err("the plugin was not initialised".into()),
        })
    };
    let result = catch_panic(call).unwrap_or_else(|text| Err(text.into()));
    let code = pgrx::PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
    result.unwrap_or_else(|error| raise(code, error.to_string(), None))
}

#[pg_guard]
unsafe extern "C-unwind" fn startup_callback() {
    with_plugin(|plugin| plugin.startup());
}

#[pg_guard]
unsafe extern "C-unwind" fn record_callback(reader: *mut pg_sys::XLogReaderState) {
    // SAFETY: the worker calls this after its reader read a record, and does not read on meanwhile.
    let record = unsafe { view(reader) };
    with_plugin(|plugin| plugin.record(&record));
}

#[pg_guard]
unsafe extern "C-unwind" fn resume_callback(position: *mut Position) -> c_int {
    match with_plugin(|plugin| plugin.resume()) {
        Resume::Now => Callbacks::RESUME_NOW,
        Resume::Checkpoint => Callbacks::RESUME_CHECKPOINT,
        Resume::At(kept) => {
            // SAFETY: the worker gives a valid pointer.
            unsafe { position.write(kept.into()) };
            Callbacks::RESUME_AT
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn gap_callback(next: pg_sys::XLogRecPtr) {
    with_plugin(|plugin| plugin.gap(Lsn::new(next)));
}

#[pg_guard]
unsafe extern "C-unwind" fn work_callback() -> bool {
    with_plugin(|plugin| plugin.work())
}

#[pg_guard]
unsafe extern "C-unwind" fn flush_callback(position: *const Position) {
    // SAFETY: the worker gives a valid pointer.
    let position = LogPosition::from(unsafe { *position });
    with_plugin(|plugin| plugin.flush(&position));
}

#[pg_guard]
unsafe extern "C-unwind" fn shutdown_callback() {
    with_plugin(|plugin| plugin.shutdown());
    // The worker may go on without it; if it is wanted again, it is made anew.
    PLUGIN.set(None);
}

#[pg_guard]
unsafe extern "C-unwind" fn answer_callback(
    question: *const c_char,
    length: pg_sys::Size,
    position: pg_sys::XLogRecPtr,
    answer: pg_sys::StringInfo,
) {
    // SAFETY: the worker gives so many bytes.
    let question = unsafe { bytes(question, length) };
    let bytes = with_plugin(|plugin| plugin.answer(question, Lsn::new(position)));
    let length = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
    // SAFETY: the StringInfo is the worker's; its length is checked there against the limit of 1 GB.
    unsafe { pg_sys::appendBinaryStringInfo(answer, bytes.as_ptr().cast(), length) };
}
