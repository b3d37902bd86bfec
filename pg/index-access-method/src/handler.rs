//! The functions that PostgreSQL calls, made for each access method.

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;
use pgrx::pg_sys::submodules::panic::pgrx_extern_c_guard;
use pgrx::{Internal, PgBox};

use crate::bitmap::{TidBitmap, item_pointer};
use crate::build::Build;
use crate::error::IndexError;
use crate::index::Index;
use crate::method::IndexAccessMethod;
use crate::options;
use crate::scan_keys::ScanKeys;
use crate::temporary_context::TemporaryContext;
use crate::vacuum::{DeadTuples, Vacuum, VacuumStatistics};
use crate::validate::validate;
use crate::values::Row;

/// Declares the function of SQL that `CREATE ACCESS METHOD` names: `handler!(bloom_filter_handler, BloomFilter)` makes
/// `bloom_filter_handler(internal) RETURNS index_am_handler`, whose symbol is `bloom_filter_handler_wrapper`. PostgreSQL calls it without
/// the argument that it declares.
#[macro_export]
macro_rules! handler {
    ($function:ident, $method:ty) => {
        // PostgreSQL calls it without the argument that it is declared with (`GetIndexAmRoutine`).
        #[::pgrx::pg_extern(sql = "")]
        fn $function() -> ::pgrx::Internal {
            $crate::routine::<$method>()
        }
    };
}

/// The struct that the handler of an access method returns: see [`handler!`].
#[must_use]
pub fn routine<M: IndexAccessMethod>() -> Internal {
    // SAFETY: a node of this type is allocated, zeroed, in the current memory context, where PostgreSQL expects it.
    let mut routine = unsafe { PgBox::<pg_sys::IndexAmRoutine>::alloc_node(pg_sys::NodeTag::T_IndexAmRoutine) };
    routine.amstrategies = M::STRATEGIES;
    routine.amsupport = u16::try_from(M::SUPPORT.len()).unwrap_or(u16::MAX);
    routine.amcanmulticol = M::MULTI_COLUMN;
    routine.amoptionalkey = M::OPTIONAL_KEY;
    routine.amparallelvacuumoptions =
        (pg_sys::VACUUM_OPTION_PARALLEL_BULKDEL | pg_sys::VACUUM_OPTION_PARALLEL_CLEANUP) as u8;
    #[cfg(not(feature = "pg15"))]
    {
        routine.amsummarizing = M::SUMMARIZING;
    }
    routine.amkeytype = pg_sys::InvalidOid;
    routine.ambuild = Some(build::<M>);
    routine.ambuildempty = Some(build_empty::<M>);
    routine.aminsert = Some(insert::<M>);
    routine.ambulkdelete = Some(bulk_delete::<M>);
    routine.amvacuumcleanup = Some(vacuum_cleanup::<M>);
    routine.amcostestimate = Some(cost_estimate);
    routine.amoptions = Some(parse_options::<M>);
    routine.amvalidate = Some(validate_operator_class::<M>);
    routine.ambeginscan = Some(begin_scan);
    routine.amrescan = Some(rescan);
    routine.amgetbitmap = M::BITMAP_SCAN.map(|_| get_bitmap::<M> as GetBitmap);
    routine.amendscan = Some(end_scan);
    Internal::from(Some(pg_sys::Datum::from(routine.into_pg())))
}

type GetBitmap = unsafe extern "C-unwind" fn(pg_sys::IndexScanDesc, *mut pg_sys::TIDBitmap) -> i64;

/// An error becomes PostgreSQL's ERROR.
fn or_raise<T>(outcome: Result<T, IndexError>) -> T {
    outcome.unwrap_or_else(|error| error.raise())
}

// SAFETY of all that follow: PostgreSQL gives what is open and valid for the call, and the guard turns a panic, which may be an
// ERROR that passes, into an ERROR.

unsafe extern "C-unwind" fn build<M: IndexAccessMethod>(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: see above; the result is PostgreSQL's.
    unsafe {
        pgrx_extern_c_guard(|| {
            let built = or_raise(M::build(&Build::from_raw(table, Index::from_raw(index), info)));
            let mut result = PgBox::<pg_sys::IndexBuildResult>::alloc0();
            result.heap_tuples = built.table_tuples;
            result.index_tuples = built.index_tuples;
            result.into_pg()
        })
    }
}

unsafe extern "C-unwind" fn build_empty<M: IndexAccessMethod>(index: pg_sys::Relation) {
    // SAFETY: see above.
    unsafe { pgrx_extern_c_guard(|| or_raise(M::build_empty(Index::from_raw(index)))) }
}

unsafe extern "C-unwind" fn insert<M: IndexAccessMethod>(
    index: pg_sys::Relation,
    values: *mut pg_sys::Datum,
    nulls: *mut bool,
    tuple: pg_sys::ItemPointer,
    _table: pg_sys::Relation,
    _check_unique: pg_sys::IndexUniqueCheck::Type,
    _is_unchanged: bool,
    _info: *mut pg_sys::IndexInfo,
) -> bool {
    // SAFETY: see above; nothing that is allocated is returned.
    unsafe {
        pgrx_extern_c_guard(|| {
            let index = Index::from_raw(index);
            let memory = TemporaryContext::new();
            let outcome = {
                let _inside = memory.enter();
                M::insert(index, &Row::from_raw(index, values, nulls), item_pointer(tuple))
            };
            or_raise(outcome);
            // It says nothing of uniqueness.
            false
        })
    }
}

