//! The extension `garbagemap`: the plugin for WALker's worker, and the SQL functions that ask it.
//!
//! The same library is loaded by the worker, through `walker.plugins`, and by backends, through the SQL functions; the
//! map itself is in the worker only.

mod blocks;
mod rights;
mod server_transactions;
mod settings;
mod sql;
mod tables;
mod target;
mod worker;

use std::cell::Cell;
use std::rc::Rc;

use pgrx::pg_guard;
use pgrx::pg_sys;
use pgwal::Lsn;
use pgxlog::server_log;

pgrx::pg_module_magic!();

/// Where the map is kept over a restart, in the data directory.
const SNAPSHOT: &str = "walker/garbagemap.snapshot";

// The data directory is the worker's current directory.
pgxlog::walker_plugin!(garbagemap::KeptMap::new(SNAPSHOT, new_map).with_files(files()).with_report(report));

/// Called by PostgreSQL when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
}

/// A map that knows the server's `wal_level` and may ask for its transactions.
fn new_map() -> garbagemap::GarbageMap {
    let mut map = garbagemap::GarbageMap::new();
    map.set_transaction_log(Rc::new(server_transactions::ServerTransactions));
    // SAFETY: a setting that only changes when the server starts.
    map.set_wal_level_minimal(unsafe { pg_sys::wal_level } < pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32);
    map
}

/// Writes what the map has into the server's log.
fn report(map: &garbagemap::GarbageMap) {
    let Some(level) = settings::log_level() else { return };
    // SAFETY: looks at settings.
    if unsafe { pg_sys::message_level_is_interesting(level as i32) } {
        for line in map.log_lines(settings::summary_size()) {
            pgrx::ereport!(level, pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, line);
        }
    }
}

/// The server's files.
fn files() -> garbagemap::DataFiles {
    // Where the log was when it was first seen that the server is not a standby, or not any more: up to there it may be that
    // of another server, whose checkpoints say nothing of these files.
    let own_since = Cell::new(None);
    let may_read = move |position: Lsn| {
        // SAFETY: looks at the server's state.
        if unsafe { pg_sys::RecoveryInProgress() } {
            own_since.set(None);
            return false;
        }
        let since = own_since.get().unwrap_or_else(|| server_log::durable().0);
        own_since.set(Some(since));
        since <= position
    };
    // A file of another length would be read wrongly.
    const { assert!(pg_sys::RELSEG_SIZE == 131_072 && pg_sys::BLCKSZ == 8192, "only PostgreSQL's default sizes") };
    let version = (pg_sys::PG_VERSION_NUM / 10_000, pg_sys::CATALOG_VERSION_NO);
    garbagemap::DataFiles::new(".", version, may_read, settings::limits)
}
