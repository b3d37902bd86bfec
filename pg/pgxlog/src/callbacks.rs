//! The C face of a plugin, as in `include/walker.h`.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;
use pgwal::{Lsn, TimelineId};
use walker_core::LogPosition;

/// Called with nothing.
pub type PlainCallback = unsafe extern "C-unwind" fn();
/// Called with a record.
pub type RecordCallback = unsafe extern "C-unwind" fn(record: *mut pg_sys::XLogReaderState);
/// Called with the position up to which the plugin was told.
pub type FlushCallback = unsafe extern "C-unwind" fn(position: *const Position);
/// Tells where the plugin wants to begin: one of the constants of [`Callbacks`]; with [`Callbacks::RESUME_AT`], the position.
pub type ResumeCallback = unsafe extern "C-unwind" fn(position: *mut Position) -> c_int;
/// Does a little of what is not urgent; returns whether there is more.
pub type WorkCallback = unsafe extern "C-unwind" fn() -> bool;
/// Called with the position where the log goes on.
pub type GapCallback = unsafe extern "C-unwind" fn(next: pg_sys::XLogRecPtr);
/// Called with a question of so many bytes; appends its answer.
pub type AnswerCallback = unsafe extern "C-unwind" fn(
    question: *const c_char,
    length: pg_sys::Size,
    position: pg_sys::XLogRecPtr,
    answer: pg_sys::StringInfo,
);

/// `WALkerPosition` of `include/walker.h`: a position that says of which log it is.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)] // described in the header
pub struct Position {
    pub system_identifier: u64,
    pub lsn: pg_sys::XLogRecPtr,
    pub timeline: pg_sys::TimeLineID,
}

impl From<LogPosition> for Position {
    fn from(position: LogPosition) -> Self {
        let LogPosition { system_identifier, timeline, lsn } = position;
        Self { system_identifier, lsn: lsn.get(), timeline: timeline.get() }
    }
}

impl From<Position> for LogPosition {
    fn from(position: Position) -> Self {
        let Position { system_identifier, lsn, timeline } = position;
        Self { system_identifier, timeline: TimelineId::new(timeline), lsn: Lsn::new(lsn) }
    }
}

/// `WALkerCallbacks` of `include/walker.h`: what a plugin wants to be told. The first six members are those of the
/// original WALker and never change; members are only ever added at the end.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)] // described in the header
pub struct Callbacks {
    pub startup_cb: Option<PlainCallback>,
    pub heap_cb: Option<RecordCallback>,
    pub heap2_cb: Option<RecordCallback>,
    pub xlog_cb: Option<RecordCallback>,
    pub xact_cb: Option<RecordCallback>,
    pub smgr_cb: Option<RecordCallback>,

    pub struct_size: u32,
    pub version: u32,

    pub record_cb: Option<RecordCallback>,

    pub clog_cb: Option<RecordCallback>,
    pub dbase_cb: Option<RecordCallback>,
    pub tblspc_cb: Option<RecordCallback>,
    pub multixact_cb: Option<RecordCallback>,
    pub relmap_cb: Option<RecordCallback>,
    pub standby_cb: Option<RecordCallback>,
    pub btree_cb: Option<RecordCallback>,
    pub hash_cb: Option<RecordCallback>,
    pub gin_cb: Option<RecordCallback>,
    pub gist_cb: Option<RecordCallback>,
    pub seq_cb: Option<RecordCallback>,
    pub spgist_cb: Option<RecordCallback>,
    pub brin_cb: Option<RecordCallback>,
    pub commit_ts_cb: Option<RecordCallback>,
    pub replorigin_cb: Option<RecordCallback>,
    pub generic_cb: Option<RecordCallback>,
    pub logicalmsg_cb: Option<RecordCallback>,

    pub custom_cb: Option<RecordCallback>,

    pub flush_cb: Option<FlushCallback>,
    pub shutdown_cb: Option<PlainCallback>,
    pub answer_cb: Option<AnswerCallback>,

    pub resume_cb: Option<ResumeCallback>,
    pub gap_cb: Option<GapCallback>,
    pub work_cb: Option<WorkCallback>,
}

impl Callbacks {
    /// `WALKER_VERSION`.
    pub const VERSION: u32 = 1;
    /// `WALKER_RESUME_NOW`.
    pub const RESUME_NOW: c_int = 0;
    /// `WALKER_RESUME_CHECKPOINT`.
    pub const RESUME_CHECKPOINT: c_int = 1;
    /// `WALKER_RESUME_AT`.
    pub const RESUME_AT: c_int = 2;

    /// None set, size and version as a worker of this version tells them.
    #[must_use]
    pub fn new() -> Self {
        Self { struct_size: size_of::<Self>() as u32, version: Self::VERSION, ..Self::default() }
    }

    /// The callback for records of a resource manager.
    #[must_use]
    pub fn of(&self, rmgr: pgwal::RmgrId) -> Option<RecordCallback> {
        use pgwal::RmgrId;
        match rmgr {
            RmgrId::XLOG => self.xlog_cb,
            RmgrId::TRANSACTION => self.xact_cb,
            RmgrId::STORAGE => self.smgr_cb,
            RmgrId::CLOG => self.clog_cb,
            RmgrId::DATABASE => self.dbase_cb,
            RmgrId::TABLESPACE => self.tblspc_cb,
            RmgrId::MULTI_XACT => self.multixact_cb,
            RmgrId::REL_MAP => self.relmap_cb,
            RmgrId::STANDBY => self.standby_cb,
            RmgrId::HEAP2 => self.heap2_cb,
            RmgrId::HEAP => self.heap_cb,
            RmgrId::BTREE => self.btree_cb,
            RmgrId::HASH => self.hash_cb,
            RmgrId::GIN => self.gin_cb,
            RmgrId::GIST => self.gist_cb,
            RmgrId::SEQUENCE => self.seq_cb,
            RmgrId::SP_GIST => self.spgist_cb,
            RmgrId::BRIN => self.brin_cb,
            RmgrId::COMMIT_TS => self.commit_ts_cb,
            RmgrId::REPLICATION_ORIGIN => self.replorigin_cb,
            RmgrId::GENERIC => self.generic_cb,
            RmgrId::LOGICAL_MESSAGE => self.logicalmsg_cb,
            rmgr if rmgr.is_custom() => self.custom_cb,
            _ => None,
        }
    }
}
