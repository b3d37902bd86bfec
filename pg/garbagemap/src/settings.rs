//! The extension's settings.

use garbagemap::Limits;
use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PgLogLevel, PostgresGucEnum};

/// As in the original garbagemap.
const DEFAULT_SUMMARY_SIZE: i32 = 320;

static SUMMARY_SIZE: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_SUMMARY_SIZE);

/// In megabytes per second: little beside what a server reads.
const DEFAULT_BASELINE_RATE: i32 = 16;

/// In megabytes: about 1 TB of tables of which a tenth of the blocks hold garbage.
const DEFAULT_MAX_MEMORY: i32 = 256;

static MAX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_MAX_MEMORY);
static BASELINE_RATE: GucSetting<i32> = GucSetting::<i32>::new(DEFAULT_BASELINE_RATE);

/// Levels of messages in the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
#[allow(missing_docs)]
enum LogLevel {
    #[name = c"off"]
    Off,
    #[name = c"debug5"]
    Debug5,
    #[name = c"debug4"]
    Debug4,
    #[name = c"debug3"]
    Debug3,
    #[name = c"debug2"]
    Debug2,
    #[name = c"debug1"]
    Debug1,
    #[name = c"info"]
    Info,
    #[name = c"notice"]
    Notice,
    #[name = c"warning"]
    Warning,
    #[name = c"log"]
    Log,
}

static LOG_LEVEL: GucSetting<LogLevel> = GucSetting::<LogLevel>::new(LogLevel::Debug1);

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
        c"Memory that the map may take.",
        c"What does not fit is given up, and each answer says so: first the exact number of tuples in blocks without garbage.",
        &MAX_MEMORY,
        1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_enum_guc(
        c"garbagemap.log_level",
        c"Level of the messages that tell, at each checkpoint, where tables have dead tuples.",
        c"A line for each table that has some; off for none.",
        &LOG_LEVEL,
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

/// How much is read from the tables' files, and how much memory the map may take.
pub(crate) fn limits() -> Limits {
    Limits {
        megabytes_per_second: u32::try_from(BASELINE_RATE.get()).unwrap_or(0),
        max_memory: u64::try_from(MAX_MEMORY.get()).unwrap_or(0) << 20,
    }
}

/// At which level it is told what the map has, if at all.
pub(crate) fn log_level() -> Option<PgLogLevel> {
    Some(match LOG_LEVEL.get() {
        LogLevel::Off => return None,
        LogLevel::Debug5 => PgLogLevel::DEBUG5,
        LogLevel::Debug4 => PgLogLevel::DEBUG4,
        LogLevel::Debug3 => PgLogLevel::DEBUG3,
        LogLevel::Debug2 => PgLogLevel::DEBUG2,
        LogLevel::Debug1 => PgLogLevel::DEBUG1,
        LogLevel::Info => PgLogLevel::INFO,
        LogLevel::Notice => PgLogLevel::NOTICE,
        LogLevel::Warning => PgLogLevel::WARNING,
        LogLevel::Log => PgLogLevel::LOG,
    })
}
