//! WAL from directories of segments, such as `pg_wal` or an archive.

mod compression;
mod gap;
mod mapped;
mod pieces;
mod segment_bytes;
mod segment_list;
mod wal_directory;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use pgwal::{
    Located, Lsn, PageHeader, RawRecord, ReadError, Reader, ReaderOptions, Record, SegmentName, SegmentNo, TimelineId,
    Version, Visit,
};

use self::segment_bytes::SegmentBytes;
use self::segment_list::{Choice, SegmentFile, SegmentList};
use crate::log_position::LogPosition;
use crate::source::{Source, SourceError};

pub use self::gap::Gap;
pub use self::pieces::{LastRecord, read_in_pieces};
pub use self::wal_directory::WalDirectory;

/// How a [`FileSource`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSourceOptions {
    /// Begin with the first record at or behind this position; with the oldest segment if `None`.
    pub start: Option<Lsn>,
    /// Whether checksums of records are verified. Without, damage goes unnoticed and what is read may be nonsense.
    pub verify_checksums: bool,
    /// Whether to go on behind what is damaged or missing: [`FileSource::take_gap`] tells what was lost. Nobody else is
    /// told: not for plugins, whose counts would be wrong without a word.
    pub skip_damage: bool,
    /// Whether files may be mapped into memory, if certainly nobody writes them.
    pub memory_map: bool,
}

impl Default for FileSourceOptions {
    fn default() -> Self {
        Self { start: None, verify_checksums: true, skip_damage: false, memory_map: true }
    }
}

/// Reads the segments of a [`WalDirectory`] in order, up to where the log ends.
///
/// The directory may be a running server's: what is not written yet is simply not there yet, and asked again the
/// source goes on.
#[derive(Debug)]
pub struct FileSource {
    directory: WalDirectory,
    options: FileSourceOptions,
    /// What the directory held when it was last looked at.
    list: Arc<SegmentList>,
    reader: Reader,
    segment: Option<OpenSegment>,
    /// The reader's position before the last record was found: its place is counted from there.
    located_from: Lsn,
    /// A record that was found, but not given out.
    peeked: Option<Located>,
    end_reason: Option<ReadError>,
    gap: Option<Gap>,
}

/// The segment that is read.
#[derive(Debug)]
struct OpenSegment {
    number: SegmentNo,
    start: Lsn,
    choice: Choice,
    bytes: SegmentBytes,
}

impl OpenSegment {
    /// What is in memory from `position` on.
    #[inline]
    fn unread(&self, position: Lsn) -> &[u8] {
        let begin = self.start.get().saturating_add(u64::from(self.bytes.begin()));
        let Some(used) = position.get().checked_sub(begin) else { return &[] };
        self.bytes.bytes().get(usize::try_from(used).unwrap_or(usize::MAX)..).unwrap_or_default()
    }
}

impl FileSource {
    /// Reads `directory`. Nothing is opened yet, so that a source for each of many parts of a log costs little.
    #[must_use]
    pub fn new(directory: &WalDirectory, options: FileSourceOptions) -> Self {
        let list = directory.list();
        let start = options.start.or(list.start()).unwrap_or_default();
        let reader_options = ReaderOptions { verify_checksums: options.verify_checksums, ..directory.reader_options() };
        Self {
            directory: directory.clone(),
            options,
            list,
            reader: Reader::seek(start, reader_options),
            segment: None,
            located_from: Lsn::INVALID,
            peeked: None,
            end_reason: None,
            gap: None,
        }
    }

    /// Reads on behind a record that was read elsewhere: the next one must name it.
    #[must_use]
    pub fn behind(directory: &WalDirectory, last: LastRecord, options: FileSourceOptions) -> Self {
        let mut source = Self::new(directory, FileSourceOptions { start: Some(last.end), ..options });
        source.reader = Reader::behind(last.lsn, last.end, *source.reader.options());
        source
    }

    /// Goes on with the first record at or behind `lsn`, forward or back.
    pub fn seek(&mut self, lsn: Lsn) {
        let reader = Reader::seek(lsn, *self.reader.options());
        // The open segment, and what is in memory of it, may be what is wanted.
        (self.reader, self.peeked, self.end_reason, self.gap) = (reader, None, None, None);
    }

