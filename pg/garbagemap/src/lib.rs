//! The extension `garbagemap`: the plugin for WALker's worker, and the SQL functions that ask it.
//!
//! The same library is loaded by the worker, through `walker.plugins`, and by backends, through the SQL functions; the
//! map itself is in the worker only.

mod server_transactions;
mod settings;
mod sql;
mod target;

use std::rc::Rc;

use pgrx::pg_guard;
use pgrx::pg_sys;

pgrx::pg_module_magic!();

/// Where the map is kept over a restart, in the data directory.
const SNAPSHOT: &str = "walker/garbagemap.snapshot";

// The data directory is the worker's current directory.
pgxlog::walker_plugin!(garbagemap::KeptMap::new(SNAPSHOT, new_map));

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
