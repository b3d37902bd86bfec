//! Rows as records hold them for logical decoding.
//!
//! Source: `src/backend/access/heap/heapam.c`: `ExtractReplicaIdentity`.

use std::mem::offset_of;

use pgrx::{PgSqlErrorCode, pg_sys};
use pgwal::LoggedTuple;

use crate::catch::raise;
use crate::record_view::bytes;
use crate::relation::Relation;

// pgrx has no binding of `src/include/access/heaptoast.h`. It may raise an ERROR, so it is called in a guard.
unsafe extern "C-unwind" {
    fn toast_flatten_tuple(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> pg_sys::HeapTuple;
}

/// Bytes of a tuple before its null bitmap (`SizeofHeapTupleHeader`).
pub(crate) const TUPLE_HEADER: usize = offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
/// What the two masks tell of the values; the rest is about transactions.
const OF_VALUES: u16 = (pg_sys::HEAP_HASNULL | pg_sys::HEAP_HASVARWIDTH | pg_sys::HEAP_HASEXTERNAL) as u16;
const COLUMNS: u16 = pg_sys::HEAP_NATTS_MASK as u16;

/// What a record holds of the relation's rows, so that logical decoding can tell of them: see
/// [`Decoding::row`](crate::Decoding::row). All of it is needed only if [`Relation::is_logically_logged`].
impl Relation<'_> {
    /// A row that is inserted, or as it is after an update. Values that are stored elsewhere (TOAST) are fetched into it.
    ///
    /// Raises an ERROR if they cannot be fetched.
    ///
    /// # Safety
    /// `row` is a valid tuple of this relation's columns as they are now.
    #[must_use]
    pub unsafe fn logged_row(&self, row: pg_sys::HeapTuple) -> LoggedTuple<'static> {
        // SAFETY: promised by the caller, and the tuple descriptor is the relation's.
        unsafe {
            if u32::from((*(*row).t_data).t_infomask) & pg_sys::HEAP_HASEXTERNAL == 0 {
                return logged(row);
            }
            let descriptor = (*self.as_raw()).rd_att;
            let flat = pg_sys::ffi::pg_guard_ffi_boundary(|| toast_flatten_tuple(row, descriptor));
            let logged = logged(flat);
            pg_sys::heap_freetuple(flat);
            logged
        }
    }

    /// What is needed of a row that is deleted: by the relation's `REPLICA IDENTITY` its key, all of it, or nothing.
    ///
    /// Raises an ERROR as [`Relation::logged_row`] does.
    ///
    /// # Safety
    /// As [`Relation::logged_row`].
    #[must_use]
    pub unsafe fn logged_deleted_row(&self, row: pg_sys::HeapTuple) -> Option<LoggedTuple<'static>> {
        // SAFETY: promised by the caller.
        unsafe {
            match self.identity()? {
                Identity::AllColumns => Some(self.logged_row(row)),
                Identity::Key => self.logged_key(row),
            }
        }
    }

    /// What is needed of a row as it was before an update: by the relation's `REPLICA IDENTITY` its key if that changes,
    /// all of it, or nothing.
    ///
    /// Raises an ERROR as [`Relation::logged_row`] does.
    ///
    /// # Safety
    /// As [`Relation::logged_row`], for both.
    #[must_use]
    pub unsafe fn logged_old_row(
        &self,
        old: pg_sys::HeapTuple,
        new: pg_sys::HeapTuple,
    ) -> Option<LoggedTuple<'static>> {
        // SAFETY: promised by the caller.
        unsafe {
            match self.identity()? {
                Identity::AllColumns => Some(self.logged_row(old)),
                // Equal values are equal bytes: what lies between them is zero.
                Identity::Key => self.logged_key(old).filter(|key| self.logged_key(new).as_ref() != Some(key)),
            }
        }
    }

    /// The columns of the replica identity, with nulls in place of all others; none if it has no columns.
    ///
    /// # Safety
    /// As [`Relation::logged_row`].
    unsafe fn logged_key(&self, row: pg_sys::HeapTuple) -> Option<LoggedTuple<'static>> {
        // SAFETY: promised by the caller; the arrays have room for each column of the relation's descriptor.
        unsafe {
            let kind = pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_IDENTITY_KEY;
            let columns = pg_sys::RelationGetIndexAttrBitmap(self.as_raw(), kind);
            if columns.is_null() {
                return None;
            }
            let descriptor = (*self.as_raw()).rd_att;
            let count = usize::try_from((*descriptor).natts).unwrap_or(0);
            let mut values = vec![pg_sys::Datum::null(); count];
            let mut are_null = vec![true; count];
            pg_sys::heap_deform_tuple(row, descriptor, values.as_mut_ptr(), are_null.as_mut_ptr());
            for (number, is_null) in (1..).zip(&mut are_null) {
                *is_null |= !pg_sys::bms_is_member(number - pg_sys::FirstLowInvalidHeapAttributeNumber, columns);
            }
            pg_sys::bms_free(columns);
            let key = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), are_null.as_mut_ptr());
            let logged = self.logged_row(key);
            pg_sys::heap_freetuple(key);
            Some(logged)
        }
    }

    /// `None` if nothing tells its rows apart, or nobody asks.
    fn identity(&self) -> Option<Identity> {
        if !self.is_logically_logged() {
            return None;
        }
        // SAFETY: an open relation has its row of pg_class.
        match unsafe { (*(*self.as_raw()).rd_rel).relreplident } as u8 {
            pg_sys::REPLICA_IDENTITY_NOTHING => None,
            pg_sys::REPLICA_IDENTITY_FULL => Some(Identity::AllColumns),
            _ => Some(Identity::Key),
        }
    }
}

/// What tells the rows of a relation apart (`REPLICA IDENTITY`).
enum Identity {
    Key,
    AllColumns,
}

/// A copy of the tuple in the form of records.
///
/// # Safety
/// `tuple` is a valid tuple.
unsafe fn logged(tuple: pg_sys::HeapTuple) -> LoggedTuple<'static> {
    // SAFETY: promised by the caller; a tuple has t_len bytes, with all of its header.
    let (header, all) = unsafe { (&*(*tuple).t_data, bytes((*tuple).t_data.cast(), (*tuple).t_len as usize)) };
    let mut logged = Vec::with_capacity(all.len());
    logged.extend((header.t_infomask2 & COLUMNS).to_le_bytes());
    logged.extend((header.t_infomask & OF_VALUES).to_le_bytes());
    logged.push(header.t_hoff);
    logged.extend(all.get(TUPLE_HEADER..).unwrap_or_default());
    LoggedTuple::parse(logged)
        .unwrap_or_else(|error| raise(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, format!("invalid tuple: {error}"), None))
}
