//! The worker's settings.

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static SLOT_NAME: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"walker"));
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
    GucRegistry::define_string_guc(
        c"walker.slot_name",
        c"Name of the physical replication slot that keeps WAL until all plugins have dealt with it.",
        c"The worker makes it. If empty, WAL that is not read yet may be recycled.",
        &SLOT_NAME,
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

/// The value of `walker.slot_name`; `None` if there is to be no slot.
pub(crate) fn slot_name() -> Option<CString> {
    SLOT_NAME.get().filter(|name| !name.is_empty())
}
