//! Pages of commit timestamps. Source: `src/include/access/commit_ts.h`.

use crate::error::RecordError;
use crate::ids::TransactionId;
use crate::record::Record;
use crate::rmgr::{parse_main, slru_page};

/// A record of resource manager CommitTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitTs {
    /// A page was added, full of zeroes.
    ZeroPage(i64),
    /// Files of old transactions were removed.
    Truncate {
        /// The first page that stays.
        page: i64,
        /// The oldest transaction whose time may still be looked up.
        oldest_xid: TransactionId,
    },
    /// An operation that is not known here, among them `COMMIT_TS_SETTS` of 13, which nothing writes.
    Unknown,
}

impl CommitTs {
    /// Reads a record of resource manager CommitTs.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::ZeroPage(slru_page(cursor, record.version)?),
                0x10 => Self::Truncate {
                    page: slru_page(cursor, record.version)?,
                    oldest_xid: TransactionId::new(cursor.u32("oldestXid")?),
                },
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `commit_ts_identify`, which alone with that of replication origins looks at all bits of
/// the info byte; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info {
        0x00 => Some("ZEROPAGE"),
        0x10 => Some("TRUNCATE"),
        _ => None,
    }
}
