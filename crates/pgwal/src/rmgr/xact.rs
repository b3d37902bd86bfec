//! Ends of transactions. Source: `src/include/access/xact.h`, `src/backend/access/rmgrdesc/xactdesc.c`:
//! `ParseCommitRecord`, `ParseAbortRecord`, `ParsePrepareRecord`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{Oid, RelFileLocator, TransactionId};
use crate::lsn::Lsn;
use crate::max_align;
use crate::record::Record;
use crate::rmgr::{parse_main, standby::Invalidation};
use crate::timestamp::Timestamp;
use crate::version::Version;

/// Bits of the info byte that tell the operation (`XLOG_XACT_OPMASK`).
pub const OPERATION_MASK: u8 = 0x70;
/// The record says what else it holds (`XLOG_XACT_HAS_INFO`).
const HAS_INFO: u8 = 0x80;

bitflags::bitflags! {
    /// What a commit or abort record holds, and how it is to be replayed (`XACT_XINFO_*`, `XACT_COMPLETION_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct EndFlags: u32 {
        /// Database and tablespace.
        const HAS_DATABASE = 1 << 0;
        /// Subtransactions.
        const HAS_SUBTRANSACTIONS = 1 << 1;
        /// Files to remove.
        const HAS_RELATIONS = 1 << 2;
        /// Invalidation messages.
        const HAS_INVALIDATIONS = 1 << 3;
        /// The prepared transaction that ends.
        const HAS_TWO_PHASE = 1 << 4;
        /// Replication origin.
        const HAS_ORIGIN = 1 << 5;
        /// It held access exclusive locks.
        const HAS_ACCESS_EXCLUSIVE_LOCKS = 1 << 6;
        /// The global identifier of the prepared transaction.
        const HAS_GLOBAL_IDENTIFIER = 1 << 7;
        /// Statistics to drop (15 and later).
        const HAS_DROPPED_STATISTICS = 1 << 8;
        /// `synchronous_commit = remote_apply`.
        const APPLY_FEEDBACK = 1 << 29;
        /// The relation cache's file is no longer valid.
        const RELCACHE_FILE_INVALIDATION = 1 << 30;
        /// The commit was forced to be synchronous.
        const FORCE_SYNC = 1 << 31;
        const _ = !0;
    }
}

/// A record of resource manager Transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Xact {
    /// A transaction, or a prepared one, committed.
    Commit(End),
    /// A transaction, a prepared one or a subtransaction, aborted.
    Abort(End),
    /// A transaction was prepared for commit in two phases.
    Prepare(Box<Prepare>),
    /// Subtransactions belong to a top transaction.
    Assignment {
        /// The top transaction.
        top: TransactionId,
        /// Its subtransactions.
        subtransactions: Vec<TransactionId>,
    },
    /// Invalidation messages of a command, for logical decoding.
    Invalidations(Vec<Invalidation>),
    /// An operation that is not known here.
    Unknown,
}

/// A commit or an abort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Who ended: the record's transaction, or the prepared one.
    pub xid: TransactionId,
    /// Whether a prepared transaction ended.
    pub prepared: bool,
    /// What the record holds.
    pub flags: EndFlags,
    /// When.
    pub time: Timestamp,
    /// Its database, if told.
    pub database: Oid,
    /// Its default tablespace, if told.
    pub tablespace: Oid,
    /// Subtransactions that ended with it.
    pub subtransactions: Vec<TransactionId>,
    /// Files that are removed now.
    pub relations: Vec<RelFileLocator>,
    /// Statistics that are dropped now.
    pub dropped_statistics: Vec<StatisticsItem>,
    /// Invalidation messages (commit only).
    pub invalidations: Vec<Invalidation>,
    /// Global identifier of the prepared transaction, if told.
    pub global_identifier: Option<Vec<u8>>,
    /// Where the replicated transaction committed at its origin, and when.
    pub origin: Option<(Lsn, Timestamp)>,
}

/// `xl_xact_prepare` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The transaction.
    pub xid: TransactionId,
    /// Its database.
    pub database: Oid,
    /// When it was prepared.
    pub time: Timestamp,
    /// Its global identifier.
    pub global_identifier: Vec<u8>,
    /// Its subtransactions.
    pub subtransactions: Vec<TransactionId>,
    /// Files to remove if it commits.
    pub commit_relations: Vec<RelFileLocator>,
    /// Files to remove if it aborts.
    pub abort_relations: Vec<RelFileLocator>,
    /// Statistics to drop if it commits.
    pub commit_statistics: Vec<StatisticsItem>,
    /// Statistics to drop if it aborts.
    pub abort_statistics: Vec<StatisticsItem>,
    /// Invalidation messages if it commits.
    pub invalidations: Vec<Invalidation>,
    /// Whether the relation cache's file is no longer valid then.
    pub relcache_file_invalidation: bool,
    /// Where it was prepared at its origin, and when.
    pub origin: (Lsn, Timestamp),
}

