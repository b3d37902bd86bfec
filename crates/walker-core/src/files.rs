//! WAL from a directory of segments, such as `pg_wal` or an archive.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use pgwal::{
    Located, LongPageHeader, Lsn, PageHeader, RawRecord, ReadError, Reader, ReaderOptions, Record, SegmentName,
    SegmentNo, TimelineId, Version,
};

use crate::source::{Source, SourceError};

/// How much is read at once, in bytes: enough that no record needs to be asked for twice, little enough to stay in
/// the processor's cache.
const CHUNK: usize = 256 * 1024;

/// What a [`FileSource`] reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileSourceOptions {
    /// Begin with the first record at or behind this position; with the oldest segment if `None`.
    pub start: Option<Lsn>,
    /// Read this timeline only; of several files for one segment the one of the highest timeline if `None`.
    pub timeline: Option<TimelineId>,
}

/// Reads the segments of one directory in order, up to where the log ends.
///
/// The directory may be a running server's: what is not written yet is simply not there yet, and asked again the
/// source goes on.
#[derive(Debug)]
pub struct FileSource {
    directory: PathBuf,
    timeline: Option<TimelineId>,
    segment_size: u32,
    reader: Reader,
    /// What was read last, from `buffered` on.
    buffer: Vec<u8>,
    buffered: Lsn,
    /// The reader's position before the last record was found: its place is counted from there.
    located_from: Lsn,
    open: Option<(SegmentNo, PathBuf, File)>,
    end_reason: Option<ReadError>,
}

impl FileSource {
    /// Opens the directory and looks at its first segment for the sizes.
    ///
    /// # Errors
    /// If the directory or that segment cannot be read, or there is none.
    pub fn open(directory: &Path, options: FileSourceOptions) -> Result<Self, SourceError> {
        let segments = list(directory, options.timeline)?;
        let first = segments.values().next().ok_or_else(|| SourceError::NoSegments(directory.to_owned()))?;
        let path = directory.join(first.to_string());
        let header = first_page(&path)?;
        let reader_options = ReaderOptions::from_segment(&header);
        // The name alone does not tell the position: the page does, or else the file was renamed.
        let oldest = first.start(header.segment_size);
        let start = options.start.unwrap_or(oldest);
        Ok(Self {
            directory: directory.to_owned(),
            timeline: options.timeline,
            segment_size: header.segment_size,
            reader: Reader::seek(start, reader_options),
            buffer: Vec::new(),
            buffered: Lsn::INVALID,
            located_from: Lsn::INVALID,
            open: None,
            end_reason: None,
        })
    }

