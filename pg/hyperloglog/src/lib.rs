//! The extension `hyperloglog`: an index access method that keeps for each column a sketch of how many distinct values
//! were ever put in.

mod access_method;
mod manager;
mod pages;
mod sql;

use pgrx::pg_guard;
use pgrx::pg_sys;

pgrx::pg_module_magic!();

index_access_method::handler!(hyperloglog_handler, access_method::AccessMethod);

/// Called by PostgreSQL when it loads the library. Loaded later than at the server's start, it can but read.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // SAFETY: a global variable of this process.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        pgxlog::register::<manager::Manager>();
    }
}
