//! The extension's settings.

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// As in the original garbagemap.
const DEFAULT_SUMMARY_SIZE: i32 = 320;

static SUMMARY_SIZE: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_SUMMARY_SIZE);

/// Tells PostgreSQL of the settings.
pub(crate) fn define() {
    GucRegistry::define_int_guc(
        c"garbagemap.summary_size",
        c"Number of blocks that one row of garbage_summary stands for.",
        c"",
        &SUMMARY_SIZE,
        1,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: a C string; to be called after the settings are defined.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"garbagemap".as_ptr()) };
}

/// Blocks per range.
pub(crate) fn summary_size() -> u32 {
    u32::try_from(SUMMARY_SIZE.get()).unwrap_or(1)
}
