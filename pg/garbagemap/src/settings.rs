//! The extension's settings.

use garbagemap::Limits;
use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// As in the original garbagemap.
const DEFAULT_SUMMARY_SIZE: i32 = 320;

static SUMMARY_SIZE: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_SUMMARY_SIZE);

/// In megabytes per second: little beside what a server reads.
const DEFAULT_BASELINE_RATE: i32 = 16;

/// In megabytes: tables of 80 GB.
const DEFAULT_MAX_MEMORY: i32 = 256;

static MAX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_MAX_MEMORY);
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
    GucRegistry::define_int_guc(
        c"garbagemap.max_memory",
        c"Memory that the map may take before no more tables are read that the WAL does not tell of.",
        c"About 24 bytes for each block; blocks that are not read stay unknown until they are changed.",
        &MAX_MEMORY,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    // SAFETY: a C string; to be called after the settings are defined.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"garbagemap".as_ptr()) };
}

/// Blocks per range.
pub(crate) fn summary_size() -> u32 {
    u32::try_from(SUMMARY_SIZE.get()).unwrap_or(1)
}

/// How much is read from the tables' files.
pub(crate) fn limits() -> Limits {
    Limits {
        megabytes_per_second: u32::try_from(BASELINE_RATE.get()).unwrap_or(0),
        max_memory: u64::try_from(MAX_MEMORY.get()).unwrap_or(0) << 20,
    }
}
