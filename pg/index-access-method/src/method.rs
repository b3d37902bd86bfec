//! What an index access method is.

use pgwal::ItemPointer;

use crate::bitmap::TidBitmap;
use crate::build::{Build, Built};
use crate::error::IndexError;
use crate::index::Index;
use crate::options::IntegerOption;
use crate::scan_keys::ScanKeys;
use crate::vacuum::{DeadTuples, Vacuum, VacuumStatistics};
use crate::values::Row;

/// Puts the tuples that may satisfy all keys into the bitmap (`amgetbitmap`).
pub type BitmapScan = for<'a> fn(Index<'a>, &ScanKeys<'a>, &mut TidBitmap<'a>) -> Result<(), IndexError>;

/// Which function of an operator class has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupportFunction {
    /// `hash(value, seed bigint) returns bigint`, as `hashint4extended`: see [`Value::extended_hash`](crate::Value::extended_hash).
    ExtendedHash,
}

/// An index access method.
///
/// Each method is called within a transaction. An ERROR or a panic in it ends the statement; so does an error that is
/// returned, after its locks were given back.
pub trait IndexAccessMethod: Sized + 'static {
    /// Its name in SQL.
    const NAME: &'static str;
    /// Operators of an operator class, from number 1 on.
    const STRATEGIES: u16;
    /// Functions of an operator class, from number 1 on.
    const SUPPORT: &'static [SupportFunction];
    /// Whether an index may have several columns.
    const MULTI_COLUMN: bool = false;
    /// Whether a scan may do without a key of the first column.
    const OPTIONAL_KEY: bool = false;
    /// Whether an update that changes no other indexed column may stay on its page (`amsummarizing`, from 16 on): only if
    /// nothing in the index leads to single tuples.
    const SUMMARIZING: bool = false;
    /// Storage parameters of its indexes.
    const OPTIONS: &'static [IntegerOption] = &[];
    /// How tuples are looked up. Without it the planner does not use such an index.
    const BITMAP_SCAN: Option<BitmapScan> = None;

    /// Fills a new index (`ambuild`): of no block yet, in its main fork.
    ///
    /// # Errors
    /// If it cannot be.
    fn build(build: &Build<'_>) -> Result<Built, IndexError>;

    /// Makes the init fork of an unlogged index (`ambuildempty`): what its main fork is to be after a crash. Generic WAL does
    /// not log it, [`log_new_page`](pgxlog::log_new_page) does.
    ///
    /// # Errors
    /// If it cannot be made.
    fn build_empty(index: Index<'_>) -> Result<(), IndexError>;

    /// Takes a row in (`aminsert`). What is allocated meanwhile is freed behind it.
    ///
    /// # Errors
    /// If it cannot be taken in.
    fn insert(index: Index<'_>, row: &Row<'_>, tuple: ItemPointer) -> Result<(), IndexError>;

    /// Removes dead tuples (`ambulkdelete`). [`DeadTuples::contains`] must be asked once at least for each tuple of the index:
    /// `CREATE INDEX CONCURRENTLY` learns so which there are, and inserts all others once more.
    ///
    /// # Errors
    /// If they cannot be removed.
    fn bulk_delete(
        vacuum: &Vacuum<'_>,
        dead: &mut DeadTuples<'_>,
        statistics: &mut VacuumStatistics,
    ) -> Result<(), IndexError>;

    /// At the end of `VACUUM` (`amvacuumcleanup`), whether or not there was something to delete; not after `ANALYZE`.
    ///
    /// # Errors
    /// If something cannot be done.
    fn vacuum_cleanup(vacuum: &Vacuum<'_>, statistics: &mut VacuumStatistics) -> Result<(), IndexError>;
}
