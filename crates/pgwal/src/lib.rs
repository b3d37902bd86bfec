//! PostgreSQL's write-ahead log, read outside of PostgreSQL.
//!
//! This crate knows the format and nothing else: no files, no sockets, no server. Bytes go in, [`Record`]s come
//! out, each borrowed from those bytes; what a record holds is typed per resource manager in [`rmgr`].
//!
//! ```
//! use pgwal::{Lsn, Reader, ReaderOptions};
//!
//! # fn main() -> Result<(), pgwal::ReadError> {
//! let segment: Vec<u8> = Vec::new(); // the bytes of 000000010000000000000001
//! let mut reader = Reader::seek(Lsn::new(0x100_0000), ReaderOptions::default());
//! loop {
//!     let start = (reader.position().get() - 0x100_0000) as usize;
//!     match reader.read(segment.get(start..).unwrap_or_default())? {
//!         Some(record) => println!("{} {}", record.lsn, record.rmgr),
//!         None => break, // the next segment, or wait until there is more
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Sources in PostgreSQL: `src/include/access/xlogrecord.h`, `src/include/access/xlog_internal.h`,
//! `src/backend/access/transam/xlogreader.c`.
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)
)]

mod crc32c;
mod cursor;
mod describe;
mod descriptor;
mod error;
mod heap_page;
mod ids;
mod image;
mod lsn;
mod page;
mod raw_record;
mod reader;
mod record;
pub mod rmgr;
mod segment;
mod text;
mod time_zone;
mod timeline_history;
mod timestamp;
mod version;
mod visibility_map;
mod visit;

pub use cursor::Cursor;
pub use descriptor::{Descriptor, Descriptors, RegisterError};
pub use error::{Malformed, ReadError, ReadErrorKind, RecordError};
pub use heap_page::{HeapPage, ItemFlags, ItemId, TupleHeader, Updater, infomask};
pub use ids::{
    BlockNumber, Fork, FullTransactionId, MultiXactId, OffsetNumber, Oid, OriginId, ParseLocatorError, RelFileLocator,
    TimelineId, TransactionId,
};
pub use image::{Compression, Image, ImageError};
pub use lsn::{Lsn, ParseLsnError};
pub use page::{LongPageHeader, PageFlags, PageHeader};
pub use raw_record::RawRecord;
pub use reader::{Located, Reader, ReaderOptions};
pub use record::{Block, BlockFlags, Record, RecordHeader};
pub use rmgr::RmgrId;
pub use segment::{ParseSegmentNameError, SegmentName, SegmentNo};
pub use text::TextBuffer;
pub use time_zone::{TimeZone, UtcOffset};
pub use timeline_history::{TimelineHistory, TimelineHistoryEntry, TimelineHistoryError};
pub use timestamp::Timestamp;
pub use version::Version;
pub use visibility_map::VisibilityMapPage;
pub use visit::Visit;

/// Default size of a WAL page and of a data page, in bytes (`XLOG_BLCKSZ`, `BLCKSZ`).
pub const DEFAULT_BLOCK_SIZE: u32 = 8192;
/// Default size of a WAL segment, in bytes (`DEFAULT_XLOG_SEG_SIZE`).
pub const DEFAULT_SEGMENT_SIZE: u32 = 16 * 1024 * 1024;

/// Rounds up to PostgreSQL's maximal alignment of 8 bytes (`MAXALIGN`), saturating.
#[must_use]
pub const fn max_align(length: u64) -> u64 {
    length.saturating_add(7) & !7
}
