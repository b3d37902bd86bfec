//! The index access method: what `CREATE INDEX`, inserts and `VACUUM` do. There is no scan, so that the planner never uses
//! such an index.

use custom_rmgrs::hyperloglog::{Precision, Sketch};
use index_access_method::{
    Build, Built, DeadTuples, Index, IndexAccessMethod, IndexError, IntegerOption, Row, SupportFunction, Vacuum,
    VacuumStatistics, Value,
};
use pgrx::PgSqlErrorCode;
use pgwal::{Fork, ItemPointer};

use crate::manager::Manager;
use crate::pages;

/// The access method.
#[derive(Debug)]
pub(crate) struct AccessMethod;

/// Where an operator class has its hash function.
const HASH: u16 = 1;

impl IndexAccessMethod for AccessMethod {
    const NAME: &'static str = "hyperloglog";
    const STRATEGIES: u16 = 0;
    const SUPPORT: &'static [SupportFunction] = &[SupportFunction::ExtendedHash];
    const MULTI_COLUMN: bool = true;
    const OPTIONAL_KEY: bool = true;
    // No entry leads to a tuple, so that an update may stay on its page.
    const SUMMARIZING: bool = true;
    const OPTIONS: &'static [IntegerOption] = &[IntegerOption {
        name: c"precision",
        description: c"Number of registers of each column's sketch, as a power of two",
        default: Precision::DEFAULT.get() as i32,
        minimum: Precision::MIN.get() as i32,
        maximum: Precision::MAX.get() as i32,
    }];

    fn build(build: &Build<'_>) -> Result<Built, IndexError> {
        let index = build.index();
        if index.relation().blocks(Fork::MAIN) != 0 {
            let message = format!("index \"{}\" already contains data", index.name());
            return Err(IndexError::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message));
        }
        if index.relation().needs_wal() {
            // Before a large table is read in vain.
            pgxlog::check_registered::<Manager>()?;
        }
        let precision = precision_option(index)?;
        let mut sketches: Vec<_> = pages::columns(index).map(|column| (column, Sketch::new(precision))).collect();
        let mut index_tuples = 0.0;
        let table_tuples = build.scan(|row, _| {
            for ((_, sketch), value) in sketches.iter_mut().zip(row.values()) {
                value.into_iter().for_each(|value| sketch.add(hash(&value)));
            }
            index_tuples += 1.0;
            Ok(())
        });
        for (column, sketch) in &sketches {
            pages::initialize(index, Fork::MAIN, *column, sketch)?;
        }
        Ok(Built { table_tuples, index_tuples })
    }

    fn build_empty(index: Index<'_>) -> Result<(), IndexError> {
        let empty = Sketch::new(precision_option(index)?);
        pages::columns(index).try_for_each(|column| pages::initialize(index, Fork::INIT, column, &empty))
    }

    fn insert(index: Index<'_>, row: &Row<'_>, _: ItemPointer) -> Result<(), IndexError> {
        let precision = pages::precision(index)?;
        for (column, value) in pages::columns(index).zip(row.values()) {
            if let Some(value) = value {
                pages::add(index, column, precision, precision.change(hash(&value)))?;
            }
        }
        Ok(())
    }

    /// A sketch forgets nothing. `CREATE INDEX CONCURRENTLY` inserts all rows once more, which changes nothing.
    fn bulk_delete(_: &Vacuum<'_>, _: &mut DeadTuples<'_>, _: &mut VacuumStatistics) -> Result<(), IndexError> {
        Ok(())
    }

    fn vacuum_cleanup(vacuum: &Vacuum<'_>, statistics: &mut VacuumStatistics) -> Result<(), IndexError> {
        statistics.pages = vacuum.index().relation().blocks(Fork::MAIN);
        statistics.tuples = vacuum.table_tuples();
        statistics.is_estimate = vacuum.is_estimate();
        Ok(())
    }
}

/// The same for equal values, on all servers of a system.
fn hash(value: &Value<'_>) -> u64 {
    value.extended_hash(HASH, 0)
}

/// What the storage parameters say, which holds from the next `REINDEX` on; the pages know what holds now.
fn precision_option(index: Index<'_>) -> Result<Precision, IndexError> {
    let given = index.options::<AccessMethod>().first().copied();
    let precision = given.and_then(|given| u8::try_from(given).ok()).and_then(Precision::new);
    let message = || format!("no such precision: {given:?}");
    precision.ok_or_else(|| IndexError::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message()))
}
