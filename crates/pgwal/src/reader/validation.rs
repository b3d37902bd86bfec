//! What must be right of a page's header, and of a record.

use crate::crc32c::record_checksum;
use crate::error::{ReadError, ReadErrorKind};
use crate::lsn::Lsn;
use crate::page::{LongPageHeader, PageFlags, PageHeader};
use crate::reader::Reader;
use crate::record::RecordHeader;
use crate::version::Version;

impl Reader {
    /// Source: `ValidXLogRecordHeader`.
    pub(super) fn validate_record(&self, bytes: &[u8], start: Lsn) -> Result<(), ReadError> {
        let error = |kind| ReadError { lsn: start, kind };
        let header = RecordHeader::parse(bytes).map_err(|cause| error(cause.into()))?;
        if !header.rmgr.is_valid() {
            return Err(error(ReadErrorKind::ResourceManager(header.rmgr.get())));
        }
        let linked = match self.previous {
            Some(previous) => header.prev == previous,
            None => header.prev < start,
        };
        if linked { Ok(()) } else { Err(error(ReadErrorKind::PreviousLink(header.prev))) }
    }

    /// Source: `XLogReaderValidatePageHeader`.
    pub(super) fn validate_page(&mut self, header: &PageHeader, rest: &[u8]) -> Result<(), ReadError> {
        let page = self.position;
        let error = |kind| Err(ReadError { lsn: page, kind });
        let Some(version) = Version::from_page_magic(header.magic) else {
            return error(ReadErrorKind::of_page_magic(header.magic, self.version));
        };
        if header.flags.has_unknown() {
            return error(ReadErrorKind::PageInfo(header.flags.bits()));
        }
        let long = header.flags.contains(PageFlags::LONG_HEADER);
        if page.offset_in(self.options.segment_size) == 0 && !long {
            return error(ReadErrorKind::PageInfo(header.flags.bits()));
        }
        if header.address != page {
            return error(ReadErrorKind::PageAddress(header.address));
        }
        if let Some(expected) = self.version.filter(|known| *known != version) {
            return error(ReadErrorKind::MixedVersions { found: header.magic, expected: expected.page_magic() });
        }
        if let (true, Ok(long)) = (long, LongPageHeader::parse(rest)) {
            if let Some(expected) = self.options.system_identifier.filter(|known| *known != long.system_identifier) {
                return error(ReadErrorKind::SystemIdentifier { found: long.system_identifier, expected });
            }
            if long.segment_size != self.options.segment_size {
                return error(ReadErrorKind::SegmentSize(long.segment_size));
            }
            if long.block_size != self.options.block_size {
                return error(ReadErrorKind::BlockSize(long.block_size));
            }
            self.options.system_identifier = Some(long.system_identifier);
        }
        if let Some(latest) = self.timeline.filter(|latest| header.timeline < *latest) {
            return error(ReadErrorKind::Timeline { found: header.timeline, latest });
        }
        self.version = Some(version);
        self.timeline = Some(header.timeline);
        Ok(())
    }
}

/// Whether the record's bytes are those that were written.
#[inline]
pub(super) fn verify_checksum(header: &RecordHeader, bytes: &[u8]) -> Result<(), ReadErrorKind> {
    let computed = record_checksum(bytes);
    if computed == header.crc { Ok(()) } else { Err(ReadErrorKind::Checksum { found: header.crc, computed }) }
}
