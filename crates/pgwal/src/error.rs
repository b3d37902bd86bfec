//! What can be wrong with bytes, and where.

use crate::ids::{TimelineId, TransactionId};
use crate::lsn::Lsn;
use crate::rmgr::RmgrId;
use crate::version::Version;

/// A structure does not hold what its format promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// There are fewer bytes than the field needs.
    #[error("{field}: wanted {wanted} bytes, {available} left")]
    Truncated {
        /// PostgreSQL's name of the field.
        field: &'static str,
        /// Bytes it needs.
        wanted: usize,
        /// Bytes there are.
        available: usize,
    },
    /// A value that cannot be.
    #[error("{field}: invalid value {value}")]
    Invalid {
        /// PostgreSQL's name of the field.
        field: &'static str,
        /// What was found.
        value: u64,
    },
    /// A block reference that this kind of record always has is not there.
    #[error("no block reference {0}")]
    NoBlock(u8),
}

/// A whole record whose content does not fit its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record at {lsn}, resource manager {rmgr}, info {info:02X}, transaction {xid}: {cause}")]
pub struct RecordError {
    /// Beginning of the record.
    pub lsn: Lsn,
    /// Its resource manager.
    pub rmgr: RmgrId,
    /// Its info byte.
    pub info: u8,
    /// Its transaction.
    pub xid: TransactionId,
    /// What is wrong.
    pub cause: Malformed,
}

/// The log cannot be read on at this place: it ends there, or it is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at {lsn}")]
pub struct ReadError {
    /// Beginning of the record or page that could not be read.
    pub lsn: Lsn,
    /// Why.
    pub kind: ReadErrorKind,
}

/// Why a record or page could not be read. The cases are those of `src/backend/access/transam/xlogreader.c`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// `xl_tot_len` is smaller than a record header; zero where the log ends.
    #[error("invalid record length: wanted 24, got {0}")]
    RecordLength(u32),
    /// No such resource manager.
    #[error("invalid resource manager ID {0}")]
    ResourceManager(u8),
    /// `xl_prev` is not the record before.
    #[error("record with incorrect prev-link {0}")]
    PreviousLink(Lsn),
    /// The checksum does not fit.
    #[error("incorrect resource manager data checksum in record: {found:08X} stored, {computed:08X} computed")]
    Checksum {
        /// `xl_crc`.
        found: u32,
        /// CRC-32C of the record.
        computed: u32,
    },
    /// The page is of no PostgreSQL at all; zero where nothing was written yet.
    #[error("invalid magic number {0:04X}")]
    PageMagic(u16),
    /// The first page that was read is of a PostgreSQL that is not supported: older than the oldest
    /// [`Version`], newer than the newest, or between two of them while that was developed.
    #[error("{}", unsupported(*.0))]
    UnsupportedVersion(u16),
    /// Unknown or unexpected flags of the page.
    #[error("invalid info bits {0:04X}")]
    PageInfo(u16),
    /// The page belongs elsewhere: in a recycled segment it is what the segment held before.
    #[error("unexpected pageaddr {0}")]
    PageAddress(Lsn),
    /// The page is of another cluster.
    #[error("WAL is from different database system: {found}, expected {expected}")]
    SystemIdentifier {
        /// `xlp_sysid`.
        found: u64,
        /// That of the pages before.
        expected: u64,
    },
    /// The segment size of the page is not the one expected, or none.
    #[error("incorrect segment size {0} in page header")]
    SegmentSize(u32),
    /// The page size of the page is not the one expected.
    #[error("incorrect XLOG_BLCKSZ {0} in page header")]
    BlockSize(u32),
    /// The page is on an older timeline than the page before.
    #[error("out-of-sequence timeline ID {found} (after {latest})")]
    Timeline {
        /// `xlp_tli`.
        found: TimelineId,
        /// That of the page before.
        latest: TimelineId,
    },
    /// The rest of a record should be here, but the page does not say so.
    #[error("there is no contrecord flag")]
    NoContinuation,
    /// The rest of a record should begin here, but another length is promised.
    #[error("invalid contrecord length {found} (expected {expected})")]
    ContinuationLength {
        /// `xlp_rem_len`.
        found: u32,
        /// What the record still lacks.
        expected: u32,
    },
    /// A record should begin here, but the page begins with the rest of one.
    #[error("contrecord is requested")]
    UnexpectedContinuation,
    /// A record cannot begin inside of a page header.
    #[error("invalid record offset")]
    RecordOffset,
    /// The headers inside of the record contradict each other.
    #[error("record with invalid content: {0}")]
    Content(#[from] Malformed),
    /// A record of a version whose WAL changed in mid-stream.
    #[error("page magic number {found:04X} after {expected:04X}")]
    MixedVersions {
        /// Magic of this page.
        found: u16,
        /// That of the pages before.
        expected: u16,
    },
}

impl ReadErrorKind {
    /// What is wrong with a page of this magic number, if the pages before are of `version`. The numbers of all
    /// PostgreSQL from 8.0 on lie between 0xD05A and 0xD1FF, and go up; another one amid the log is damage.
    pub(crate) fn of_page_magic(magic: u16, version: Option<Version>) -> Self {
        match magic {
            0xD05A..=0xD1FF if version.is_none() => Self::UnsupportedVersion(magic),
            _ => Self::PageMagic(magic),
        }
    }
}

/// Which version has the magic number, as far as is known.
fn unsupported(magic: u16) -> String {
    let [oldest, .., newest] = Version::ALL;
    let which = if magic < oldest.page_magic() {
        format!("older than {oldest}")
    } else if magic > newest.page_magic() {
        format!("newer than {newest}")
    } else {
        "under development".to_owned()
    };
    format!("WAL of PostgreSQL {which} is not supported (magic number {magic:04X}, supported are {oldest} to {newest})")
}

impl ReadError {
    /// Whether this is how the log ends where nothing (or what a recycled segment held before) follows, as against
    /// damage in its middle.
    #[must_use]
    pub fn is_end_of_wal(&self) -> bool {
        match self.kind {
            ReadErrorKind::RecordLength(length) => length == 0,
            ReadErrorKind::PageMagic(magic) => magic == 0,
            ReadErrorKind::PageAddress(found) => found < self.lsn,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_postgresql_says_so() {
        let text = |magic, version| ReadErrorKind::of_page_magic(magic, version).to_string();
        let supported = "supported are 13 to 18";
        assert_eq!(
            [0xD101, 0xD114, 0xD120].map(|magic| text(magic, None)),
            [
                format!("WAL of PostgreSQL older than 13 is not supported (magic number D101, {supported})"),
                format!("WAL of PostgreSQL under development is not supported (magic number D114, {supported})"),
                format!("WAL of PostgreSQL newer than 18 is not supported (magic number D120, {supported})"),
            ]
        );
        assert_eq!(text(0xD120, Some(Version::V18)), "invalid magic number D120");
        assert_eq!(text(0x1234, None), "invalid magic number 1234");
        assert_eq!(ReadErrorKind::of_page_magic(0, None), ReadErrorKind::PageMagic(0));
    }
}
