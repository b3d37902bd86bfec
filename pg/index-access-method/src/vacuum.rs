//! What `VACUUM` asks of an index.

use std::ffi::c_void;
use std::marker::PhantomData;

use pgrx::pg_sys;
use pgwal::ItemPointer;

use crate::bitmap::raw_item_pointer;
use crate::index::Index;

/// A `VACUUM` of an index.
#[derive(Debug)]
pub struct Vacuum<'a> {
    info: &'a pg_sys::IndexVacuumInfo,
}

impl<'a> Vacuum<'a> {
    /// # Safety
    /// What PostgreSQL gives `ambulkdelete` or `amvacuumcleanup`, for all of `'a`.
    pub(crate) unsafe fn from_raw(info: *const pg_sys::IndexVacuumInfo) -> Self {
        // SAFETY: promised by the caller.
        Self { info: unsafe { &*info } }
    }

    /// The index. Blocks are read into few buffers, so that the others stay as they are.
    #[must_use]
    pub fn index(&self) -> Index<'a> {
        // SAFETY: open as long as 'a, and the strategy lives as long as it.
        unsafe { Index::from_raw(self.info.index).with_strategy(self.info.strategy) }
    }

    /// How many tuples the table has, which may be but an estimate.
    #[must_use]
    pub fn table_tuples(&self) -> f64 {
        self.info.num_heap_tuples
    }

    /// Whether [`Vacuum::table_tuples`] is an estimate.
    #[must_use]
    pub fn is_estimate(&self) -> bool {
        self.info.estimated_count
    }

    /// To be called before each block, with no buffer locked: sleeps as `vacuum_cost_delay` says, and looks whether to go on
    /// (`vacuum_delay_point`).
    pub fn delay_point(&self) {
        // SAFETY: raises an ERROR at most.
        unsafe {
            #[cfg(not(feature = "pg18"))]
            pg_sys::vacuum_delay_point();
            #[cfg(feature = "pg18")]
            pg_sys::vacuum_delay_point(false);
        }
    }
}

/// The tuples of the table that are to be removed.
#[derive(Debug)]
pub struct DeadTuples<'a> {
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
    _borrowed: PhantomData<&'a mut ()>,
}

impl DeadTuples<'_> {
    /// # Safety
    /// What PostgreSQL gives `ambulkdelete`, for as long as this lives.
    pub(crate) unsafe fn from_raw(callback: pg_sys::IndexBulkDeleteCallback, state: *mut c_void) -> Self {
        Self { callback, state, _borrowed: PhantomData }
    }

    /// Whether this one is to be removed.
    #[must_use]
    pub fn contains(&mut self, tuple: ItemPointer) -> bool {
        let mut raw = raw_item_pointer(tuple);
        let Some(callback) = self.callback else { return false };
        // SAFETY: PostgreSQL's own callback with its own state. An ERROR, if memory is short, is caught as of any other of its
        // functions.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(&raw mut raw, self.state)) }
    }
}

/// What `VACUUM` shows of an index (`IndexBulkDeleteResult`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VacuumStatistics {
    /// Blocks that it has.
    pub pages: u32,
    /// Whether `tuples` is an estimate.
    pub is_estimate: bool,
    /// Tuples that are left.
    pub tuples: f64,
    /// Tuples that were removed.
    pub tuples_removed: f64,
    /// Blocks that were made free by this `VACUUM`.
    pub pages_newly_deleted: u32,
    /// All blocks that are not used any more.
    pub pages_deleted: u32,
    /// Those of them that can be used anew.
    pub pages_free: u32,
}

impl VacuumStatistics {
    /// What the calls before counted; nothing if the pointer is null.
    ///
    /// # Safety
    /// A pointer that is not null is valid.
    pub(crate) unsafe fn from_raw(raw: *const pg_sys::IndexBulkDeleteResult) -> Self {
        // SAFETY: promised by the caller.
        let Some(raw) = (unsafe { raw.as_ref() }) else { return Self::default() };
        Self {
            pages: raw.num_pages,
            is_estimate: raw.estimated_count,
            tuples: raw.num_index_tuples,
            tuples_removed: raw.tuples_removed,
            pages_newly_deleted: raw.pages_newly_deleted,
            pages_deleted: raw.pages_deleted,
            pages_free: raw.pages_free,
        }
    }

    pub(crate) fn to_raw(self) -> pg_sys::IndexBulkDeleteResult {
        pg_sys::IndexBulkDeleteResult {
            num_pages: self.pages,
            estimated_count: self.is_estimate,
            num_index_tuples: self.tuples,
            tuples_removed: self.tuples_removed,
            pages_newly_deleted: self.pages_newly_deleted,
            pages_deleted: self.pages_deleted,
            pages_free: self.pages_free,
        }
    }
}
