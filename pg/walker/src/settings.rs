//! The worker's settings.

use std::ffi::{CStr, CString};
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use walker_core::RetryPolicy;

const DEFAULT_SLOT_NAME: &CStr = c"walker";
/// In megabytes.
const DEFAULT_MAX_RETAINED_WAL: i32 = 10 * 1024;

static MAX_RETAINED_WAL: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_MAX_RETAINED_WAL);
static SLOT_NAME: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(DEFAULT_SLOT_NAME));
static PLUGINS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// In milliseconds.
static RETRY_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(5000);
static MAX_FAILURES: GucSetting<i32> = GucSetting::<i32>::new(8);

/// Tells PostgreSQL of the settings.
pub(crate) fn define() {
    GucRegistry::define_string_guc(
        c"walker.plugins",
        c"Comma-separated names of the plugins that are told every WAL record, in this order.",
        c"Each is a shared library with a function _PG_walker_plugin_init.",
        &PLUGINS,
        GucContext::Sighup,
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
    GucRegistry::define_int_guc(
        c"walker.retry_interval",
        c"How long a plugin that failed is left alone before it is tried again.",
        c"Each time that it fails again the pause is twice as long, up to ten minutes.",
        &RETRY_INTERVAL,
        1,
        RetryPolicy::LONGEST.as_millis() as i32,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"walker.max_failures",
        c"After so many failures in a row a plugin is switched off.",
        c"They are in a row until the plugin has kept its state behind the place where it failed.",
        &MAX_FAILURES,
        1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"walker.max_retained_wal",
        c"How much WAL the worker's replication slot may hold back.",
        c"Beyond, it lets go of what plugins have not kept yet, rather than fill the disk. -1 means no limit.",
        &MAX_RETAINED_WAL,
        -1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
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

/// When plugins that failed are tried again.
pub(crate) fn retry_policy() -> RetryPolicy {
    let first_pause = Duration::from_millis(u64::try_from(RETRY_INTERVAL.get()).unwrap_or(0));
    RetryPolicy { first_pause, max_failures: u32::try_from(MAX_FAILURES.get()).unwrap_or(1) }
}

/// As [`slot_name`], in a process of a server that need not have preloaded this library: then the setting is not defined, but
/// may be in the configuration.
pub(crate) fn configured_slot_name() -> Option<CString> {
    // SAFETY: a C string; the value is copied before the setting can change. Null if nobody has set it.
    let value = unsafe { pg_sys::GetConfigOption(c"walker.slot_name".as_ptr(), true, false) };
    // SAFETY: as above.
    let name = if value.is_null() { DEFAULT_SLOT_NAME } else { unsafe { CStr::from_ptr(value) } };
    (!name.is_empty()).then(|| name.to_owned())
}

/// How many bytes of WAL may be held back; `None` for any number.
pub(crate) fn max_retained_wal() -> Option<u64> {
    u64::try_from(MAX_RETAINED_WAL.get()).ok().map(|megabytes| megabytes << 20)
}
