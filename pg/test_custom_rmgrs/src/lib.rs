//! The extension `test_custom_rmgrs`: the smallest custom WAL resource manager. Its records hold a message, and redo does
//! nothing.
//!
//! Source: `src/test/modules/test_custom_rmgrs/test_custom_rmgrs.c`, to which it is equal in SQL and in the WAL.

use custom_rmgrs::test_custom_rmgrs::{Operation, TestCustomRmgrs, header};
use pgrx::prelude::*;
use pgxlog::{RecordBuilder, Redo, RedoError, ResourceManager};

pgrx::pg_module_magic!();

/// What the server does with the records.
struct Manager;

impl ResourceManager for Manager {
    type Records = TestCustomRmgrs;

    fn redo(redo: &mut Redo<'_, TestCustomRmgrs>) -> Result<(), RedoError> {
        match redo.operation() {
            Operation::Message => Ok(()),
        }
    }
}

/// Called by PostgreSQL when it loads the library. Later than at its start, registering is an ERROR.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pgxlog::register::<Manager>();
}

/// Writes a message to the WAL; returns the end of its record.
#[pg_extern(sql = "")]
fn test_custom_rmgrs_insert_wal_record(payload: &str) -> i64 {
    let header = header(payload.len());
    let record = RecordBuilder::<Manager>::new(Operation::Message).data(&header).data(payload.as_bytes()).unimportant();
    match record.commit([], |[]| ()) {
        Ok(lsn) => lsn.map_or(0, |lsn| lsn.get().cast_signed()),
        Err(error) => error!("{error}"),
    }
}
