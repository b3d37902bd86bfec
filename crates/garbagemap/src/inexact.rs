//! Why numbers are not exact. They are never shown without saying so.

use std::fmt;

use pgwal::{Lsn, TransactionId};
use serde::{Deserialize, Serialize};

/// The setting that limits memory.
const MAX_MEMORY: &str = "garbagemap.max_memory";

/// Why what is said of a relation is not exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inexact {
    /// A settled block was changed by a record that does not hold it, as happens while `full_page_writes` is off.
    ChangedWithoutImage(Lsn),
    /// A record or an image could not be understood.
    NotUnderstood(Lsn),
    /// A page image in the log holds something else than what the records before it led to.
    DiffersFromImage(Lsn),
    /// How this transaction ended is not in the part of the log that was read.
    UnknownTransaction(TransactionId),
    /// The members of a set of transactions are not in the part of the log that was read.
    UnknownMultiXact(u32),
    /// The log has been written with `wal_level = minimal`, which leaves things out.
    WalLevelMinimal,
    /// To save memory, blocks without garbage are counted together: their tuples and free bytes are averages.
    Merged,
    /// To save memory, blocks are counted together: their numbers are averages.
    AllMerged,
    /// Blocks were given up to save memory.
    OutOfMemory,
}

impl fmt::Display for Inexact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChangedWithoutImage(lsn) => {
                write!(formatter, "a block was changed at {lsn} by a record without its page (full_page_writes off)")
            }
            Self::NotUnderstood(lsn) => write!(formatter, "the record at {lsn} could not be understood"),
            Self::DiffersFromImage(lsn) => write!(formatter, "a page image at {lsn} differs from what was counted"),
            Self::UnknownTransaction(xid) => {
                write!(formatter, "how transaction {xid} ended is not in the WAL that was read")
            }
            Self::UnknownMultiXact(id) => {
                write!(formatter, "the members of multixact {id} are not in the WAL that was read")
            }
            Self::Merged => write!(
                formatter,
                "dead tuples are exact, others on average: blocks are counted together to save memory ({MAX_MEMORY})"
            ),
            Self::AllMerged => {
                write!(formatter, "on average: blocks are counted together to save memory ({MAX_MEMORY})")
            }
            Self::OutOfMemory => write!(formatter, "blocks were given up to save memory ({MAX_MEMORY})"),
            Self::WalLevelMinimal => write!(formatter, "wal_level is minimal: not all changes are in the WAL"),
        }
    }
}
