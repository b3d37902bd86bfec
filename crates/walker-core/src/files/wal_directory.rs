//! A directory of segments, such as `pg_wal` or an archive, or several that together hold one log.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use pgwal::{LongPageHeader, Lsn, ReaderOptions, TimelineId};

use super::segment_list::{Listing, SegmentFile, SegmentList};
use crate::source::SourceError;

/// A directory of segments, listed once for any number of [`FileSource`](super::FileSource)s: a clone is the same
/// directory. It may stand for several, whose files are taken as if they were in one.
///
/// A segment is read from the file `000000010000000000000005` or, if there is none, from one with the ending `.lz4`,
/// `.zst`, `.gz`, `.partial`, or of both kinds.
#[derive(Debug, Clone)]
pub struct WalDirectory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// At least one.
    paths: Vec<Arc<Path>>,
    timeline: Option<TimelineId>,
    first_page: LongPageHeader,
    /// As it was listed last.
    list: RwLock<Arc<SegmentList>>,
}

impl WalDirectory {
    /// Lists the directory, and looks into a segment for the sizes.
    ///
    /// The log that is read is the one that leads to `timeline`, or else to the highest timeline that has a segment:
    /// its history file tells which earlier timelines are part of it, and up to where. Without a history file it is
    /// that timeline alone, or else of each segment the file of the highest timeline.
    ///
    /// # Errors
    /// If the directory, the history file or all of the segments cannot be read, or there is no segment.
    pub fn open(path: &Path, timeline: Option<TimelineId>) -> Result<Self, SourceError> {
        Self::open_together(path, &[], timeline)
    }

    /// As [`WalDirectory::open`], for the files of several directories, such as an archive and the `pg_wal` of the server that
    /// is to be recovered from it. Of the files of one segment and timeline that of the earliest directory is read, unless it
    /// is partial and another is not: so the archive comes first, as for a server.
    ///
    /// # Errors
    /// As [`WalDirectory::open`].
    pub fn open_together(first: &Path, others: &[&Path], timeline: Option<TimelineId>) -> Result<Self, SourceError> {
        let paths: Vec<Arc<Path>> = [first].iter().chain(others).map(|path| Arc::from(*path)).collect();
        let listing = Listing::read(&paths)?;
        let first_page = any_first_page(first, &listing, timeline)?;
        let list = SegmentList::new(listing, timeline, first_page.segment_size)?;
        if list.start().is_none() {
            return Err(SourceError::NoSegments(first.to_owned()));
        }
        let list = RwLock::new(Arc::new(list));
        Ok(Self { shared: Arc::new(Shared { paths, timeline, first_page, list }) })
    }

    /// Name of any file in `path` that is named like a segment; `None` also if the directory cannot be read.
    #[must_use]
    pub fn any_segment(path: &Path) -> Option<String> {
        Listing::read(&[path.into()]).ok()?.segments.into_iter().next().map(|file| file.file_name)
    }

    /// Its path; that of the first, if they are several.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.paths.first().map_or(Path::new(""), |path| path)
    }

    /// Size of a segment in bytes.
    #[must_use]
    pub fn segment_size(&self) -> u32 {
        self.shared.first_page.segment_size
    }

    /// What the reader must know of the log.
    #[must_use]
    pub fn reader_options(&self) -> ReaderOptions {
        ReaderOptions::from_segment(&self.shared.first_page)
    }

    /// Where the oldest segment begins.
    #[must_use]
    pub fn start(&self) -> Lsn {
        self.list().start().unwrap_or_default()
    }

    /// Where the newest segment ends, were it full.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.list().end().unwrap_or_default()
    }

    /// What the directory held when it was last listed.
    pub(super) fn list(&self) -> Arc<SegmentList> {
        Arc::clone(&self.shared.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the directory holds now.
    pub(super) fn list_again(&self) -> Result<Arc<SegmentList>, SourceError> {
        let listing = Listing::read(&self.shared.paths)?;
        let list = Arc::new(SegmentList::new(listing, self.shared.timeline, self.segment_size())?);
        *self.shared.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&list);
        Ok(list)
    }
}

/// The first page of the first segment that has a good one: a damaged one is met again when it is read.
fn any_first_page(
    directory: &Path,
    listing: &Listing,
    timeline: Option<TimelineId>,
) -> Result<LongPageHeader, SourceError> {
    let mut first_error = None;
    let wanted = |file: &&SegmentFile| timeline.is_none_or(|timeline| file.name.timeline <= timeline);
    for file in listing.segments.iter().filter(wanted) {
        match first_page(file) {
            Ok(header) => return Ok(header),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| SourceError::NoSegments(directory.to_owned())))
}

fn first_page(file: &SegmentFile) -> Result<LongPageHeader, SourceError> {
    let path = file.path();
    let mut bytes = Vec::with_capacity(LongPageHeader::SIZE);
    match file.compression {
        Some(compression) => {
            let read = compression.open(&path)?.take(LongPageHeader::SIZE as u64).read_to_end(&mut bytes);
            read.map_err(|cause| SourceError::Compressed { path: path.clone(), cause })?;
        }
        None => {
            let io = |cause| SourceError::Io { path: path.clone(), cause };
            let file = File::open(&path).map_err(io)?;
            file.take(LongPageHeader::SIZE as u64).read_to_end(&mut bytes).map_err(io)?;
        }
    }
    let not_a_segment = |cause: String| SourceError::NotASegment { path: path.clone(), cause };
    let header = LongPageHeader::parse(&bytes).map_err(|cause| not_a_segment(cause.to_string()))?;
    if !header.sizes_are_valid() {
        let (segment, block) = (header.segment_size, header.block_size);
        return Err(not_a_segment(format!("segment size {segment}, block size {block}")));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_segments_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("00000001.history"), "").unwrap();
        let error = WalDirectory::open(directory.path(), None).unwrap_err();
        assert!(error.to_string().contains("could not find any WAL file in"));
    }

    #[test]
    fn a_file_with_the_name_of_a_segment_need_not_be_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("000000010000000000000001"), [7; 100]).unwrap();
        let error = WalDirectory::open(directory.path(), None).unwrap_err();
        assert!(error.to_string().contains("is not a WAL segment"), "{error}");
    }
}