    /// Beginning of the next record, which is not taken; `None` if there is none now.
    ///
    /// # Errors
    /// As [`Source::next_record`].
    pub fn peek(&mut self) -> Result<Option<Lsn>, SourceError> {
        if self.peeked.is_none() {
            self.peeked = self.locate()?;
        }
        Ok(self.peeked.as_ref().map(|located| located.start))
    }

    /// Where the next record is looked for, or where it is, if it was seen by [`FileSource::peek`].
    #[must_use]
    #[inline]
    pub fn position(&self) -> Lsn {
        self.peeked.as_ref().map_or_else(|| self.reader.position(), |located| located.start)
    }

    /// Why the last call of [`Source::next_record`] found no more records, if the log said so; `None` if the files
    /// end there.
    #[must_use]
    pub fn end_reason(&self) -> Option<&ReadError> {
        self.end_reason.as_ref()
    }

    /// What was lost before the record that was given out last, if something was and this was not asked before. To be
    /// called after each record if damage is skipped.
    #[inline]
    pub fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    /// How it reads.
    #[must_use]
    pub fn options(&self) -> &FileSourceOptions {
        &self.options
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &WalDirectory {
        &self.directory
    }

    /// The reader, for what it knows of version and timeline.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The next record as [`Source::next_record`] gives it, without decoding it.
    ///
    /// # Errors
    /// As [`Source::next_record`].
    #[inline]
    pub fn next_raw_record(&mut self) -> Result<Option<RawRecord<'_>>, SourceError> {
        let Some(located) = self.locate()? else { return Ok(None) };
        Ok(Some(self.reader.raw(&located, unread(self.segment.as_ref(), self.located_from))))
    }