    /// Where the next record is looked for.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.reader.position()
    }

    /// Why the last call of [`Source::next_record`] found no more records, if the log said so; `None` if the files
    /// end there.
    #[must_use]
    pub fn end_reason(&self) -> Option<&ReadError> {
        self.end_reason.as_ref()
    }

    /// The reader, for what it knows of version and timeline.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Reads anew from the reader's position on. Returns the number of bytes there are now; zero at the end.
    fn fill(&mut self) -> Result<usize, SourceError> {
        let position = self.reader.position();
        let number = SegmentNo::of(position, self.segment_size);
        if self.open.as_ref().is_none_or(|(open, ..)| *open != number) {
            self.open = self.open_segment(number)?;
        }
        let Some((_, path, file)) = &self.open else { return Ok(0) };
        let offset = position.offset_in(self.segment_size);
        let length = CHUNK.min((self.segment_size - offset) as usize);
        self.buffer.resize(length, 0);
        let read = read_at(file, &mut self.buffer, u64::from(offset));
        let read = read.map_err(|cause| SourceError::Io { path: path.clone(), cause })?;
        self.buffer.truncate(read);
        self.buffered = position;
        Ok(read)
    }

    /// The file of a segment, of the highest timeline that has one; `None` if the log ends before it.
    fn open_segment(&self, number: SegmentNo) -> Result<Option<(SegmentNo, PathBuf, File)>, SourceError> {
        let segments = self.segments()?;
        let start = number.start(self.segment_size);
        let Some(name) = segments.values().find(|name| name.start(self.segment_size) == start) else {
            let later = segments.values().any(|name| name.start(self.segment_size) > start);
            let timeline = self.reader.timeline().or(self.timeline).unwrap_or(TimelineId::new(1));
            let name = SegmentName::new(timeline, number, self.segment_size).to_string();
            return match later {
                true => Err(SourceError::MissingSegment { name, directory: self.directory.clone() }),
                false => Ok(None),
            };
        };
        let path = self.directory.join(name.to_string());
        let file = File::open(&path).map_err(|cause| SourceError::Io { path: path.clone(), cause })?;
        Ok(Some((number, path, file)))
    }

    /// The segments that may hold what follows: none of a timeline that the log has already left.
    fn segments(&self) -> Result<BTreeMap<String, SegmentName>, SourceError> {
        let mut segments = list(&self.directory, self.timeline)?;
        segments.retain(|_, name| self.reader.timeline().is_none_or(|timeline| name.timeline >= timeline));
        Ok(segments)
    }

    /// Where the log seems to end: a promoted server goes on in a file of the same segment on its new timeline. Returns
    /// whether there is one that was not open before.
    fn reopen_on_later_timeline(&mut self) -> Result<bool, SourceError> {
        let Some((number, path, _)) = &self.open else { return Ok(false) };
        let (number, before) = (*number, path.clone());
        let found = self.open_segment(number)?;
        let later = found.as_ref().is_some_and(|(_, path, _)| *path > before);
        if later {
            self.open = found;
            self.buffer.clear();
        }
        Ok(later)
    }

    /// Whether the log goes on behind the page that could not be read: then this is damage. If not, it is where a
    /// server is still writing, or crashed while it did.
    fn goes_on_behind(&self, error: &ReadError) -> Result<bool, SourceError> {
        let block_size = self.reader.options().block_size;
        let place = error.lsn.max(self.reader.position());
        let page = place.floor(block_size).advanced(u64::from(block_size));
        let Some((_, path, file)) = self.open_segment(SegmentNo::of(page, self.segment_size))? else {
            return Ok(false);
        };
        let mut header = [0; PageHeader::SIZE];
        let offset = u64::from(page.offset_in(self.segment_size));
        let read = read_at(&file, &mut header, offset).map_err(|cause| SourceError::Io { path, cause })?;
        let header = PageHeader::parse(header.get(..read).unwrap_or_default());
        Ok(header.is_ok_and(|header| Version::from_page_magic(header.magic).is_some() && header.address == page))
    }

    fn damaged(&self, cause: ReadError) -> SourceError {
        let path = self.open.as_ref().map_or_else(|| self.directory.clone(), |(_, path, _)| path.clone());
        SourceError::Damaged { path, cause }
    }
}

impl Source for FileSource {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, SourceError> {
        match self.locate()? {
            None => Ok(None),
            Some(located) => {
                let decoded = self.reader.decode(&located, unread(&self.buffer, self.buffered, self.located_from));
                decoded.map(Some).map_err(|error| self.damaged(error))
            }
        }
    }
}

