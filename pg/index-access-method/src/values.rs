//! Values of a row's columns, and what operator classes do with them.

use std::slice;

use pgrx::pg_sys;
use pgwal::Oid;

use crate::index::Index;

/// The columns of a row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    index: Index<'a>,
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
}

impl<'a> Row<'a> {
    /// What PostgreSQL gives an index.
    ///
    /// # Safety
    /// Both arrays have an element for each of the index's columns, of its type, for all of `'a`.
    pub(crate) unsafe fn from_raw(index: Index<'a>, values: *const pg_sys::Datum, nulls: *const bool) -> Self {
        let columns = index.columns();
        // SAFETY: promised by the caller.
        let (values, nulls) =
            unsafe { (slice::from_raw_parts(values, columns), slice::from_raw_parts(nulls, columns)) };
        Self { index, values, nulls }
    }

    /// A column's value; `None` if it is NULL.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn value(&self, column: usize) -> Option<Value<'a>> {
        self.index.check_column(column);
        let type_oid = self.index.column_type(column);
        (!self.nulls[column]).then(|| Value { index: self.index, column, datum: self.values[column], type_oid })
    }

    /// All columns' values.
    pub fn values(&self) -> impl Iterator<Item = Option<Value<'a>>> {
        (0..self.values.len()).map(|column| self.value(column))
    }
}

/// A value that is not NULL, of a row or of a scan's key.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    index: Index<'a>,
    column: usize,
    datum: pg_sys::Datum,
    type_oid: Oid,
}

impl<'a> Value<'a> {
    /// # Safety
    /// The datum is of this type, which is that of the column or binary-compatible with it, for all of `'a`; there is such a column.
    pub(crate) unsafe fn from_raw(index: Index<'a>, column: usize, datum: pg_sys::Datum, type_oid: Oid) -> Self {
        Self { index, column, datum, type_oid }
    }

    /// Its type.
    #[must_use]
    pub fn type_oid(&self) -> Oid {
        self.type_oid
    }

    /// Its hash, from the function of this number in the operator class of its column. Raises an ERROR if there is none.
    ///
    /// # Panics
    /// If the number is not one of [`SupportFunction::ExtendedHash`](crate::SupportFunction) (from 1), or the function raises
    /// an ERROR.
    #[must_use]
    pub fn extended_hash(&self, number: u16, seed: u64) -> u64 {
        let index = self.index.as_raw();
        let attribute = i16::try_from(self.column + 1).unwrap_or(i16::MAX);
        // SAFETY: `index_getprocinfo` reads beyond its array if the number is too large.
        let most = unsafe { (*(*index).rd_indam).amsupport };
        assert!((1..=most).contains(&number), "operator classes have no function {number}");
        // SAFETY: the value is of the type that the operator class takes, and only superusers declare which function takes
        // that; column and number exist.
        unsafe {
            let function = pg_sys::index_getprocinfo(index, attribute, number);
            let collation = *(*index).rd_indcollation.add(self.column);
            let seed = pg_sys::Datum::from(seed);
            pg_sys::FunctionCall2Coll(function, collation, self.datum, seed).value() as u64
        }
    }
}