/// `xl_xact_stats_item`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatisticsItem {
    /// Kind of statistics.
    pub kind: i32,
    /// Database.
    pub database: Oid,
    /// Object; 64 bits wide from 18 on.
    pub object: u64,
}

impl Xact {
    /// Reads a record of resource manager Transaction.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.info & OPERATION_MASK {
                operation @ (0x00 | 0x30) => Self::Commit(End::parse(cursor, record, true, operation == 0x30)?),
                operation @ (0x20 | 0x40) => Self::Abort(End::parse(cursor, record, false, operation == 0x40)?),
                0x10 => Self::Prepare(Box::new(Prepare::parse(cursor, record.version)?)),
                0x50 => {
                    let top = TransactionId::new(cursor.u32("xtop")?);
                    let count = cursor.count("nsubxacts", 4)?;
                    Self::Assignment { top, subtransactions: transactions(cursor, count)? }
                }
                0x60 if record.version >= Version::V14 => {
                    let count = cursor.count("nmsgs", Invalidation::SIZE)?;
                    Self::Invalidations(Invalidation::list(cursor, count)?)
                }
                _ => Self::Unknown,
            })
        })
    }
}

fn transactions(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<TransactionId>, Malformed> {
    cursor.items("subxacts", count, |bytes| TransactionId::new(u32::from_le_bytes(bytes)))
}

fn relations(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<RelFileLocator>, Malformed> {
    cursor.items::<12, _>("xlocators", count, |[a, b, c, d, e, f, g, h, i, j, k, l]| {
        let number = u32::from_le_bytes;
        RelFileLocator::new(number([a, b, c, d]), number([e, f, g, h]), number([i, j, k, l]))
    })
}

impl StatisticsItem {
    /// Size in bytes: the object's number has two halves from 18 on.
    const fn size(version: Version) -> usize {
        if (version as u8) < (Version::V18 as u8) { 12 } else { 16 }
    }

    fn list(cursor: &mut Cursor<'_>, count: usize, version: Version) -> Result<Vec<Self>, Malformed> {
        let mut bytes = Cursor::new(cursor.take("stats items", count.saturating_mul(Self::size(version)))?);
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = bytes.i32("kind")?;
            let database = Oid::new(bytes.u32("dboid")?);
            let low = u64::from(bytes.u32("objid")?);
            let high = if version < Version::V18 { 0 } else { u64::from(bytes.u32("objid_hi")?) };
            items.push(Self { kind, database, object: high << 32 | low });
        }
        Ok(items)
    }
}

impl End {
    /// The time of an end that is told by nothing else.
    #[inline]
    pub(crate) fn time_alone(record: &Record<'_>) -> Option<Timestamp> {
        match record.info & (OPERATION_MASK | HAS_INFO) {
            0x00 | 0x20 | 0x30 | 0x40 => Cursor::new(record.main_data).i64("xact_time").ok().map(Timestamp::new),
            _ => None,
        }
    }

    fn parse(cursor: &mut Cursor<'_>, record: &Record<'_>, commit: bool, prepared: bool) -> Result<Self, Malformed> {
        let time = Timestamp::new(cursor.i64("xact_time")?);
        let flags = match record.info & HAS_INFO {
            0 => EndFlags::default(),
            _ => EndFlags::from_bits_retain(cursor.u32("xinfo")?),
        };
        let mut end = Self {
            xid: record.xid,
            prepared,
            flags,
            time,
            database: Oid::default(),
            tablespace: Oid::default(),
            subtransactions: Vec::new(),
            relations: Vec::new(),
            dropped_statistics: Vec::new(),
            invalidations: Vec::new(),
            global_identifier: None,
            origin: None,
        };
        if flags.contains(EndFlags::HAS_DATABASE) {
            end.database = Oid::new(cursor.u32("dbId")?);
            end.tablespace = Oid::new(cursor.u32("tsId")?);
        }
        if flags.contains(EndFlags::HAS_SUBTRANSACTIONS) {
            let count = cursor.count("nsubxacts", 4)?;
            end.subtransactions = transactions(cursor, count)?;
        }
        if flags.contains(EndFlags::HAS_RELATIONS) {
            let count = cursor.count("nrels", 12)?;
            end.relations = relations(cursor, count)?;
        }
        if flags.contains(EndFlags::HAS_DROPPED_STATISTICS) {
            let count = cursor.count("nitems", StatisticsItem::size(record.version))?;
            end.dropped_statistics = StatisticsItem::list(cursor, count, record.version)?;
        }
        if commit && flags.contains(EndFlags::HAS_INVALIDATIONS) {
            let count = cursor.count("nmsgs", Invalidation::SIZE)?;
            end.invalidations = Invalidation::list(cursor, count)?;
        }
        if flags.contains(EndFlags::HAS_TWO_PHASE) {
            end.xid = TransactionId::new(cursor.u32("twophase_xid")?);
            if flags.contains(EndFlags::HAS_GLOBAL_IDENTIFIER) {
                let rest = cursor.rest();
                let length = rest.iter().position(|byte| *byte == 0);
                let length = length.ok_or(Malformed::Truncated {
                    field: "twophase_gid",
                    wanted: rest.len().saturating_add(1),
                    available: rest.len(),
                })?;
                end.global_identifier = Some(cursor.take("twophase_gid", length)?.to_vec());
                cursor.u8("twophase_gid")?;
            }
        }
        if flags.contains(EndFlags::HAS_ORIGIN) {
            end.origin = Some((Lsn::new(cursor.u64("origin_lsn")?), Timestamp::new(cursor.i64("origin_timestamp")?)));
        }
        Ok(end)
    }
}

impl Prepare {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        cursor.u32("magic")?;
        cursor.u32("total_len")?;
        let xid = TransactionId::new(cursor.u32("xid")?);
        let database = Oid::new(cursor.u32("database")?);
        let time = Timestamp::new(cursor.i64("prepared_at")?);
        cursor.u32("owner")?;
        let mut count = |field| {
            let raw = cursor.i32(field)?;
            usize::try_from(raw).map_err(|_| Malformed::Invalid { field, value: u64::from(raw.cast_unsigned()) })
        };
        let subtransaction_count = count("nsubxacts")?;
        let commit_relation_count = count("ncommitrels")?;
        let abort_relation_count = count("nabortrels")?;
        let (commit_item_count, abort_item_count) =
            if version < Version::V15 { (0, 0) } else { (count("ncommitstats")?, count("nabortstats")?) };
        let invalidation_count = count("ninvalmsgs")?;
        let relcache_file_invalidation = cursor.bool("initfileinval")?;
        cursor.skip("padding", 1)?;
        let identifier_length = usize::from(cursor.u16("gidlen")?);
        let origin = (Lsn::new(cursor.u64("origin_lsn")?), Timestamp::new(cursor.i64("origin_timestamp")?));
        align(cursor)?;

        // The length counts the terminating zero.
        let identifier = cursor.take("gid", identifier_length)?;
        let global_identifier = identifier.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        align(cursor)?;
        let subtransactions = transactions(cursor, subtransaction_count)?;
        align(cursor)?;
        let commit_relations = relations(cursor, commit_relation_count)?;
        align(cursor)?;
        let abort_relations = relations(cursor, abort_relation_count)?;
        align(cursor)?;
        let commit_statistics = StatisticsItem::list(cursor, commit_item_count, version)?;
        align(cursor)?;
        let abort_statistics = StatisticsItem::list(cursor, abort_item_count, version)?;
        align(cursor)?;
        let invalidations = Invalidation::list(cursor, invalidation_count)?;
        Ok(Self {
            xid,
            database,
            time,
            global_identifier,
            subtransactions,
            commit_relations,
            abort_relations,
            commit_statistics,
            abort_statistics,
            invalidations,
            relcache_file_invalidation,
            origin,
        })
    }
}

/// Leaves out what `MAXALIGN` put between the parts of a [`Prepare`]. At the very end it may be missing.
fn align(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    let taken = cursor.taken() as u64;
    let padding = usize::try_from(max_align(taken).saturating_sub(taken)).unwrap_or(0);
    cursor.skip("padding", padding.min(cursor.rest().len()))
}

/// Name of the operation as in `xact_identify`; `None` for one that does not exist.
#[must_use]
pub fn identify(info: u8, version: Version) -> Option<&'static str> {
    Some(match info & OPERATION_MASK {
        0x00 => "COMMIT",
        0x10 => "PREPARE",
        0x20 => "ABORT",
        0x30 => "COMMIT_PREPARED",
        0x40 => "ABORT_PREPARED",
        0x50 => "ASSIGNMENT",
        0x60 if version >= Version::V14 => "INVALIDATION",
        _ => return None,
    })
}
