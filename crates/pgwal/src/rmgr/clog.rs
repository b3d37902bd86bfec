//! Pages of the commit log. Source: `src/include/access/clog.h`.

use crate::error::RecordError;
use crate::ids::{Oid, TransactionId};
use crate::record::Record;
use crate::rmgr::{parse_main, slru_page};

/// A record of resource manager CLOG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clog {
    /// A page was added, full of zeroes.
    ZeroPage(i64),
    /// Files of old transactions were removed.
    Truncate {
        /// The first page that stays.
        page: i64,
        /// The oldest transaction that may still be looked up.
        oldest_xid: TransactionId,
        /// The database that has it.
        oldest_xid_database: Oid,
    },
    /// An operation that is not known here.
    Unknown,
}

impl Clog {
    /// Reads a record of resource manager CLOG.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::ZeroPage(slru_page(cursor, record.version)?),
                0x10 => Self::Truncate {
                    page: slru_page(cursor, record.version)?,
                    oldest_xid: TransactionId::new(cursor.u32("oldestXact")?),
                    oldest_xid_database: Oid::new(cursor.u32("oldestXactDb")?),
                },
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `clog_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info & 0xF0 {
        0x00 => Some("ZEROPAGE"),
        0x10 => Some("TRUNCATE"),
        _ => None,
    }
}
