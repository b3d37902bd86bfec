//! How far a replication origin has been replayed. Source: `src/include/replication/origin.h`.

use crate::error::RecordError;
use crate::ids::OriginId;
use crate::lsn::Lsn;
use crate::record::Record;
use crate::rmgr::parse_main;

/// A record of resource manager ReplicationOrigin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicationOrigin {
    /// An origin's progress was set by hand.
    Set {
        /// Replayed up to here, in the origin's log.
        remote_lsn: Lsn,
        /// The origin.
        node: OriginId,
        /// Whether it may go backwards.
        force: bool,
    },
    /// An origin was removed.
    Drop(OriginId),
    /// An operation that is not known here.
    Unknown,
}

impl ReplicationOrigin {
    /// Reads a record of resource manager ReplicationOrigin.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x00 => Self::Set {
                    remote_lsn: Lsn::new(cursor.u64("remote_lsn")?),
                    node: OriginId::new(cursor.u16("node_id")?),
                    force: cursor.bool("force")?,
                },
                0x10 => Self::Drop(OriginId::new(cursor.u16("node_id")?)),
                _ => Self::Unknown,
            })
        })
    }
}

/// Name of the operation as in `replorigin_identify`, which looks at all bits of the info byte; `None` for one that
/// does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    match info {
        0x00 => Some("SET"),
        0x10 => Some("DROP"),
        _ => None,
    }
}
