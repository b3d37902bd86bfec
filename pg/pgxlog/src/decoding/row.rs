//! Rows for the output plugins of logical decoding.
//!
//! Source: `src/backend/replication/logical/decode.c`: `DecodeInsert`, `DecodeUpdate`, `DecodeDelete`, `DecodeXLogTuple`.

use std::ptr::null_mut;

use pgrx::pg_sys;
use pgwal::{LoggedTuple, RelFileLocator};

use super::{Decoding, Delivery};
use crate::logged_tuple::TUPLE_HEADER;

/// What happened to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange<'a> {
    /// It was added: see [`Relation::logged_row`](crate::Relation::logged_row).
    Insert(LoggedTuple<'a>),
    /// It was changed.
    Update {
        /// What it was before: see [`Relation::logged_old_row`](crate::Relation::logged_old_row).
        old: Option<LoggedTuple<'a>>,
        /// All of it as it is now.
        new: LoggedTuple<'a>,
    },
    /// It was removed.
    Delete {
        /// What it was: see [`Relation::logged_deleted_row`](crate::Relation::logged_deleted_row).
        old: Option<LoggedTuple<'a>>,
    },
}

#[cfg(any(feature = "pg15", feature = "pg16"))]
type TupleBuffer = *mut pg_sys::ReorderBufferTupleBuf;
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
type TupleBuffer = pg_sys::HeapTuple;

#[cfg(feature = "pg18")]
use pg_sys::{ReorderBufferAllocChange as new_change, ReorderBufferAllocTupleBuf as new_tuple_buffer};
#[cfg(not(feature = "pg18"))]
use pg_sys::{ReorderBufferGetChange as new_change, ReorderBufferGetTupleBuf as new_tuple_buffer};

impl Decoding<'_> {
    /// Tells the output plugin that the record's transaction has changed a row of the table whose files are at `table`, as
    /// it is told of rows of a heap: with the other changes of the transaction, if that commits. Nothing is told if the table is of
    /// another database or is not logically logged, the record is from before the slot's snapshot, or of an origin that the
    /// plugin leaves out.
    ///
    /// Raises an ERROR if the record has no transaction: see
    /// [`assign_transaction_id`](crate::assign_transaction_id). If no relation has its files there, as
    /// the transaction sees it behind this record, whoever decodes the transaction gets an ERROR, each time.
    ///
    /// # Safety
    /// The tuples are rows of that relation, with the columns that it had when the record was written:
    /// - They were made by that relation's [`logged_row`](crate::Relation::logged_row) and its siblings, or are as such ones:
    ///   each value is whole and of its column's type.
    /// - The writer held a lock on the relation which keeps others from changing its columns, such as `RowExclusiveLock`, until
    ///   the end of the transaction.
    /// - The relation is a table.
    ///
    /// Nothing of this can be seen here: the relation's columns at that time become known when the transaction is
    /// handed to the output plugin, which reads the values by them without further checks. So the records of this
    /// operation must have no other writer.
    pub unsafe fn row(&mut self, table: RelFileLocator, change: RowChange<'_>) {
        if self.record.xid.get() == 0 {
            let code = pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
            crate::raise(code, "a record without transaction changes no rows", None);
        }
        // First, as heap_decode does: the snapshot is kept even if the record tells nothing.
        if !self.is_wanted(Delivery::Transactional) || table.database != self.database() {
            return;
        }
        use pg_sys::ReorderBufferChangeType as Action;
        let (action, old, new) = match &change {
            RowChange::Insert(new) => (Action::REORDER_BUFFER_CHANGE_INSERT, None, Some(new)),
            RowChange::Update { old, new } => (Action::REORDER_BUFFER_CHANGE_UPDATE, old.as_ref(), Some(new)),
            RowChange::Delete { old } => (Action::REORDER_BUFFER_CHANGE_DELETE, old.as_ref(), None),
        };
        // SAFETY: context and buffer are valid: see `new`. Each function is called in a guard of pgrx's, and what it gives is ours
        // until the change is queued; an ERROR before that leaves it to the memory of the reorder buffer, as in C.
        unsafe {
            let reorder = self.context.as_ref().reorder;
            let queued = new_change(reorder);
            (*queued).action = action;
            (*queued).origin_id = self.origin();
            let row = &raw mut (*queued).data.tp;
            #[cfg(feature = "pg15")]
            {
                (*row).relnode = pg_sys::RelFileNode {
                    spcNode: table.tablespace.get().into(),
                    dbNode: table.database.get().into(),
                    relNode: table.relation.get().into(),
                };
            }
            #[cfg(not(feature = "pg15"))]
            {
                (*row).rlocator = pg_sys::RelFileLocator {
                    spcOid: table.tablespace.get().into(),
                    dbOid: table.database.get().into(),
                    relNumber: table.relation.get().into(),
                };
            }
            (*row).clear_toast_afterwards = true;
            (*row).oldtuple = old.map_or(null_mut(), |old| tuple_buffer(reorder, old));
            (*row).newtuple = new.map_or(null_mut(), |new| tuple_buffer(reorder, new));
            let xid = self.record.xid.get().into();
            pg_sys::ReorderBufferQueueChange(reorder, xid, self.buffer.as_ref().origptr, queued, false);
        }
    }
}

/// The tuple in memory of the reorder buffer.
///
/// # Safety
/// `reorder` is valid.
unsafe fn tuple_buffer(reorder: *mut pg_sys::ReorderBuffer, logged: &LoggedTuple<'_>) -> TupleBuffer {
    let data = logged.data();
    // SAFETY: there is room for the header of a tuple and the data, aligned as a tuple wants it.
    unsafe {
        let buffer = new_tuple_buffer(reorder, data.len());
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let tuple = &raw mut (*buffer).tuple;
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let tuple = buffer;
        // A record has less than 4 GB.
        (*tuple).t_len = (TUPLE_HEADER + data.len()) as u32;
        // It is on no page, and of which table it is is found out later.
        let no_block = pg_sys::BlockIdData { bi_hi: u16::MAX, bi_lo: u16::MAX };
        (*tuple).t_self = pg_sys::ItemPointerData { ip_blkid: no_block, ip_posid: 0 };
        (*tuple).t_tableOid = pg_sys::InvalidOid;
        let start: *mut u8 = (*tuple).t_data.cast();
        start.write_bytes(0, TUPLE_HEADER);
        start.add(TUPLE_HEADER).copy_from_nonoverlapping(data.as_ptr(), data.len());
        let header = (*tuple).t_data;
        (*header).t_infomask2 = logged.infomask2();
        (*header).t_infomask = logged.infomask();
        (*header).t_hoff = logged.values_offset();
        buffer
    }
}
