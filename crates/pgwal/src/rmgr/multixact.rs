//! Sets of transactions that hold one tuple. Source: `src/include/access/multixact.h`.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{MultiXactId, Oid, TransactionId};
use crate::record::Record;
use crate::rmgr::{parse_main, slru_page};

/// A record of resource manager MultiXact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiXact {
    /// A page of the sets' offsets was added, full of zeroes.
    ZeroOffsetsPage(i64),
    /// A page of the sets' members was added, full of zeroes.
    ZeroMembersPage(i64),
    /// A set came into being.
    Create(Create),
    /// Old sets were removed.
    Truncate(Truncate),
    /// An operation that is not known here.
    Unknown,
}

/// `xl_multixact_create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The set.
    pub id: MultiXactId,
    /// Where its members are kept.
    pub offset: u32,
    /// Its members.
    pub members: Vec<Member>,
}

/// `MultiXactMember`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The transaction.
    pub xid: TransactionId,
    /// What it does to the tuple (`MultiXactStatus`).
    pub status: u32,
}

/// `xl_multixact_truncate`. Each range ends before its second number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncate {
    /// The database that has the oldest set that stays.
    pub oldest_multi_database: Oid,
    /// The sets that were removed.
    pub sets: (MultiXactId, MultiXactId),
    /// Where their members were.
    pub members: (u32, u32),
}

impl Member {
    /// Whether it updates or deletes the tuple (`ISUPDATE_from_mxstatus`).
    #[must_use]
    pub const fn is_updater(&self) -> bool {
        self.status > 3
    }
}

impl MultiXact {
    /// Reads a record of resource manager MultiXact.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than the record promises.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::ZeroOffsetsPage(slru_page(cursor, record.version)?),
                0x10 => Self::ZeroMembersPage(slru_page(cursor, record.version)?),
                0x20 => Self::Create(Create::parse(cursor)?),
                0x30 => Self::Truncate(Truncate::parse(cursor)?),
                _ => Self::Unknown,
            })
        })
    }
}

impl Create {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let id = MultiXactId::new(cursor.u32("mid")?);
        let offset = cursor.u32("moff")?;
        let count = cursor.count("nmembers", 8)?;
        let members = cursor.items::<8, _>("members", count, |[a, b, c, d, e, f, g, h]| Member {
            xid: TransactionId::new(u32::from_le_bytes([a, b, c, d])),
            status: u32::from_le_bytes([e, f, g, h]),
        })?;
        Ok(Self { id, offset, members })
    }
}

impl Truncate {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let oldest_multi_database = Oid::new(cursor.u32("oldestMultiDB")?);
        let sets = (cursor.u32("startTruncOff")?, cursor.u32("endTruncOff")?);
        let members = (cursor.u32("startTruncMemb")?, cursor.u32("endTruncMemb")?);
        Ok(Self { oldest_multi_database, sets: (MultiXactId::new(sets.0), MultiXactId::new(sets.1)), members })
    }
}

/// Name of the operation as in `multixact_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("ZERO_OFF_PAGE"),
        0x10 => Some("ZERO_MEM_PAGE"),
        0x20 => Some("CREATE_ID"),
        0x30 => Some("TRUNCATE_ID"),
        _ => None,
    }
}