impl FileSource {
    /// The next record as [`Source::next_record`] gives it, without decoding it.
    ///
    /// # Errors
    /// As [`Source::next_record`].
    #[inline]
    pub fn next_raw_record(&mut self) -> Result<Option<RawRecord<'_>>, SourceError> {
        let Some(located) = self.locate()? else { return Ok(None) };
        let input = unread(&self.buffer, self.buffered, self.located_from);
        Ok(Some(self.reader.raw(&located, input)))
    }

    #[inline]
    fn locate(&mut self) -> Result<Option<Located>, SourceError> {
        self.located_from = self.reader.position();
        let input = unread(&self.buffer, self.buffered, self.located_from);
        match self.reader.locate(input) {
            Ok(Some(located)) => Ok(Some(located)),
            // Not enough in the buffer, or something is wrong: both are seen again below.
            Ok(None) | Err(_) => self.locate_beyond_buffer(),
        }
    }

    fn locate_beyond_buffer(&mut self) -> Result<Option<Located>, SourceError> {
        self.end_reason = None;
        // Whether the buffer holds what the files hold now: before the log is said to end or to be damaged, it must.
        let mut fresh = false;
        loop {
            let before = self.reader.position();
            self.located_from = before;
            let input = unread(&self.buffer, self.buffered, before);
            let had = input.len();
            match self.reader.locate(input) {
                Ok(Some(located)) => return Ok(Some(located)),
                Ok(None) => {
                    let moved = self.reader.position() != before;
                    let read = self.fill()?;
                    if read == 0 || (fresh && !moved && read <= had) {
                        if self.reopen_on_later_timeline()? {
                            continue;
                        }
                        return Ok(None);
                    }
                }
                Err(error) if fresh => {
                    self.buffer.clear();
                    if self.reopen_on_later_timeline()? {
                        continue;
                    }
                    if error.is_end_of_wal() || !self.goes_on_behind(&error)? {
                        self.end_reason = Some(error);
                        return Ok(None);
                    }
                    return Err(self.damaged(error));
                }
                Err(_) => {
                    self.fill()?;
                }
            }
            fresh = true;
        }
    }
}

/// The part of `buffer`, which begins at `buffered`, from `position` on.
fn unread(buffer: &[u8], buffered: Lsn, position: Lsn) -> &[u8] {
    if position < buffered {
        return &[];
    }
    let used = usize::try_from(position.since(buffered)).unwrap_or(usize::MAX);
    buffer.get(used..).unwrap_or_default()
}

/// The directory's segments by their place in the log, of each place the one of the highest timeline.
fn list(directory: &Path, timeline: Option<TimelineId>) -> Result<BTreeMap<String, SegmentName>, SourceError> {
    let io = |cause| SourceError::Io { path: directory.to_owned(), cause };
    let mut segments: BTreeMap<String, SegmentName> = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let file_name = entry.map_err(io)?.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.parse::<SegmentName>().ok()) else { continue };
        if timeline.is_some_and(|timeline| timeline != name.timeline) {
            continue;
        }
        // Behind the timeline, the name is the place.
        let place = name.to_string()[8..].to_owned();
        let known = segments.entry(place).or_insert(name);
        *known = (*known).max(name);
    }
    Ok(segments)
}

fn first_page(path: &Path) -> Result<LongPageHeader, SourceError> {
    let io = |cause| SourceError::Io { path: path.to_owned(), cause };
    let mut bytes = Vec::with_capacity(LongPageHeader::SIZE);
    File::open(path).map_err(io)?.take(LongPageHeader::SIZE as u64).read_to_end(&mut bytes).map_err(io)?;
    let not_a_segment = |cause: String| SourceError::NotASegment { path: path.to_owned(), cause };
    let header = LongPageHeader::parse(&bytes).map_err(|cause| not_a_segment(cause.to_string()))?;
    if !header.sizes_are_valid() {
        let (segment, block) = (header.segment_size, header.block_size);
        return Err(not_a_segment(format!("segment size {segment}, block size {block}")));
    }
    Ok(header)
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_segments_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("00000001.history"), "").unwrap();
        let error = FileSource::open(directory.path(), FileSourceOptions::default()).unwrap_err();
        assert!(error.to_string().contains("could not find any WAL file in"));
    }

    #[test]
    fn a_file_with_the_name_of_a_segment_need_not_be_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("000000010000000000000001"), [7; 100]).unwrap();
        let error = FileSource::open(directory.path(), FileSourceOptions::default()).unwrap_err();
        assert!(error.to_string().contains("is not a WAL segment"), "{error}");
    }
}
