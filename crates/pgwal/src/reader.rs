//! From bytes to records, without I/O: the caller brings the bytes from [`Reader::position`] on.
//!
//! Where the log is:
//!
//! ```text
//! page      | header | ...rest of a record | record | record | first part of a rec|
//! next page | header | ord | padding | record ...
//! ```
//!
//! A record begins at a multiple of 8 bytes, so that its length is never cut by the end of a page, though its header
//! may be. What was given up by a crashed primary in mid-record is marked on the page that overwrote it.
//!
//! Source: `src/backend/access/transam/xlogreader.c`: `XLogDecodeNextRecord`, `XLogReaderValidatePageHeader`.

use std::ops::{ControlFlow, Range};

use crate::crc32c::prefetch;
use crate::error::{ReadError, ReadErrorKind};
use crate::ids::TimelineId;
use crate::lsn::Lsn;
use crate::page::{LongPageHeader, PageFlags, PageHeader};
use crate::raw_record::RawRecord;
use crate::record::{Record, RecordHeader};
use crate::rmgr::{self, RmgrId};
use crate::version::Version;
use crate::visit::Visit;
use crate::{DEFAULT_BLOCK_SIZE, DEFAULT_SEGMENT_SIZE, max_align};
use validation::verify_checksum;
use within_page::WithinPage;

/// Size of a page of memory in bytes, on most machines.
const MEMORY_PAGE: usize = 4096;
/// How much of the next page is asked for ahead of time, in bytes: from there on the processor looks ahead itself.
const AHEAD: usize = 512;

/// What a [`Reader`] has to know of the log beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Size of a segment in bytes.
    pub segment_size: u32,
    /// Size of a WAL page in bytes.
    pub block_size: u32,
    /// Size of a data page in bytes.
    pub data_page_size: u32,
    /// The cluster whose WAL it must be; taken from the first segment if `None`.
    pub system_identifier: Option<u64>,
    /// Whether checksums of records are verified.
    pub verify_checksums: bool,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            segment_size: DEFAULT_SEGMENT_SIZE,
            block_size: DEFAULT_BLOCK_SIZE,
            data_page_size: DEFAULT_BLOCK_SIZE,
            system_identifier: None,
            verify_checksums: true,
        }
    }
}

impl ReaderOptions {
    /// The sizes that the first page of a segment names.
    #[must_use]
    pub fn from_segment(header: &LongPageHeader) -> Self {
        Self {
            segment_size: header.segment_size,
            block_size: header.block_size,
            system_identifier: Some(header.system_identifier),
            ..Self::default()
        }
    }
}

/// A verified record that was not decoded yet: see [`Reader::locate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where it begins.
    pub start: Lsn,
    /// Where the next one may begin.
    pub end: Lsn,
    /// Its fixed part.
    pub header: RecordHeader,
    /// Where it is in the bytes that were given, unless it was put together from several pages.
    place: Option<Range<usize>>,
    /// Where these bytes began.
    from: Lsn,
}

/// Turns the bytes of the log into records.
#[derive(Debug, Clone)]
pub struct Reader {
    options: ReaderOptions,
    /// The byte that is wanted next.
    position: Lsn,
    /// End of the page that holds the position, if a record begins there behind the page's header; invalid else.
    page_end: Lsn,
    state: State,
    /// Records that begin before are read, but not given out.
    skip_before: Lsn,
    /// Beginning of the last record that was read, for the prev-link.
    previous: Option<Lsn>,
    /// Parts of a record that crosses pages.
    partial: Vec<u8>,
    version: Option<Version>,
    timeline: Option<TimelineId>,
    /// Beginning of the last record that was given up and overwritten.
    overwritten: Option<Lsn>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// At a page: look for the first record at or behind the position that was asked for.
    Seek,
    /// At a page: the record that begins at this very position is wanted.
    Begin(Lsn),
    /// A record begins here, or behind the header of the page that begins here.
    Record,
    /// The record that began at `start` goes on here, behind the header of the page that begins here.
    Continue { start: Lsn, total_len: u32 },
}

/// A whole record was found and is right.
struct Found {
    start: Lsn,
    header: RecordHeader,
    /// Where in the given bytes, if not in `partial`.
    place: Option<Range<usize>>,
}

impl Reader {
    /// Begins with the first record that starts at or behind `lsn` (`XLogFindNextRecord`).
    #[must_use]
    pub fn seek(lsn: Lsn, options: ReaderOptions) -> Self {
        Self::at(lsn, State::Seek, options)
    }

    /// Begins with the record that starts exactly at `lsn` (`XLogBeginRead`).
    #[must_use]
    pub fn begin(lsn: Lsn, options: ReaderOptions) -> Self {
        Self::at(lsn, State::Begin(lsn), options)
    }

