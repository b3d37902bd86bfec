//! What nearly all records are: whole within one page, and right. All others are left to the [`Reader`] itself.

use std::ops::ControlFlow;

use crate::crc32c::{Instruction, Work, record_checksum};
use crate::ids::TimelineId;
use crate::lsn::Lsn;
use crate::max_align;
use crate::raw_record::RawRecord;
use crate::reader::{Located, Reader};
use crate::record::RecordHeader;
use crate::rmgr::{self, RmgrId};
use crate::version::Version;
use crate::visit::Visit;

/// The records in the rest of a page, from a reader's position on. The reader does not move meanwhile.
#[derive(Clone)]
pub(super) struct WithinPage<'a> {
    /// The page from where it was begun with to its end, or to the end of what there is of it.
    page: &'a [u8],
    /// Where in it the next record begins.
    at: usize,
    /// Where the next record begins.
    pub(super) position: Lsn,
    /// Where the one before begins.
    pub(super) previous: Lsn,
    /// What lies between the parts of the record beside itself, in bytes: headers of pages.
    between: u64,
    pub(super) checks: Checks,
    version: Version,
    timeline: TimelineId,
    data_page_size: u32,
}

/// What is checked of a record beside its header.
#[derive(Clone, Copy)]
pub(super) enum Checks {
    /// The checksum, by the processor's instruction.
    ByInstruction(Instruction),
    /// The checksum, on any processor.
    Portable,
    /// No checksum.
    NoChecksum,
    /// Nothing: it is whole and right.
    Done,
}

/// How a record is checked beside its header.
pub(super) trait Check: Copy {
    /// Whether the bytes between `start` and `end` are a record with the checksum `expected`.
    fn is_right(self, bytes: &[u8], start: usize, end: usize, expected: u32) -> bool;

    /// Whether all of it was done before.
    fn is_done(self) -> bool;
}

impl Check for Instruction {
    #[inline(always)]
    fn is_right(self, bytes: &[u8], start: usize, end: usize, expected: u32) -> bool {
        self.record_checksum(bytes, start, end) == expected
    }

    #[inline(always)]
    fn is_done(self) -> bool {
        false
    }
}

impl Check for Checks {
    #[inline(always)]
    fn is_right(self, bytes: &[u8], start: usize, end: usize, expected: u32) -> bool {
        match self {
            Self::ByInstruction(instruction) => instruction.is_right(bytes, start, end, expected),
            Self::Portable => record_checksum(bytes.get(start..end).unwrap_or_default()) == expected,
            Self::NoChecksum | Self::Done => true,
        }
    }

    #[inline(always)]
    fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}

impl<'a> WithinPage<'a> {
    /// Begins at the reader's position; `input` holds the log from there on. Where no record can begin, or none is to
    /// be given out yet, there will be none.
    #[inline]
    pub(super) fn new(reader: &Reader, input: &'a [u8]) -> Self {
        let position = reader.position;
        let room = usize::try_from(reader.page_end.since(position)).unwrap_or(usize::MAX);
        // The first record of all has no record before it that its prev-link can be compared with.
        let elsewhere = position < reader.skip_before || reader.previous.is_none();
        let page = if elsewhere { &[] } else { input.get(..room).unwrap_or(input) };
        let checks = match Instruction::detect() {
            _ if !reader.options.verify_checksums => Checks::NoChecksum,
            Some(instruction) => Checks::ByInstruction(instruction),
            None => Checks::Portable,
        };
        let previous = reader.previous.unwrap_or(Lsn::INVALID);
        Self::of(reader, page, position, previous, 0, checks)
    }

    /// One record that the reader has found, as if it were a page of its own.
    #[inline]
    pub(super) fn found(reader: &Reader, located: &Located, record: &'a [u8]) -> Self {
        let between = located.end.since(located.start.advanced(max_align(record.len() as u64)));
        Self::of(reader, record, located.start, located.header.prev, between, Checks::Done)
    }

    #[inline]
    fn of(reader: &Reader, page: &'a [u8], position: Lsn, previous: Lsn, between: u64, checks: Checks) -> Self {
        let version = reader.version.unwrap_or(Version::V15);
        let timeline = reader.timeline.unwrap_or_default();
        let data_page_size = reader.options.data_page_size;
        Self { page, at: 0, position, previous, between, checks, version, timeline, data_page_size }
    }

    /// Gives the visitor the records until it breaks, up to the end of the page or whatever is not as nearly always.
    #[inline(always)]
    pub(super) fn give_to(&mut self, visitor: &mut impl Visit) -> ControlFlow<()> {
        match self.checks {
            Checks::ByInstruction(instruction) => instruction.run(Give { page: self, check: instruction, visitor }),
            check @ (Checks::Portable | Checks::NoChecksum | Checks::Done) => Give { page: self, check, visitor }.run(),
        }
    }

    /// The next record, or `None` at the end of the page and at whatever is not as nearly always.
    #[inline(always)]
    pub(super) fn next(&mut self, check: impl Check) -> Option<RawRecord<'a>> {
        let rest = self.page.get(self.at..)?;
        let header = RecordHeader::from_bytes(rest.first_chunk()?);
        let length = usize::try_from(header.total_len).ok()?;
        if length > rest.len() {
            return None;
        }
        if length < RecordHeader::SIZE || header.prev != self.previous || !header.rmgr.is_valid() {
            return None;
        }
        // Within the page, as was seen.
        let behind = self.at.wrapping_add(length);
        let right = check.is_right(self.page, self.at, behind, header.crc);
        // Behind it nothing more is in the segment.
        let switch = header.rmgr == RmgrId::XLOG && header.info & 0xF0 == rmgr::xlog::SWITCH;
        if !right || switch && !check.is_done() {
            return None;
        }
        let lsn = self.position;
        let step = max_align(u64::from(header.total_len));
        // The log is not that long.
        let end = Lsn::new(lsn.get().wrapping_add(step).wrapping_add(self.between));
        // Within the page, or behind its end where the padding of the last record is cut off.
        self.at = self.at.wrapping_add(usize::try_from(step).unwrap_or(usize::MAX));
        (self.previous, self.position) = (lsn, end);
        let Self { version, timeline, data_page_size, .. } = *self;
        Some(RawRecord { lsn, end, header, version, timeline, from: rest, data_page_size })
    }
}

/// Gives records to a visitor.
struct Give<'p, 'a, C, V> {
    page: &'p mut WithinPage<'a>,
    check: C,
    visitor: &'p mut V,
}

impl<C: Check, V: Visit> Work for Give<'_, '_, C, V> {
    type Output = ControlFlow<()>;

    #[inline(always)]
    fn run(self) -> ControlFlow<()> {
        // Here nobody else sees it, so that it can be kept in registers.
        let mut page = self.page.clone();
        let mut outcome = ControlFlow::Continue(());
        while outcome.is_continue()
            && let Some(record) = page.next(self.check)
        {
            outcome = self.visitor.visit(&record);
        }
        *self.page = page;
        outcome
    }
}
