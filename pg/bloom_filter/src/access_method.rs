//! What PostgreSQL asks of the access method, and where it is done.

use bloom_filter::{Layout, Signature};
use index_access_method::{
    BitmapScan, Build, Built, DeadTuples, Index, IndexAccessMethod, IndexError, IntegerOption, Row, SupportFunction,
    Vacuum, VacuumStatistics, Value,
};
use pgwal::ItemPointer;

use crate::options::OPTIONS;
use crate::{build, insert, scan, vacuum};

/// The access method `bloom_filter`.
pub(crate) struct BloomFilter;

/// Number of the hash function in operator classes.
const HASH: u16 = 1;

impl IndexAccessMethod for BloomFilter {
    const NAME: &'static str = "bloom_filter";
    const STRATEGIES: u16 = 1;
    const SUPPORT: &'static [SupportFunction] = &[SupportFunction::ExtendedHash];
    const MULTI_COLUMN: bool = true;
    // All rows are there, also those in which everything is NULL.
    const OPTIONAL_KEY: bool = true;
    const OPTIONS: &'static [IntegerOption] = &OPTIONS;
    const BITMAP_SCAN: Option<BitmapScan> = Some(scan::scan);

    fn build(build: &Build<'_>) -> Result<Built, IndexError> {
        build::build(build)
    }

    fn build_empty(index: Index<'_>) -> Result<(), IndexError> {
        build::build_empty(index);
        Ok(())
    }

    fn insert(index: Index<'_>, row: &Row<'_>, tuple: ItemPointer) -> Result<(), IndexError> {
        insert::insert(index, row, tuple)
    }

    fn bulk_delete(
        vacuum: &Vacuum<'_>,
        dead: &mut DeadTuples<'_>,
        statistics: &mut VacuumStatistics,
    ) -> Result<(), IndexError> {
        vacuum::bulk_delete(vacuum, dead, statistics)
    }

    fn vacuum_cleanup(vacuum: &Vacuum<'_>, statistics: &mut VacuumStatistics) -> Result<(), IndexError> {
        vacuum::cleanup(vacuum, statistics)
    }
}

/// The bits of a row. NULL sets none: `=` finds no such row.
pub(crate) fn signature(layout: &Layout, row: &Row<'_>) -> Signature {
    let mut signature = Signature::new(layout);
    for (column, value) in row.values().enumerate() {
        if let Some(value) = value {
            signature.add(column, hash(column, value));
        }
    }
    signature
}

/// Another one for the same value in another column.
pub(crate) fn hash(column: usize, value: Value<'_>) -> u64 {
    value.extended_hash(HASH, column as u64 + 1)
}
