//! The worker's settings.

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static PLUGINS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Tells PostgreSQL of the settings.
pub(crate) fn define() {
    GucRegistry::define_string_guc(
        c"walker.plugins",
        c"Comma-separated names of the plugins that are told every WAL record, in this order.",
        c"Each is a shared library with a function _PG_walker_plugin_init.",
        &PLUGINS,
        GucContext::Postmaster,
        GucFlags::default(),
    );
    // SAFETY: a C string; to be called after the settings are defined.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"walker".as_ptr()) };
}

/// The value of `walker.plugins`.
pub(crate) fn plugins() -> String {
    PLUGINS.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}
