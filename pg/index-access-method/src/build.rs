//! Building an index from its table.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;

use pgrx::pg_sys;
use pgrx::pg_sys::submodules::panic::pgrx_extern_c_guard;
use pgwal::ItemPointer;

use crate::bitmap::item_pointer;
use crate::error::IndexError;
use crate::index::Index;
use crate::temporary_context::TemporaryContext;
use crate::values::Row;

/// An index that is to be filled, and the table that it is of.
#[derive(Debug)]
pub struct Build<'a> {
    table: pg_sys::Relation,
    index: Index<'a>,
    info: *mut pg_sys::IndexInfo,
    _borrowed: PhantomData<&'a mut ()>,
}

/// How many tuples there were (`IndexBuildResult`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Built {
    /// In the table, as [`Build::scan`] returned it.
    pub table_tuples: f64,
    /// In the index.
    pub index_tuples: f64,
}

impl<'a> Build<'a> {
    /// # Safety
    /// What PostgreSQL gives `ambuild`, for all of `'a`.
    pub(crate) unsafe fn from_raw(table: pg_sys::Relation, index: Index<'a>, info: *mut pg_sys::IndexInfo) -> Self {
        Self { table, index, info, _borrowed: PhantomData }
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> Index<'a> {
        self.index
    }

    /// Calls `each` with each row that the index is to have, and where its tuple is; returns how many tuples the table has
    /// (`table_index_build_scan`). What is allocated in `each` is freed behind it. An error that `each` returns is raised.
    pub fn scan(&self, each: impl FnMut(&Row<'_>, ItemPointer) -> Result<(), IndexError>) -> f64 {
        // SAFETY: PostgreSQL gave these for the call in which we are; the state is what the callback made for it expects, and
        // is not used otherwise meanwhile.
        unsafe { self.scan_with(&mut State { each, memory: TemporaryContext::new() }) }
    }

    /// # Safety
    /// The three pointers are valid.
    unsafe fn scan_with<F>(&self, state: &mut State<F>) -> f64
    where
        F: FnMut(&Row<'_>, ItemPointer) -> Result<(), IndexError>,
    {
        let state: *mut State<F> = state;
        // SAFETY: as in `scan`.
        unsafe {
            pg_sys::table_index_build_scan(
                self.table,
                self.index.as_raw(),
                self.info,
                true,
                true,
                Some(row::<F>),
                state.cast::<c_void>(),
                null_mut(),
            )
        }
    }
}

struct State<F> {
    each: F,
    memory: TemporaryContext,
}

unsafe extern "C-unwind" fn row<F>(
    index: pg_sys::Relation,
    tuple: pg_sys::ItemPointer,
    values: *mut pg_sys::Datum,
    nulls: *mut bool,
    _is_alive: bool,
    state: *mut c_void,
) where
    F: FnMut(&Row<'_>, ItemPointer) -> Result<(), IndexError>,
{
    let call = || {
        // SAFETY: the state that `scan_with` gave, which nobody else uses; the rest is valid for this call.
        let (state, row, tuple) = unsafe {
            let row = Row::from_raw(Index::from_raw(index), values, nulls);
            (&mut *state.cast::<State<F>>(), row, item_pointer(tuple))
        };
        let _inside = state.memory.enter();
        (state.each)(&row, tuple)
    };
    // SAFETY: called by C, with nothing to be dropped outside of the guard.
    unsafe { pgrx_extern_c_guard(|| call().unwrap_or_else(|error| error.raise())) }
}