    /// Gives the visitor all records that there are now, not decoded, until it breaks; returns whether it did. This is the
    /// quickest way through the log. If damage is skipped, `lost` is told what was lost before the next record.
    ///
    /// # Errors
    /// As [`Source::next_record`].
    #[inline]
    pub fn for_each_raw_record(
        &mut self,
        visitor: &mut impl Visit,
        mut lost: impl FnMut(Gap),
    ) -> Result<ControlFlow<()>, SourceError> {
        let mut first = self.peeked.take();
        loop {
            if let Some(gap) = self.gap.take() {
                lost(gap);
            }
            let from = if first.is_some() { self.located_from } else { self.reader.position() };
            let in_memory = unread(self.segment.as_ref(), from);
            let outcome = self.reader.for_each(first.take(), in_memory, visitor);
            self.check_whole()?;
            if let Ok(ControlFlow::Break(())) = outcome {
                return Ok(ControlFlow::Break(()));
            }
            // The end of what is in memory, or something is wrong.
            self.located_from = self.reader.position();
            first = self.locate_beyond_memory()?;
            if first.is_none() {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    #[inline]
    fn locate(&mut self) -> Result<Option<Located>, SourceError> {
        if self.peeked.is_some() {
            return Ok(self.peeked.take());
        }
        self.located_from = self.reader.position();
        match self.reader.locate(unread(self.segment.as_ref(), self.located_from)) {
            Ok(Some(located)) => {
                self.check_whole()?;
                Ok(Some(located))
            }
            // Not enough in memory, or something is wrong: both are seen again below.
            Ok(None) | Err(_) => self.locate_beyond_memory(),
        }
    }

    fn locate_beyond_memory(&mut self) -> Result<Option<Located>, SourceError> {
        let from = self.located_from;
        match self.locate_in_files() {
            Err(error) if self.options.skip_damage && error.is_damage() => self.skip(from, error),
            Ok(None) if self.options.skip_damage => self.skip_to_later(from),
            outcome => outcome,
        }
    }

    /// Finds the next record; if there is none, decides whether this is the end or damage.
    fn locate_in_files(&mut self) -> Result<Option<Located>, SourceError> {
        self.end_reason = None;
        // Whether it was seen that the log goes on, before the page that cannot be read was read again.
        let mut goes_on = false;
        loop {
            match self.locate_with_more(false)? {
                Ok(Some(located)) => return Ok(Some(located)),
                Ok(None) => {
                    if !self.reopen_on_later_timeline()? {
                        return self.check_cut().map(|()| None);
                    }
                }
                Err(error) => {
                    if let Some(segment) = &mut self.segment {
                        segment.bytes.clear();
                    }
                    if self.reopen_on_later_timeline()? {
                        continue;
                    }
                    if goes_on {
                        return Err(self.damaged(error));
                    }
                    // A running server may have written both pages meanwhile.
                    goes_on = self.goes_on_behind(&error)?;
                    if !goes_on {
                        self.end_reason = Some(error);
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// What the reader says with as much of the files as it asks for; `None` where they end. With `fresh` what is in
    /// memory is what the files hold; without, it is read again before the reader is believed.
    fn locate_with_more(&mut self, mut fresh: bool) -> Result<Result<Option<Located>, ReadError>, SourceError> {
        loop {
            let before = self.reader.position();
            self.located_from = before;
            let input = unread(self.segment.as_ref(), before);
            let had = input.len();
            let located = self.reader.locate(input);
            self.check_whole()?;
            match located {
                Ok(Some(located)) => return Ok(Ok(Some(located))),
                Err(error) if fresh => return Ok(Err(error)),
                Ok(None) => {
                    let moved = self.reader.position() != before;
                    let read = self.load()?;
                    if read == 0 || (fresh && !moved && read <= had) {
                        return Ok(Ok(None));
                    }
                }
                Err(_) => {
                    self.load()?;
                }
            }
            fresh = true;
        }
    }

    /// An error if what was just read may be zeroes that a file never held.
    #[inline]
    fn check_whole(&self) -> Result<(), SourceError> {
        match &self.segment {
            Some(segment) if segment.bytes.shrank() => Err(SourceError::Shrank(segment.bytes.path().to_owned())),
            _ => Ok(()),
        }
    }

    /// Brings the bytes from the reader's position on into memory. Returns how many there are; zero at the end.
    fn load(&mut self) -> Result<usize, SourceError> {
        let position = self.reader.position();
        let number = SegmentNo::of(position, self.directory.segment_size());
        if self.segment.as_ref().is_none_or(|segment| segment.number != number) {
            self.segment = self.open_segment(number)?;
        }
        let Some(segment) = &mut self.segment else { return Ok(0) };
        segment.bytes.load(position.offset_in(self.directory.segment_size()))
    }

    /// Opens a segment; `None` if the log ends before it.
    fn open_segment(&mut self, number: SegmentNo) -> Result<Option<OpenSegment>, SourceError> {
        let Some(choice) = self.choose(number)? else {
            return if self.list.has_later(number) { Err(self.missing(number)) } else { Ok(None) };
        };
        match self.open_file(number, choice) {
            // Removed since it was listed, or archived and compressed meanwhile.
            Err(error) if error.is_not_found() => {
                self.list = self.directory.list_again()?;
                let Some(choice) = self.list.find(number, self.reader.timeline()) else {
                    return Err(if self.list.has_later(number) { self.missing(number) } else { error });
                };
                self.open_file(number, choice).map(Some)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Chooses the file of a segment; looks at the directory again if it did not have one.
    fn choose(&mut self, number: SegmentNo) -> Result<Option<Choice>, SourceError> {
        let reached = self.reader.timeline();
        match self.list.find(number, reached) {
            // Another one may have listed it meanwhile, or a server may have gone on.
            None => self.list = self.directory.list_again()?,
            found => return Ok(found),
        }
        Ok(self.list.find(number, reached))
    }

    fn open_file(&self, number: SegmentNo, choice: Choice) -> Result<OpenSegment, SourceError> {
        let segment_size = self.directory.segment_size();
        let start = number.start(segment_size);
        let limit = choice.end.map_or(u64::from(segment_size), |end| end.since(start).min(u64::from(segment_size)));
        let limit = u32::try_from(limit).unwrap_or(segment_size);
        let bytes = SegmentBytes::open(&choice, segment_size, limit, self.options.memory_map)?;
        Ok(OpenSegment { number, start, choice, bytes })
    }

    /// Where the log seems to end: a promoted server goes on in a file of the same segment on its new timeline; one
    /// that was partial may be whole. Returns whether there is such a file that was not open before.
    fn reopen_on_later_timeline(&mut self) -> Result<bool, SourceError> {
        let Some(OpenSegment { number, choice, .. }) = &self.segment else { return Ok(false) };
        let (number, before) = (*number, choice.clone());
        self.list = self.directory.list_again()?;
        let found = self.list.find(number, self.reader.timeline());
        let Some(choice) = found.filter(|choice| better(&choice.file, &before.file)) else { return Ok(false) };
        self.segment = Some(self.open_file(number, choice)?);
        Ok(true)
    }

    /// Whether the log goes on behind the page that could not be read: then this is damage. If not, it is where a
    /// server is still writing, or crashed while it did.
    fn goes_on_behind(&mut self, error: &ReadError) -> Result<bool, SourceError> {
        let block_size = self.reader.options().block_size;
        let place = error.lsn.max(self.reader.position());
        let page = place.floor(block_size).advanced(u64::from(block_size));
        let segment_size = self.directory.segment_size();
        let mut segment = match self.open_segment(SegmentNo::of(page, segment_size)) {
            Ok(Some(segment)) => segment,
            Ok(None) => return Ok(false),
            // Not the next segment, but a later one is there.
            Err(SourceError::MissingSegment { .. }) => return Ok(true),
            Err(error) => return Err(error),
        };
        segment.bytes.load(page.offset_in(segment_size))?;
        let header = PageHeader::parse(segment.unread(page));
        Ok(header.is_ok_and(|header| Version::from_page_magic(header.magic).is_some() && header.address == page))
    }

    /// Where the file of a segment ends before the segment: an error if the log goes on in a later one.
    fn check_cut(&mut self) -> Result<(), SourceError> {
        let Some(OpenSegment { number, choice, bytes, .. }) = &self.segment else { return Ok(()) };
        let (number, end, path) = (*number, choice.end, bytes.path().to_owned());
        let position = self.reader.position();
        let segment_size = self.directory.segment_size();
        let Some(later) = self.list.after(number).filter(|_| number == SegmentNo::of(position, segment_size)) else {
            return Ok(());
        };
        // Segments are made or given a new name before they are needed: those do not count.
        if !self.is_written(later)? {
            return Ok(());
        }
        if end.is_some_and(|end| end <= position) {
            return Err(self.missing(number));
        }
        Err(SourceError::CutSegment { path, position })
    }

    /// Whether segment `number` begins with a page of this log.
    fn is_written(&mut self, number: SegmentNo) -> Result<bool, SourceError> {
        let Some(mut segment) = self.open_segment(number)? else { return Ok(false) };
        segment.bytes.load(0)?;
        let header = PageHeader::parse(segment.unread(segment.start));
        Ok(header.is_ok_and(|header| header.address == segment.start))
    }

    fn missing(&self, number: SegmentNo) -> SourceError {
        let timeline = self.list.timeline_of(number).or(self.reader.timeline()).unwrap_or(TimelineId::new(1));
        let name = SegmentName::new(timeline, number, self.directory.segment_size()).to_string();
        SourceError::MissingSegment { name, directory: self.directory.path().to_owned() }
    }

    fn damaged(&self, cause: ReadError) -> SourceError {
        SourceError::Damaged { path: self.path_at(cause.lsn), cause }
    }

    /// The file that holds `lsn`, as far as that is known.
    fn path_at(&self, lsn: Lsn) -> PathBuf {
        let number = SegmentNo::of(lsn, self.directory.segment_size());
        match &self.segment {
            Some(segment) if segment.number == number => segment.bytes.path().to_owned(),
            _ => match self.list.find(number, None) {
                Some(choice) => choice.file.path(),
                None => self.directory.path().to_owned(),
            },
        }
    }
}

impl Source for FileSource {
    fn next_record<T>(&mut self, told: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, SourceError> {
        let Some(located) = self.locate()? else { return Ok(None) };
        match self.reader.decode(&located, unread(self.segment.as_ref(), self.located_from)) {
            Ok(record) => Ok(Some(told(&record))),
            Err(error) => Err(self.damaged(error)),
        }
    }

    fn log_position(&self, lsn: Lsn) -> Option<LogPosition> {
        let system_identifier = self.reader.options().system_identifier?;
        Some(LogPosition { system_identifier, timeline: self.reader.timeline()?, lsn })
    }
}

/// What is in memory from `position` on.
#[inline]
fn unread(segment: Option<&OpenSegment>, position: Lsn) -> &[u8] {
    segment.map_or(&[], |segment| segment.unread(position))
}

/// Whether a segment's file that was found later holds more of the log than the one that was read.
fn better(found: &SegmentFile, before: &SegmentFile) -> bool {
    found.name.timeline > before.name.timeline || (before.partial && !found.partial)
}

#[cfg(test)]
mod tests;
