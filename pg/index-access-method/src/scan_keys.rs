//! What a scan looks for.

use std::slice;

use pgrx::pg_sys;
use pgwal::Oid;

use crate::index::Index;
use crate::values::Value;

/// The conditions that the tuples found have to satisfy, all of them.
#[derive(Debug)]
pub struct ScanKeys<'a> {
    index: Index<'a>,
    keys: &'a [pg_sys::ScanKeyData],
}

/// One condition: `column operator value`.
#[derive(Debug, Clone, Copy)]
pub struct ScanKey<'a> {
    /// The column's number, from zero.
    pub column: usize,
    /// The operator's number in the column's operator class, from one.
    pub strategy: u16,
    /// With what it is compared; `None` for NULL, with which an operator that is strict finds nothing.
    pub value: Option<Value<'a>>,
}

impl<'a> ScanKeys<'a> {
    /// The keys of a scan.
    ///
    /// # Safety
    /// There are as many at `keys` for all of `'a`, of that index.
    pub(crate) unsafe fn from_raw(index: Index<'a>, keys: *const pg_sys::ScanKeyData, count: usize) -> Self {
        // SAFETY: promised by the caller; without keys the pointer may be null.
        let keys = if count == 0 { &[] } else { unsafe { slice::from_raw_parts(keys, count) } };
        Self { index, keys }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = ScanKey<'a>> {
        let index = self.index;
        self.keys.iter().map(move |key| {
            let column = usize::try_from(key.sk_attno - 1).unwrap_or_default();
            index.check_column(column);
            let is_null = key.sk_flags & pg_sys::SK_ISNULL as i32 != 0;
            let type_oid = match key.sk_subtype.to_u32() {
                0 => index.column_type(column),
                other => Oid::new(other),
            };
            // SAFETY: the value belongs to the scan, and is of the operator's right type.
            let value = (!is_null).then(|| unsafe { Value::from_raw(index, column, key.sk_argument, type_oid) });
            ScanKey { column, strategy: key.sk_strategy, value }
        })
    }
}
