//! Values of a row's columns, and what operator classes do with them.

use std::slice;

use pgrx::{PgSqlErrorCode, pg_sys};
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

    /// Its hash, from the function of this number of its column's operator class; if it is of another type than the class, as a key
    /// may be, then from that for this type in the class's family. Raises an ERROR if there is none.
    ///
    /// # Panics
    /// If operator classes have no function of that number, or it raises an ERROR.
    #[must_use]
    pub fn extended_hash(&self, number: u16, seed: u64) -> u64 {
        let index = self.index.as_raw();
        // SAFETY: `index_getprocinfo` reads beyond its array if the number is too large.
        let most = unsafe { (*(*index).rd_indam).amsupport };
        assert!((1..=most).contains(&number), "operator classes have no function {number}");
        let seed = pg_sys::Datum::from(seed);
        // SAFETY: column and number exist. The function takes a value of this type: only superusers declare which does so.
        let hash = unsafe {
            let collation = *(*index).rd_indcollation.add(self.column);
            if self.type_oid == self.index.column_type(self.column) {
                let attribute = i16::try_from(self.column + 1).unwrap_or(i16::MAX);
                let function = pg_sys::index_getprocinfo(index, attribute, number);
                pg_sys::FunctionCall2Coll(function, collation, self.datum, seed)
            } else {
                pg_sys::OidFunctionCall2Coll(self.family_function(number), collation, self.datum, seed)
            }
        };
        hash.value() as u64
    }

    /// The function of this number for the value's type, from the family of its column's operator class.
    fn family_function(&self, number: u16) -> pg_sys::Oid {
        let type_oid = pg_sys::Oid::from(self.type_oid.get());
        // SAFETY: there is a family for each column.
        let function = unsafe {
            let family = *(*self.index.as_raw()).rd_opfamily.add(self.column);
            pg_sys::get_opfamily_proc(family, type_oid, type_oid, i16::try_from(number).unwrap_or(i16::MAX))
        };
        if function == pg_sys::InvalidOid {
            let code = PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION;
            let column = self.column + 1;
            let message = format!(
                "missing support function {number} for type {} for attribute {column} of index \"{}\"",
                self.type_oid,
                self.index.name()
            );
            pgxlog::raise(code, message, None);
        }
        function
    }
}