    /// Begins with the record behind another, which begins at `previous` and ends at `end`.
    #[must_use]
    pub fn behind(previous: Lsn, end: Lsn, options: ReaderOptions) -> Self {
        Self { previous: Some(previous), ..Self::seek(end, options) }
    }

    fn at(lsn: Lsn, state: State, options: ReaderOptions) -> Self {
        Self {
            position: lsn.floor(options.block_size),
            page_end: Lsn::INVALID,
            options,
            state,
            skip_before: lsn,
            previous: None,
            partial: Vec::new(),
            version: None,
            timeline: None,
            overwritten: None,
        }
    }

    /// What it was told of the log beforehand.
    #[must_use]
    pub const fn options(&self) -> &ReaderOptions {
        &self.options
    }

    /// The byte from which [`Reader::read`] wants to go on.
    #[must_use]
    pub const fn position(&self) -> Lsn {
        self.position
    }

    /// The major version, once a page was seen.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// The timeline of the last page.
    #[must_use]
    pub const fn timeline(&self) -> Option<TimelineId> {
        self.timeline
    }

    /// Beginning of the last record that was given up in its middle and overwritten, if there was one.
    #[must_use]
    pub const fn overwritten(&self) -> Option<Lsn> {
        self.overwritten
    }

    /// The next record, or `None` if more bytes are needed.
    ///
    /// `input` holds the log from [`Reader::position`] on, as much as there is. The position moves on by what was
    /// used; bytes behind it must be given again. So that a reader never waits forever, give at least a whole page
    /// or all there is.
    ///
    /// # Errors
    /// [`ReadError`] where the log ends or is damaged: see [`ReadError::is_end_of_wal`]. The reader stays where it is
    /// and may be asked again, for instance when more was written.
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<Record<'a>>, ReadError> {
        match self.locate(input)? {
            Some(located) => self.decode(&located, input).map(Some),
            None => Ok(None),
        }
    }

    /// The first half of [`Reader::read`]: finds the next record and verifies it, but borrows nothing, so that a
    /// caller may bring more bytes and try again in a loop.
    ///
    /// # Errors
    /// As [`Reader::read`].
    #[inline]
    pub fn locate(&mut self, input: &[u8]) -> Result<Option<Located>, ReadError> {
        match self.locate_within_page(input) {
            Some(located) => Ok(Some(located)),
            None => self.locate_anywhere(input),
        }
    }

    /// Gives the visitor all whole records of `input` until it breaks: the quickest way through the log.
    ///
    /// As with [`Reader::read`], `input` holds the log from [`Reader::position`] on, which moves on. A record that
    /// [`Reader::locate`] has found already may be given out `first`: then `input` is that in which it was found.
    ///
    /// # Errors
    /// As [`Reader::read`], when all records before were given.
    #[inline]
    pub fn for_each(
        &mut self,
        first: Option<Located>,
        input: &[u8],
        visitor: &mut impl Visit,
    ) -> Result<ControlFlow<()>, ReadError> {
        let mut first = first;
        let begin = first.as_ref().map_or(self.position, |first| first.from);
        let unread = |position: Lsn| {
            input.get(usize::try_from(position.since(begin)).unwrap_or(usize::MAX)..).unwrap_or_default()
        };
        loop {
            let found = first.is_some();
            let mut page = match first.take() {
                Some(found) => WithinPage::found(self, &found, self.bytes_of(&found, unread(found.from))),
                None => WithinPage::new(self, unread(self.position)),
            };
            let outcome = page.give_to(visitor);
            let WithinPage { position, previous, .. } = page;
            if position != self.position {
                (self.position, self.previous) = (position, Some(previous));
            }
            if outcome.is_break() {
                return Ok(outcome);
            }
            if !found {
                first = self.locate_anywhere(unread(self.position))?;
                if first.is_none() {
                    return Ok(outcome);
                }
                let next = unread(self.page_end);
                prefetch(next, AHEAD);
                prefetch(next.get(MEMORY_PAGE..).unwrap_or_default(), AHEAD);
            }
        }
    }

    /// What nearly all records are: whole within one page, and without fault. All else is left to
    /// [`Reader::locate_anywhere`].
    #[inline]
    fn locate_within_page(&mut self, input: &[u8]) -> Option<Located> {
        let from = self.position;
        let mut page = WithinPage::new(self, input);
        let RawRecord { lsn: start, end, header, .. } = page.next(page.checks)?;
        (self.position, self.previous) = (end, Some(start));
        let length = usize::try_from(header.total_len).unwrap_or(usize::MAX);
        Some(Located { start, end, header, place: Some(0..length), from })
    }

    #[cold]
    #[inline(never)]
    fn locate_anywhere(&mut self, input: &[u8]) -> Result<Option<Located>, ReadError> {
        let begin = self.position;
        loop {
            let used = usize::try_from(self.position.since(begin)).unwrap_or(usize::MAX);
            // Behind the input if a record ends the segment (SWITCH).
            let Some(found) = self.advance(input.get(used..).unwrap_or_default())? else { return Ok(None) };
            if found.start >= self.skip_before {
                let moved = |place: Range<usize>| place.start.saturating_add(used)..place.end.saturating_add(used);
                let (start, end, header) = (found.start, self.position, found.header);
                return Ok(Some(Located { start, end, header, place: found.place.map(moved), from: begin }));
            }
        }
    }

    /// The second half of [`Reader::read`]: the record that [`Reader::locate`] found last, in the same `input`.
    ///
    /// # Errors
    /// [`ReadErrorKind::Content`] if the headers inside of the record contradict each other.
    pub fn decode<'a>(&'a self, located: &Located, input: &'a [u8]) -> Result<Record<'a>, ReadError> {
        self.raw(located, input).decode()
    }

    /// The record that [`Reader::locate`] found last, in the same `input`, without decoding it.
    #[inline]
    #[must_use]
    pub fn raw<'a>(&'a self, located: &Located, input: &'a [u8]) -> RawRecord<'a> {
        let Located { start: lsn, end, header, .. } = *located;
        let from = self.bytes_of(located, input);
        let version = self.version.unwrap_or(Version::V15);
        let timeline = self.timeline.unwrap_or_default();
        RawRecord { lsn, end, header, version, timeline, from, data_page_size: self.options.data_page_size }
    }

    /// The record that was found last, without page headers.
    fn bytes_of<'a>(&'a self, located: &Located, input: &'a [u8]) -> &'a [u8] {
        match &located.place {
            Some(place) => input.get(place.clone()).unwrap_or_default(),
            None => &self.partial,
        }
    }

    /// Finds the next whole record and moves the position behind it; `None` if `input` does not suffice.
    fn advance(&mut self, input: &[u8]) -> Result<Option<Found>, ReadError> {
        let begin = self.position;
        loop {
            let used = usize::try_from(self.position.since(begin)).unwrap_or(usize::MAX);
            let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
            let at_page = self.position.offset_in(self.options.block_size) == 0;
            let progress = match self.state {
                _ if at_page => self.page(rest)?,
                State::Record => self.record(rest, used)?,
                // Only a page's beginning leaves these states.
                State::Seek | State::Begin(_) | State::Continue { .. } => Progress::Starved,
            };
            match progress {
                Progress::Moved => {}
                Progress::Starved => return Ok(None),
                Progress::Found { start, place } => return self.check(start, place, input).map(Some),
            }
        }
    }

    /// A page begins at the position: reads its header, and the rest of a record if one goes on here.
    fn page(&mut self, rest: &[u8]) -> Result<Progress, ReadError> {
        let Ok(header) = PageHeader::parse(rest) else { return Ok(Progress::Starved) };
        let page = self.position;
        self.validate_page(&header, rest)?;
        let size = header.size();
        if rest.len() < size {
            return Ok(Progress::Starved);
        }
        let block_size = usize::try_from(self.options.block_size).unwrap_or(usize::MAX);
        let room = block_size.saturating_sub(size);
        let continues = header.flags.contains(PageFlags::FIRST_IS_CONTINUATION);
        let remaining = usize::try_from(header.remaining).unwrap_or(usize::MAX);
        let behind = |length: usize| page.advanced(max_align(size.saturating_add(length) as u64));

        match self.state {
            State::Seek => {
                let skipped = if continues { remaining } else { 0 };
                if max_align(skipped as u64) >= room as u64 {
                    self.position = page.advanced(block_size as u64);
                } else {
                    self.position = behind(skipped);
                    self.state = State::Record;
                }
            }
            State::Begin(lsn) => {
                let start = if lsn == page { behind(0) } else { lsn };
                if start.since(page) < size as u64 {
                    return Err(ReadError { lsn, kind: ReadErrorKind::RecordOffset });
                }
                if continues && start == behind(0) {
                    return Err(ReadError { lsn: start, kind: ReadErrorKind::UnexpectedContinuation });
                }
                self.position = start;
                self.skip_before = Lsn::INVALID;
                self.state = State::Record;
            }
            State::Record => {
                if continues {
                    return Err(ReadError { lsn: behind(0), kind: ReadErrorKind::UnexpectedContinuation });
                }
                self.position = behind(0);
            }
            State::Continue { start, total_len } => {
                if header.flags.contains(PageFlags::FIRST_IS_OVERWRITE) {
                    self.overwritten = Some(start);
                    self.page_end = Lsn::INVALID;
                    self.partial.clear();
                    self.state = State::Record;
                    return Ok(Progress::Moved);
                }
                if !continues {
                    return Err(ReadError { lsn: start, kind: ReadErrorKind::NoContinuation });
                }
                let got = u32::try_from(self.partial.len()).unwrap_or(u32::MAX);
                let expected = total_len.saturating_sub(got);
                if header.remaining == 0 || header.remaining != expected {
                    let found = header.remaining;
                    return Err(ReadError { lsn: start, kind: ReadErrorKind::ContinuationLength { found, expected } });
                }
                let here = remaining.min(room);
                let Some(part) = rest.get(size..size.saturating_add(here)) else { return Ok(Progress::Starved) };
                let header_was_whole = self.partial.len() >= RecordHeader::SIZE;
                self.partial.extend_from_slice(part);
                if !header_was_whole && self.partial.len() >= RecordHeader::SIZE {
                    let valid = self.validate_record(&self.partial, start);
                    if valid.is_err() {
                        let keep = self.partial.len().saturating_sub(here);
                        self.partial.truncate(keep);
                    }
                    valid?;
                }
                if remaining > room {
                    self.position = page.advanced(block_size as u64);
                } else {
                    self.position = behind(remaining);
                    self.page_end = page.advanced(block_size as u64);
                    self.state = State::Record;
                    return Ok(Progress::Found { start, place: None });
                }
            }
        }
        self.page_end = page.advanced(block_size as u64);
        Ok(Progress::Moved)
    }

    /// A record begins at the position, `used` bytes behind the beginning of the input.
    fn record(&mut self, rest: &[u8], used: usize) -> Result<Progress, ReadError> {
        let start = self.position;
        let Some(length) = rest.first_chunk::<4>() else { return Ok(Progress::Starved) };
        let total_len = u32::from_le_bytes(*length);
        if total_len < RecordHeader::SIZE as u32 {
            return Err(ReadError { lsn: start, kind: ReadErrorKind::RecordLength(total_len) });
        }
        let room = self.options.block_size.saturating_sub(start.offset_in(self.options.block_size));
        let here = usize::try_from(total_len.min(room)).unwrap_or(usize::MAX);
        let Some(bytes) = rest.get(..here) else { return Ok(Progress::Starved) };
        if bytes.len() >= RecordHeader::SIZE {
            self.validate_record(bytes, start)?;
        }
        if total_len > room {
            self.partial.clear();
            // A large record must not keep its memory for good.
            self.partial.shrink_to(1024 * 1024);
            self.partial.extend_from_slice(bytes);
            self.state = State::Continue { start, total_len };
            self.page_end = Lsn::INVALID;
            self.position = start.advanced(u64::from(room));
            return Ok(Progress::Moved);
        }
        self.position = start.advanced(max_align(u64::from(total_len)));
        Ok(Progress::Found { start, place: Some(used..used.saturating_add(here)) })
    }

    /// Verifies the checksum of a whole record; if it fits, the record counts as read.
    fn check(&mut self, start: Lsn, place: Option<Range<usize>>, input: &[u8]) -> Result<Found, ReadError> {
        let bytes = match &place {
            Some(place) => input.get(place.clone()).unwrap_or_default(),
            None => &self.partial,
        };
        let valid = RecordHeader::parse(bytes).map_err(ReadErrorKind::from).and_then(|header| {
            if self.options.verify_checksums {
                verify_checksum(&header, bytes)?;
            }
            Ok(header)
        });
        match valid {
            Ok(header) => {
                if header.rmgr == RmgrId::XLOG && header.info & 0xF0 == rmgr::xlog::SWITCH {
                    // Nothing more is in this segment.
                    self.position = self.position.ceil(self.options.segment_size);
                }
                self.previous = Some(start);
                Ok(Found { start, header, place })
            }
            Err(kind) => {
                // Be able to try again: from the record's page on, where its beginning is found anew.
                self.position = start.floor(self.options.block_size);
                self.page_end = Lsn::INVALID;
                self.skip_before = self.skip_before.max(start);
                self.state = State::Begin(start);
                Err(ReadError { lsn: start, kind })
            }
        }
    }
}

enum Progress {
    /// The position or the state is another.
    Moved,
    /// More bytes are needed.
    Starved,
    /// A whole record lies before the position, at this place of the given bytes, or put together.
    Found { start: Lsn, place: Option<Range<usize>> },
}

mod validation;
mod within_page;

#[cfg(test)]
mod tests;
