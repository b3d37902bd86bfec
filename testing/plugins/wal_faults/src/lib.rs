//! A test extension: it changes pages of tables that have no rows, by a custom resource manager and by Generic WAL, and at
//! a step that is asked for it fails in the way that is asked for. See `testing/tests/wal_faults.rs` and `wal_faults_redo.rs`.

mod custom;
mod fault;
mod generic;
mod insert;
mod limits;
mod page;
mod random_change;
mod swallow;

use pgrx::pg_guard;

pgrx::pg_module_magic!();

/// Called by PostgreSQL when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // First: where that fails, as in a session, the library is loaded again by the next one who needs it.
    pgxlog::register::<custom::Manager>();
    fault::define_settings();
    match fault::also_registered().as_str() {
        "same id" => pgxlog::register::<custom::SameId>(),
        "same name" => pgxlog::register::<custom::SameName>(),
        _ => {}
    }
}
