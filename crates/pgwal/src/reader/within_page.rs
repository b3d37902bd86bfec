//! What nearly all records are: whole within one page, and right. All others are left to the [`Reader`] itself.

use crate::lsn::Lsn;
use crate::max_align;
use crate::reader::{Reader, verify_checksum};
use crate::record::RecordHeader;
use crate::rmgr::{self, RmgrId};

/// The records in the rest of a page, from a reader's position on. The reader does not move meanwhile.
pub(super) struct WithinPage<'a> {
    /// From the position to the end of the page, or to the end of what there is of it.
    rest: &'a [u8],
    /// Where the next record begins.
    pub(super) position: Lsn,
    /// Where the one before begins; if it is not known, a position that no record has.
    pub(super) previous: Lsn,
    verify_checksums: bool,
}

impl<'a> WithinPage<'a> {
    /// Begins at the reader's position; `input` holds the log from there on. Where no record can begin, or none is to
    /// be given out yet, there will be none.
    #[inline]
    pub(super) fn new(reader: &Reader, input: &'a [u8]) -> Self {
        let (position, options) = (reader.position, &reader.options);
        let room = usize::try_from(reader.page_end.since(position)).unwrap_or(usize::MAX);
        let rest = if position < reader.skip_before { &[] } else { input.get(..room).unwrap_or(input) };
        let previous = reader.previous.unwrap_or(Lsn::MAX);
        Self { rest, position, previous, verify_checksums: options.verify_checksums }
    }

    /// The next record, or `None` at the end of the page and at whatever is not as nearly always.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<(RecordHeader, &'a [u8])> {
        let header = RecordHeader::from_bytes(self.rest.first_chunk()?);
        let length = usize::try_from(header.total_len).ok()?;
        let bytes = self.rest.get(..length)?;
        let switch = header.rmgr == RmgrId::XLOG && header.info & 0xF0 == rmgr::xlog::SWITCH;
        if length < RecordHeader::SIZE || header.prev != self.previous || !header.rmgr.is_valid() || switch {
            return None;
        }
        if self.verify_checksums {
            verify_checksum(&header, bytes).ok()?;
        }
        let step = max_align(length as u64);
        // Behind the last record of a page its padding may be cut off.
        self.rest = self.rest.get(usize::try_from(step).unwrap_or(usize::MAX)..).unwrap_or_default();
        self.previous = self.position;
        self.position = self.position.advanced(step);
        Some((header, bytes))
    }
}
