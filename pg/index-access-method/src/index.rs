//! An index, and what its columns are.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgwal::Oid;
use pgxlog::Relation;

use crate::method::IndexAccessMethod;
use crate::options;

/// An open index, borrowed for a call.
#[derive(Debug, Clone, Copy)]
pub struct Index<'a>(Relation<'a>);

impl<'a> Index<'a> {
    /// The index behind PostgreSQL's pointer.
    ///
    /// # Safety
    /// It is an open index for all of `'a`, whose access method changes its pages by `pgxlog`'s means only.
    pub(crate) unsafe fn from_raw(raw: pg_sys::Relation) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { Relation::from_raw(raw) })
    }

    /// The same, whose blocks are read by this strategy.
    ///
    /// # Safety
    /// It lives as long as `'a`.
    pub(crate) unsafe fn with_strategy(self, strategy: pg_sys::BufferAccessStrategy) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { self.0.with_strategy(strategy) })
    }

    /// Its blocks.
    #[must_use]
    pub fn relation(self) -> Relation<'a> {
        self.0
    }

    /// Its name, without the schema.
    #[must_use]
    pub fn name(self) -> String {
        // SAFETY: an open relation has its row of pg_class, with a name that ends with zero.
        unsafe { CStr::from_ptr((*(*self.as_raw()).rd_rel).relname.data.as_ptr()).to_string_lossy().into_owned() }
    }

    /// How many columns it has.
    #[must_use]
    pub fn columns(self) -> usize {
        // SAFETY: an open index has its row of pg_index.
        usize::try_from(unsafe { (*(*self.as_raw()).rd_index).indnkeyatts }).unwrap_or(0)
    }

    /// The type that a column's operator class takes: not always that of the column, but one to which it is binary-compatible.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn column_type(self, column: usize) -> Oid {
        self.check_column(column);
        // SAFETY: there is one for each column.
        Oid::new(unsafe { *(*self.as_raw()).rd_opcintype.add(column) }.to_u32())
    }

    /// The values of the storage parameters that were given for the index, or their defaults, in the order of
    /// [`IndexAccessMethod::OPTIONS`]. They may change by `ALTER INDEX`: what the pages depend on has to be kept there.
    #[must_use]
    pub fn options<M: IndexAccessMethod>(self) -> Vec<i32> {
        // SAFETY: the options of this index, which M's `amoptions` made.
        unsafe { options::values::<M>((*self.as_raw()).rd_options) }
    }

    pub(crate) fn as_raw(self) -> pg_sys::Relation {
        self.0.as_raw()
    }

    pub(crate) fn check_column(self, column: usize) {
        assert!(column < self.columns(), "the index has {} columns, and none of number {column}", self.columns());
    }
}
