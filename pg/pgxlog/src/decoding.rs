//! Logical decoding of a custom resource manager's records.
//!
//! Source: `src/backend/replication/logical/decode.c`: `heap_decode`, `logicalmsg_decode`.

mod row;

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

use pgrx::pg_sys;
use pgwal::{Oid, Record};

pub use row::RowChange;

// pgrx has no binding of `src/include/replication/snapbuild.h`. They may raise an ERROR, so each is called in a guard.
unsafe extern "C-unwind" {
    fn SnapBuildCurrentState(builder: *mut pg_sys::SnapBuild) -> std::ffi::c_int;
    fn SnapBuildProcessChange(builder: *mut pg_sys::SnapBuild, xid: u32, lsn: u64) -> bool;
    fn SnapBuildXactNeedsSkip(builder: *mut pg_sys::SnapBuild, lsn: u64) -> bool;
    #[cfg(feature = "pg15")]
    fn SnapBuildGetOrBuildSnapshot(builder: *mut pg_sys::SnapBuild, xid: u32) -> pg_sys::Snapshot;
    #[cfg(not(feature = "pg15"))]
    fn SnapBuildGetOrBuildSnapshot(builder: *mut pg_sys::SnapBuild) -> pg_sys::Snapshot;
}

/// `SNAPBUILD_FULL_SNAPSHOT` and `SNAPBUILD_CONSISTENT`.
const FULL_SNAPSHOT: std::ffi::c_int = 1;
const CONSISTENT: std::ffi::c_int = 2;

/// `XLogRecordBuffer`, which pgrx knows by its name alone. Source: `src/include/replication/decode.h`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct XLogRecordBuffer {
    /// Where the record begins and ends.
    pub(crate) origptr: pg_sys::XLogRecPtr,
    pub(crate) endptr: pg_sys::XLogRecPtr,
    pub(crate) record: *mut pg_sys::XLogReaderState,
}

/// When an output plugin hears of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// With the other changes of the record's transaction, if that commits.
    Transactional,
    /// At once, whether the transaction commits or not.
    Immediate,
}

/// Where a record's logical messages and rows go.
#[derive(Debug)]
pub struct Decoding<'r> {
    context: NonNull<pg_sys::LogicalDecodingContext>,
    buffer: NonNull<XLogRecordBuffer>,
    record: &'r Record<'r>,
    _not_send: PhantomData<*mut ()>,
}

impl<'r> Decoding<'r> {
    /// # Safety
    /// Both are those of `rm_decode`, for as long as `'r` lives, and `record` is the one in `buffer`.
    pub(crate) unsafe fn new(
        context: NonNull<pg_sys::LogicalDecodingContext>,
        buffer: NonNull<XLogRecordBuffer>,
        record: &'r Record<'r>,
    ) -> Self {
        Self { context, buffer, record, _not_send: PhantomData }
    }

    /// The database whose changes are decoded. Records of others come along too: they are to be left out.
    #[must_use]
    pub fn database(&self) -> Oid {
        // SAFETY: a context that decodes has its slot.
        Oid::new(unsafe { (*(*self.context.as_ptr()).slot).data.database }.to_u32())
    }

    /// Whether the record changes a block of the database whose changes are decoded.
    #[must_use]
    pub fn is_of_this_database(&self) -> bool {
        let database = self.database();
        self.record.blocks.iter().any(|block| block.relation.database == database)
    }

    /// Gives the output plugin a message, as `pg_logical_emit_message` does. Nothing is given if the record is from before
    /// the slot's snapshot, or of an origin that the plugin leaves out.
    ///
    /// Raises an ERROR if the record has no transaction and the message is transactional.
    pub fn message(&mut self, delivery: Delivery, prefix: &CStr, content: &[u8]) {
        let xid = self.record.xid.get();
        if delivery == Delivery::Transactional && xid == 0 {
            let code = pgrx::PgSqlErrorCode::ERRCODE_INTERNAL_ERROR;
            crate::raise(code, "a record without transaction has no transactional messages", None);
        }
        if !self.is_wanted(delivery) {
            return;
        }
        // SAFETY: both are valid: see `new`.
        let (context, buffer) = unsafe { (self.context.as_ref(), self.buffer.as_ref()) };
        // SAFETY: no frame with destructors is between the guard and PostgreSQL; the functions are called as
        // `logicalmsg_decode` does, in that order.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let snapshot = match delivery {
                    Delivery::Transactional => null_mut(),
                    #[cfg(feature = "pg15")]
                    Delivery::Immediate => SnapBuildGetOrBuildSnapshot(context.snapshot_builder, xid),
                    #[cfg(not(feature = "pg15"))]
                    Delivery::Immediate => SnapBuildGetOrBuildSnapshot(context.snapshot_builder),
                };
                ReorderBufferQueueMessage(
                    context.reorder,
                    xid,
                    snapshot,
                    buffer.endptr,
                    delivery == Delivery::Transactional,
                    prefix.as_ptr(),
                    content.len(),
                    content.as_ptr().cast(),
                );
            });
        }
    }

    /// Whether what the record says is for the output plugin, as far as the slot's snapshot, what it was told already, and the
    /// record's origin go. Keeps the snapshot that the record's transaction needs, as `heap_decode` does, whatever the answer.
    fn is_wanted(&mut self, delivery: Delivery) -> bool {
        let (xid, origin) = (self.record.xid.get(), self.origin());
        // SAFETY: both are valid: see `new`.
        let (context, lsn) = unsafe { (self.context.as_mut(), self.buffer.as_ref().origptr) };
        // SAFETY: no frame with destructors is between the guard and PostgreSQL; the functions are called as
        // `heap_decode` and `logicalmsg_decode` do.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let builder = context.snapshot_builder;
                let state = SnapBuildCurrentState(builder);
                if state < FULL_SNAPSHOT {
                    return false;
                }
                let is_reached = match delivery {
                    Delivery::Transactional => SnapBuildProcessChange(builder, xid, lsn),
                    Delivery::Immediate => state == CONSISTENT && !SnapBuildXactNeedsSkip(builder, lsn),
                };
                if !is_reached {
                    return false;
                }
                // Without output plugin there is no callback either.
                if context.callbacks.filter_by_origin_cb.is_some() && filter_by_origin_cb_wrapper(context, origin) {
                    return false;
                }
                if context.fast_forward {
                    #[cfg(any(feature = "pg17", feature = "pg18"))]
                    if delivery == Delivery::Immediate {
                        context.processing_required = true;
                    }
                    return false;
                }
                true
            })
        }
    }

    /// The record's replication origin; zero if it tells none.
    fn origin(&self) -> u16 {
        self.record.origin.map_or(0, pgwal::OriginId::get)
    }
}

// Called in the guards above, so without one of their own.
unsafe extern "C-unwind" {
    fn filter_by_origin_cb_wrapper(context: *mut pg_sys::LogicalDecodingContext, origin: u16) -> bool;
    #[allow(clippy::too_many_arguments)]
    fn ReorderBufferQueueMessage(
        reorder: *mut pg_sys::ReorderBuffer,
        xid: u32,
        snapshot: pg_sys::Snapshot,
        lsn: u64,
        transactional: bool,
        prefix: *const std::ffi::c_char,
        size: usize,
        message: *const std::ffi::c_char,
    );
}
