//! Checkpoints, full-page images, parameters. Source: `src/include/catalog/pg_control.h`,
//! `src/include/access/xlog_internal.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{MultiXactId, Oid, TimelineId, TransactionId};
use crate::lsn::Lsn;
use crate::record::Record;
use crate::rmgr::{c_string, parse_main};
use crate::timestamp::Timestamp;
use crate::version::Version;

/// A checkpoint at shutdown (`XLOG_CHECKPOINT_SHUTDOWN`).
pub const CHECKPOINT_SHUTDOWN: u8 = 0x00;
/// A checkpoint while the server runs (`XLOG_CHECKPOINT_ONLINE`).
pub const CHECKPOINT_ONLINE: u8 = 0x10;
/// The rest of the segment is unused (`XLOG_SWITCH`).
pub const SWITCH: u8 = 0x40;

/// A record of resource manager XLOG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Xlog<'a> {
    /// A checkpoint at shutdown or at the end of recovery: no transaction is open.
    CheckpointShutdown(Checkpoint),
    /// A checkpoint while the server runs.
    CheckpointOnline(Checkpoint),
    /// Nothing.
    Noop,
    /// The next OID to give out.
    NextOid(Oid),
    /// The rest of the segment is unused.
    Switch,
    /// An online backup that began here ended.
    BackupEnd(Lsn),
    /// Settings that a standby has to know.
    ParameterChange(ParameterChange),
    /// A named point: the name up to its terminating zero.
    RestorePoint(Timestamp, &'a [u8]),
    /// `full_page_writes` changed.
    FullPageWrites(bool),
    /// Recovery ended without a checkpoint: no transaction is open but prepared ones.
    EndOfRecovery(EndOfRecovery),
    /// Images of pages of which only hints changed; perhaps none.
    ImageForHint,
    /// Images of pages that were written as a whole.
    Image,
    /// A record was given up in its middle by a crash.
    OverwriteContrecord(Lsn, Timestamp),
    /// Where a checkpoint's redo begins, and `wal_level` there (17 and later).
    CheckpointRedo(i32),
    /// An operation that is not known here.
    Unknown,
}

/// `CheckPoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where redo begins: each page gets its next image from here on.
    pub redo: Lsn,
    /// The timeline.
    pub timeline: TimelineId,
    /// The timeline before, or the same.
    pub previous_timeline: TimelineId,
    /// `full_page_writes`.
    pub full_page_writes: bool,
    /// `wal_level` (17 and later): minimal 0, replica 1, logical 2.
    pub wal_level: Option<i32>,
    /// The next transaction, with its epoch in the upper half.
    pub next_full_xid: u64,
    /// The next OID.
    pub next_oid: Oid,
    /// The next set of transactions.
    pub next_multi: MultiXactId,
    /// Where its members will be.
    pub next_multi_offset: u32,
    /// The oldest transaction that may still be looked up.
    pub oldest_xid: TransactionId,
    /// The database that has it.
    pub oldest_xid_database: Oid,
    /// The oldest set of transactions that may still be looked up.
    pub oldest_multi: MultiXactId,
    /// The database that has it.
    pub oldest_multi_database: Oid,
    /// When, in seconds since 1970.
    pub time: i64,
    /// Oldest transaction with a commit timestamp.
    pub oldest_commit_timestamp_xid: TransactionId,
    /// Newest transaction with a commit timestamp.
    pub newest_commit_timestamp_xid: TransactionId,
    /// Oldest transaction still open (online only).
    pub oldest_active_xid: TransactionId,
}

/// `xl_parameter_change`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterChange {
    /// `max_connections`.
    pub max_connections: i32,
    /// `max_worker_processes`.
    pub max_worker_processes: i32,
    /// `max_wal_senders`.
    pub max_wal_senders: i32,
    /// `max_prepared_transactions`.
    pub max_prepared_transactions: i32,
    /// `max_locks_per_transaction`.
    pub max_locks_per_transaction: i32,
    /// `wal_level`: minimal 0, replica 1, logical 2.
    pub wal_level: i32,
    /// `wal_log_hints`.
    pub wal_log_hints: bool,
    /// `track_commit_timestamp`.
    pub track_commit_timestamp: bool,
}

/// `xl_end_of_recovery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfRecovery {
    /// When.
    pub time: Timestamp,
    /// The new timeline.
    pub timeline: TimelineId,
    /// The timeline before.
    pub previous_timeline: TimelineId,
    /// `wal_level` (17 and later).
    pub wal_level: Option<i32>,
}

impl<'a> Xlog<'a> {
    /// Reads a record of resource manager XLOG.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'a>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::CheckpointShutdown(Checkpoint::parse(cursor, record.version)?),
                0x10 => Self::CheckpointOnline(Checkpoint::parse(cursor, record.version)?),
                0x20 => Self::Noop,
                0x30 => Self::NextOid(Oid::new(cursor.u32("nextOid")?)),
                SWITCH => Self::Switch,
                0x50 => Self::BackupEnd(Lsn::new(cursor.u64("startpoint")?)),
                0x60 => Self::ParameterChange(ParameterChange::parse(cursor)?),
                0x70 => {
                    let time = Timestamp::new(cursor.i64("rp_time")?);
                    Self::RestorePoint(time, c_string(cursor))
                }
                0x80 => Self::FullPageWrites(cursor.bool("fpw")?),
                0x90 => Self::EndOfRecovery(EndOfRecovery::parse(cursor, record.version)?),
                0xA0 => Self::ImageForHint,
                0xB0 => Self::Image,
                0xD0 => {
                    let overwritten = Lsn::new(cursor.u64("overwritten_lsn")?);
                    Self::OverwriteContrecord(overwritten, Timestamp::new(cursor.i64("overwrite_time")?))
                }
                0xE0 if record.version >= Version::V17 => Self::CheckpointRedo(cursor.i32("wal_level")?),
                _ => Self::Unknown,
            })
        })
    }
}

