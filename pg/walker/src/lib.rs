//! The extension `walker`: a background worker that walks over the server's WAL and calls plugins.
//!
//! `shared_preload_libraries = 'walker'` registers the worker; `walker.plugins` names the plugins it calls.
//!
//! - `worker.rs`: the worker's life: load, walk, answer, wait, stop.
//! - `c_plugin.rs`: a plugin behind the C face of `include/walker.h`, which all plugins have, those in Rust too.
//! - `callback.rs`: how the worker ends while a callback runs, and who is to blame.
//! - `log.rs`: the server's log; `observation.rs`: what the worker shows of itself.
//! - `mailbox.rs`: how a backend asks a plugin.
//! - `statistics.rs`: what the worker counts; `statistics_sql.rs`: how SQL sees it.
//! - `shared_memory.rs`: where that is, and the questions.
//! - `retention.rs`: the worker's replication slot.

mod c_plugin;
mod callback;
mod log;
mod mailbox;
mod observation;
mod retention;
mod settings;
mod shared_memory;
mod sql;
mod sql_slot;
mod statistics;
mod statistics_sql;
mod worker;

use pgrx::pg_guard;
use pgrx::pg_sys;

pgrx::pg_module_magic!();

/// Called by PostgreSQL when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // SAFETY: a flag of the server's own, not changed while a library is loaded.
    if !unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        // In a backend the library is only there to be asked; see mailbox::walker_ask.
        return;
    }
    settings::define();
    shared_memory::request();
    worker::register();
}
