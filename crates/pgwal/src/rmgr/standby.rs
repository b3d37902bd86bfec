//! What a hot standby has to know. Source: `src/include/storage/standbydefs.h`, `src/include/storage/sinval.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{Oid, TransactionId};
use crate::record::Record;
use crate::rmgr::parse_main;

/// A record of resource manager Standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standby {
    /// Access exclusive locks: transaction, database, relation.
    Lock(Vec<(TransactionId, Oid, Oid)>),
    /// The transactions that were running a moment ago.
    RunningXacts(RunningXacts),
    /// Invalidation messages of a transaction without a number.
    Invalidations(Invalidations),
    /// An operation that is not known here.
    Unknown,
}

/// `xl_running_xacts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningXacts {
    /// How many of [`RunningXacts::xids`] are top transactions; they come first.
    pub count: usize,
    /// Whether subtransactions are missing in the list.
    pub subtransactions_overflowed: bool,
    /// The next transaction.
    pub next_xid: TransactionId,
    /// All before this one have ended.
    pub oldest_running_xid: TransactionId,
    /// The last that ended.
    pub latest_completed_xid: TransactionId,
    /// Transactions and subtransactions that were running.
    pub xids: Vec<TransactionId>,
}

/// `xl_invalidations`, and the like in other records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidations {
    /// Database.
    pub database: Oid,
    /// Its default tablespace.
    pub tablespace: Oid,
    /// Whether the relation cache's file is no longer valid.
    pub relcache_file_invalidation: bool,
    /// The messages.
    pub messages: Vec<Invalidation>,
}

/// A shared invalidation message (`SharedInvalidationMessage`, 16 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidation {
    /// Which cache; zero and above are system caches.
    pub id: i8,
    /// First number of the message behind its database: relation, catalogue, or hash value.
    pub second: u32,
    /// First number of the message: database, mostly.
    pub first: u32,
}

impl Invalidation {
    /// Size in bytes.
    pub const SIZE: usize = 16;

    pub(super) fn list(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<Self>, Malformed> {
        cursor.items::<16, _>("msgs", count, |[id, _, _, _, a, b, c, d, e, f, g, h, ..]| Self {
            id: id.cast_signed(),
            first: u32::from_le_bytes([a, b, c, d]),
            second: u32::from_le_bytes([e, f, g, h]),
        })
    }
}

impl Standby {
    /// Reads a record of resource manager Standby.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => {
                    let count = cursor.count("nlocks", 12)?;
                    let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
                    Self::Lock(cursor.items::<12, _>("locks", count, |[a, b, c, d, e, f, g, h, i, j, k, l]| {
                        let xid = TransactionId::new(number([a, b, c, d]));
                        (xid, Oid::new(number([e, f, g, h])), Oid::new(number([i, j, k, l])))
                    })?)
                }
                0x10 => Self::RunningXacts(RunningXacts::parse(cursor)?),
                0x20 => Self::Invalidations(Invalidations::parse(cursor)?),
                _ => Self::Unknown,
            })
        })
    }
}

impl Invalidations {
    /// Database and tablespace whose relation cache file is no longer valid, if it is not.
    #[must_use]
    pub fn init_file(&self) -> Option<(Oid, Oid)> {
        self.relcache_file_invalidation.then_some((self.database, self.tablespace))
    }

    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let database = Oid::new(cursor.u32("dbId")?);
        let tablespace = Oid::new(cursor.u32("tsId")?);
        let relcache_file_invalidation = cursor.bool("relcacheInitFileInval")?;
        cursor.skip("padding", 3)?;
        let count = cursor.count("nmsgs", Invalidation::SIZE)?;
        Ok(Self { database, tablespace, relcache_file_invalidation, messages: Invalidation::list(cursor, count)? })
    }
}

impl RunningXacts {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let count = cursor.count("xcnt", 0)?;
        let subtransaction_count = cursor.count("subxcnt", 0)?;
        let subtransactions_overflowed = cursor.bool("subxid_overflow")?;
        cursor.skip("padding", 3)?;
        let next_xid = TransactionId::new(cursor.u32("nextXid")?);
        let oldest_running_xid = TransactionId::new(cursor.u32("oldestRunningXid")?);
        let latest_completed_xid = TransactionId::new(cursor.u32("latestCompletedXid")?);
        let xids = cursor.items("xids", count.saturating_add(subtransaction_count), |bytes| {
            TransactionId::new(u32::from_le_bytes(bytes))
        })?;
        Ok(Self { count, subtransactions_overflowed, next_xid, oldest_running_xid, latest_completed_xid, xids })
    }
}

/// Name of the operation as in `standby_identify`; `None` for one that does not exist.
#[must_use]
pub fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("LOCK"),
        0x10 => Some("RUNNING_XACTS"),
        0x20 => Some("INVALIDATIONS"),
        _ => None,
    }
}