impl Checkpoint {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        let redo = Lsn::new(cursor.u64("redo")?);
        let timeline = TimelineId::new(cursor.u32("ThisTimeLineID")?);
        let previous_timeline = TimelineId::new(cursor.u32("PrevTimeLineID")?);
        let full_page_writes = cursor.bool("fullPageWrites")?;
        cursor.skip("padding", 3)?;
        // 17 put wal_level into what was padding before the next field of 8 bytes.
        let level = cursor.i32("wal_level")?;
        let wal_level = (version >= Version::V17).then_some(level);
        let next_full_xid = cursor.u64("nextXid")?;
        let next_oid = Oid::new(cursor.u32("nextOid")?);
        let next_multi = MultiXactId::new(cursor.u32("nextMulti")?);
        let next_multi_offset = cursor.u32("nextMultiOffset")?;
        let oldest_xid = TransactionId::new(cursor.u32("oldestXid")?);
        let oldest_xid_database = Oid::new(cursor.u32("oldestXidDB")?);
        let oldest_multi = MultiXactId::new(cursor.u32("oldestMulti")?);
        let oldest_multi_database = Oid::new(cursor.u32("oldestMultiDB")?);
        cursor.skip("padding", 4)?;
        let time = cursor.i64("time")?;
        let oldest_commit_timestamp_xid = TransactionId::new(cursor.u32("oldestCommitTsXid")?);
        let newest_commit_timestamp_xid = TransactionId::new(cursor.u32("newestCommitTsXid")?);
        let oldest_active_xid = TransactionId::new(cursor.u32("oldestActiveXid")?);
        Ok(Self {
            redo,
            timeline,
            previous_timeline,
            full_page_writes,
            wal_level,
            next_full_xid,
            next_oid,
            next_multi,
            next_multi_offset,
            oldest_xid,
            oldest_xid_database,
            oldest_multi,
            oldest_multi_database,
            time,
            oldest_commit_timestamp_xid,
            newest_commit_timestamp_xid,
            oldest_active_xid,
        })
    }

    /// The next transaction without its epoch.
    #[must_use]
    pub const fn next_xid(&self) -> TransactionId {
        // The lower half is meant.
        #[allow(clippy::cast_possible_truncation)]
        TransactionId::new(self.next_full_xid as u32)
    }

    /// How often transaction numbers have wrapped around.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        (self.next_full_xid >> 32) as u32
    }
}

impl ParameterChange {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            max_connections: cursor.i32("MaxConnections")?,
            max_worker_processes: cursor.i32("max_worker_processes")?,
            max_wal_senders: cursor.i32("max_wal_senders")?,
            max_prepared_transactions: cursor.i32("max_prepared_xacts")?,
            max_locks_per_transaction: cursor.i32("max_locks_per_xact")?,
            wal_level: cursor.i32("wal_level")?,
            wal_log_hints: cursor.bool("wal_log_hints")?,
            track_commit_timestamp: cursor.bool("track_commit_timestamp")?,
        })
    }
}

/// Name of a `wal_level`, `?` for one that does not exist.
#[must_use]
pub const fn wal_level_name(level: i32) -> &'static str {
    match level {
        0 => "minimal",
        1 => "replica",
        2 => "logical",
        _ => "?",
    }
}

impl EndOfRecovery {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        let time = Timestamp::new(cursor.i64("end_time")?);
        let timeline = TimelineId::new(cursor.u32("ThisTimeLineID")?);
        let previous_timeline = TimelineId::new(cursor.u32("PrevTimeLineID")?);
        let wal_level = if version >= Version::V17 { Some(cursor.i32("wal_level")?) } else { None };
        Ok(Self { time, timeline, previous_timeline, wal_level })
    }
}

/// Name of the operation as in `xlog_identify`; `None` for one that does not exist.
#[must_use]
pub fn identify(info: u8, version: Version) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x00 => "CHECKPOINT_SHUTDOWN",
        0x10 => "CHECKPOINT_ONLINE",
        0x20 => "NOOP",
        0x30 => "NEXTOID",
        SWITCH => "SWITCH",
        0x50 => "BACKUP_END",
        0x60 => "PARAMETER_CHANGE",
        0x70 => "RESTORE_POINT",
        0x80 => "FPW_CHANGE",
        0x90 => "END_OF_RECOVERY",
        0xA0 => "FPI_FOR_HINT",
        0xB0 => "FPI",
        0xD0 => "OVERWRITE_CONTRECORD",
        0xE0 if version >= Version::V17 => "CHECKPOINT_REDO",
        _ => return None,
    })
}
