//! Sets of transactions that hold one tuple. Source: `src/include/access/multixact.h`.

use crate::error::RecordError;
use crate::ids::{MultiXactId, TransactionId};
use crate::record::Record;
use crate::rmgr::parse_main;

/// A record of resource manager MultiXact, as far as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiXact {
    /// A set came into being.
    Create(Create),
    /// Another operation: pages of the sets' files were zeroed or truncated.
    Other,
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
            if record.rmgr_info() != 0x20 {
                return Ok(Self::Other);
            }
            let id = MultiXactId::new(cursor.u32("mid")?);
            let offset = cursor.u32("moff")?;
            let count = cursor.count("nmembers", 8)?;
            let members = cursor.items::<8, _>("members", count, |[a, b, c, d, e, f, g, h]| Member {
                xid: TransactionId::new(u32::from_le_bytes([a, b, c, d])),
                status: u32::from_le_bytes([e, f, g, h]),
            })?;
            Ok(Self::Create(Create { id, offset, members }))
        })
    }
}
