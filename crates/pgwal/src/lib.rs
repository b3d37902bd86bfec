#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`Reader`]: from bytes to records. [`Reader::read`] gives one after the other, [`Reader::for_each`] all of a piece of
//!   the log, as [`RawRecord`]s, which are decoded only if that is asked for.
//! - [`Record`] and its [`Block`]s: what every record has. [`rmgr`]: what the records of each resource manager hold,
//!   typed.
//! - [`Record::identify`], [`Record::append_description`], [`Record::append_line`]: the words of `pg_waldump`, into a
//!   [`TextBuffer`]; [`Descriptors`] for the records of extensions, [`TimeZone`] for local times.
//! - [`Image`]: full-page images; [`HeapPage`] and [`VisibilityMapPage`]: what is on such a page.
//! - [`CustomRmgr`], [`operations!`]: what is known of an extension's own records. [`DataPage`]: a page that they change.
//! - [`redo_block`]: a page as a record leaves it, from images and Generic WAL.
//! - [`SegmentName`], [`TimelineHistory`]: which file holds which part of the log. [`ControlFile`] and [`BackupLabel`]: where
//!   recovery begins. [`KnownCustomRmgr`]: which extension reserved the id of a custom resource manager.
//!
//! Sources in PostgreSQL: `src/include/access/xlogrecord.h`, `src/include/access/xlog_internal.h`,
//! `src/backend/access/transam/xlogreader.c`.
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)
)]

mod backup_label;
mod control_file;
mod crc32c;
mod cursor;
mod custom_rmgr;
mod data_page;
mod describe;
mod descriptor;
mod error;
mod heap_page;
mod ids;
mod image;
mod item_pointer;
mod known_custom_rmgrs;
mod logged_tuple;
mod lsn;
mod page;
mod raw_record;
mod reader;
mod record;
mod redo;
pub mod rmgr;
mod segment;
mod text;
mod time_zone;
mod timeline_history;
mod timestamp;
mod version;
mod visibility_map;
mod visit;

pub use backup_label::{BackupLabel, BackupLabelError};
pub use control_file::{ControlFile, ControlFileError, DatabaseState};
pub use cursor::Cursor;
pub use custom_rmgr::{CustomRmgr, CustomRmgrId, Operation, OperationCode};
pub use data_page::{DataPage, NoSpace, PageHeaderError, RemoveItemsError};
pub use descriptor::{Descriptor, Descriptors, RegisterError};
pub use error::{Malformed, ReadError, ReadErrorKind, RecordError};
pub use heap_page::{HeapPage, ItemFlags, ItemId, TupleHeader, Updater, infomask};
pub use ids::{
    BlockNumber, Fork, FullTransactionId, MultiXactId, OffsetNumber, Oid, OriginId, ParseLocatorError, RelFileLocator,
    TimelineId, TransactionId,
};
pub use image::{Compression, Image, ImageError};
pub use item_pointer::ItemPointer;
pub use known_custom_rmgrs::KnownCustomRmgr;
pub use logged_tuple::LoggedTuple;
pub use lsn::{Lsn, ParseLsnError};
pub use page::{LongPageHeader, PageFlags, PageHeader};
pub use raw_record::RawRecord;
pub use reader::{Located, Reader, ReaderOptions};
pub use record::{Block, BlockFlags, Record, RecordHeader};
pub use redo::{RedoError, RedoErrorKind, Redone, redo_block};
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
