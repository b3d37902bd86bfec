//! Functions that SQL sees; their declarations are in `hyperloglog--0.1.0.sql`.

use custom_rmgrs::hyperloglog::Sketch;
use index_access_method::{Access, Index, IndexError, with_open_index};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{Lsn, Oid};

use crate::access_method::AccessMethod;
use crate::pages;

/// About how many distinct values a column has ever had.
#[pg_extern(sql = "")]
fn hyperloglog_count(index: pg_sys::Oid, column: i32) -> f64 {
    with_column(index, column, Access::Read, |index, column| {
        let precision = pages::precision(index)?;
        Ok(pages::histogram(index, column, precision)?.estimate(precision))
    })
}

/// The registers of a column's sketch.
#[pg_extern(sql = "")]
fn hyperloglog_registers(index: pg_sys::Oid, column: i32) -> Vec<u8> {
    with_column(index, column, Access::Read, |index, column| pages::registers(index, column, pages::precision(index)?))
}

/// Takes in what another sketch has counted, given by its registers.
#[pg_extern(sql = "")]
fn hyperloglog_merge(index: pg_sys::Oid, column: i32, registers: &[u8]) {
    let end = with_column(index, column, Access::Write, |index, column| {
        let precision = pages::precision(index)?;
        let sketch = Sketch::from_registers(precision, registers);
        pages::merge(index, column, &sketch.map_err(|error| invalid(format!("not a sketch to be merged: {error}")))?)
    });
    make_durable(end);
}

/// Begins the sketches of all columns anew.
#[pg_extern(sql = "")]
fn hyperloglog_reset(index: pg_sys::Oid) {
    let end = with_index(index, Access::Write, |index| {
        pages::columns(index).try_fold(None, |_, column| pages::reset(index, column))
    });
    make_durable(end);
}

/// A transaction that has no number, as one that changes no table, does not wait for its records when it commits.
fn make_durable(end: Option<Lsn>) {
    end.into_iter().for_each(pgxlog::flush);
}

fn with_column<T>(
    index: pg_sys::Oid,
    column: i32,
    access: Access,
    call: impl FnOnce(Index<'_>, u8) -> Result<T, IndexError>,
) -> T {
    with_index(index, access, |index| {
        let found = pages::columns(index).find(|number| i32::from(*number) == column);
        let column = found.ok_or_else(|| invalid(format!("index \"{}\" has no column {column}", index.name())))?;
        call(index, column)
    })
}

fn with_index<T>(index: pg_sys::Oid, access: Access, call: impl FnOnce(Index<'_>) -> Result<T, IndexError>) -> T {
    let outcome = with_open_index::<AccessMethod, T>(Oid::new(index.to_u32()), access, call);
    outcome.unwrap_or_else(|error| error.raise())
}

fn invalid(message: String) -> IndexError {
    IndexError::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}
