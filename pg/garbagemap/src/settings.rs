//! The extension's settings.

use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// As in the original garbagemap.
const DEFAULT_SUMMARY_SIZE: i32 = 320;

static SUMMARY_SIZE: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_SUMMARY_SIZE);

/// In megabytes per second: little beside what a server reads.
const DEFAULT_BASELINE_RATE: i32 = 16;

static BASELINE_RATE: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_BASELINE_RATE);

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
    GucRegistry::define_int_guc(
        c"garbagemap.baseline_rate",
        c"How much is read of tables that the WAL does not tell of, in megabytes per second.",
        c"Zero: nothing is read, and of such tables only those blocks are known that are changed.",
        &BASELINE_RATE,
        0,
        100_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    // SAFETY: a C string; to be called after the settings are defined.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"garbagemap".as_ptr()) };
}

/// Blocks per range.
pub(crate) fn summary_size() -> u32 {
    u32::try_from(SUMMARY_SIZE.get()).unwrap_or(1)
}

/// Megabytes per second.
pub(crate) fn baseline_rate() -> u32 {
    u32::try_from(BASELINE_RATE.get()).unwrap_or(0)
}