unsafe extern "C-unwind" fn bulk_delete<M: IndexAccessMethod>(
    info: *mut pg_sys::IndexVacuumInfo,
    before: *mut pg_sys::IndexBulkDeleteResult,
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: see above.
    unsafe {
        pgrx_extern_c_guard(|| {
            let mut statistics = VacuumStatistics::from_raw(before);
            let mut dead = DeadTuples::from_raw(callback, state);
            or_raise(M::bulk_delete(&Vacuum::from_raw(info), &mut dead, &mut statistics));
            store(before, statistics)
        })
    }
}

unsafe extern "C-unwind" fn vacuum_cleanup<M: IndexAccessMethod>(
    info: *mut pg_sys::IndexVacuumInfo,
    before: *mut pg_sys::IndexBulkDeleteResult,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: see above.
    unsafe {
        pgrx_extern_c_guard(|| {
            if (*info).analyze_only {
                return before;
            }
            let mut statistics = VacuumStatistics::from_raw(before);
            or_raise(M::vacuum_cleanup(&Vacuum::from_raw(info), &mut statistics));
            store(before, statistics)
        })
    }
}

/// Puts the statistics where those of the call before are, or into memory for PostgreSQL.
///
/// # Safety
/// Null or valid.
unsafe fn store(
    before: *mut pg_sys::IndexBulkDeleteResult,
    statistics: VacuumStatistics,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: promised by the caller.
    unsafe {
        let place = if before.is_null() { PgBox::<pg_sys::IndexBulkDeleteResult>::alloc0().into_pg() } else { before };
        place.write(statistics.to_raw());
        place
    }
}

/// All of the index is read, whatever is looked for.
unsafe extern "C-unwind" fn cost_estimate(
    root: *mut pg_sys::PlannerInfo,
    path: *mut pg_sys::IndexPath,
    loop_count: f64,
    startup: *mut pg_sys::Cost,
    total: *mut pg_sys::Cost,
    selectivity: *mut pg_sys::Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    // SAFETY: see above.
    unsafe {
        pgrx_extern_c_guard(|| {
            let mut costs = pg_sys::GenericCosts { numIndexTuples: (*(*path).indexinfo).tuples, ..Default::default() };
            pg_sys::genericcostestimate(root, path, loop_count, &raw mut costs);
            *startup = costs.indexStartupCost;
            *total = costs.indexTotalCost;
            *selectivity = costs.indexSelectivity;
            *correlation = costs.indexCorrelation;
            *pages = costs.numIndexPages;
        });
    }
}

unsafe extern "C-unwind" fn parse_options<M: IndexAccessMethod>(
    given: pg_sys::Datum,
    validate: bool,
) -> *mut pg_sys::bytea {
    // SAFETY: see above.
    unsafe { pgrx_extern_c_guard(|| options::parse::<M>(given, validate)) }
}

unsafe extern "C-unwind" fn validate_operator_class<M: IndexAccessMethod>(class: pg_sys::Oid) -> bool {
    // SAFETY: see above.
    unsafe { pgrx_extern_c_guard(|| validate::<M>(class)) }
}

unsafe extern "C-unwind" fn begin_scan(index: pg_sys::Relation, keys: c_int, orders: c_int) -> pg_sys::IndexScanDesc {
    // SAFETY: see above. Nothing is kept between calls but the keys.
    unsafe { pgrx_extern_c_guard(|| pg_sys::RelationGetIndexScan(index, keys, orders)) }
}

unsafe extern "C-unwind" fn rescan(
    scan: pg_sys::IndexScanDesc,
    keys: pg_sys::ScanKey,
    _count: c_int,
    _orders: pg_sys::ScanKey,
    _order_count: c_int,
) {
    // SAFETY: PostgreSQL gives as many keys as it told when the scan began, for which there is room; no ERROR is raised.
    unsafe {
        if !keys.is_null() && (*scan).numberOfKeys > 0 {
            std::ptr::copy(keys, (*scan).keyData, (*scan).numberOfKeys as usize);
        }
    }
}

unsafe extern "C-unwind" fn get_bitmap<M: IndexAccessMethod>(
    scan: pg_sys::IndexScanDesc,
    bitmap: *mut pg_sys::TIDBitmap,
) -> i64 {
    // SAFETY: see above; the strategy lives longer than the index that has it, and is freed with its memory context if
    // an ERROR passes.
    unsafe {
        pgrx_extern_c_guard(|| {
            let Some(scan_bitmap) = M::BITMAP_SCAN else { return 0 };
            let scan = &*scan;
            count_scan(scan);
            let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD);
            let index = Index::from_raw(scan.indexRelation).with_strategy(strategy);
            let keys = ScanKeys::from_raw(index, scan.keyData, scan.numberOfKeys as usize);
            let mut bitmap = TidBitmap::from_raw(bitmap);
            or_raise(scan_bitmap(index, &keys, &mut bitmap));
            pg_sys::FreeAccessStrategy(strategy);
            bitmap.added()
        })
    }
}

/// Counts a scan for `pg_stat_user_indexes` (`pgstat_count_index_scan`), and for `EXPLAIN ANALYZE`.
fn count_scan(scan: &pg_sys::IndexScanDescData) {
    // SAFETY: the index is open; if it is counted, it has its entry then.
    unsafe {
        let index = scan.indexRelation;
        if (*index).pgstat_info.is_null() && (*index).pgstat_enabled {
            pg_sys::pgstat_assoc_relation(index);
        }
        if let Some(status) = (*index).pgstat_info.as_mut() {
            #[cfg(feature = "pg15")]
            {
                status.t_counts.t_numscans += 1;
            }
            #[cfg(not(feature = "pg15"))]
            {
                status.counts.numscans += 1;
            }
        }
        #[cfg(feature = "pg18")]
        if let Some(instrument) = scan.instrument.as_mut() {
            instrument.nsearches += 1;
        }
    }
}

unsafe extern "C-unwind" fn end_scan(_scan: pg_sys::IndexScanDesc) {}
