//! Segments that are mapped into memory, and which ones may be.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use mapped_file::MappedFile;

use super::segment_list::Choice;

/// How much is brought into memory at once, in bytes. Segments are multiples of it, so that no page of the log is cut.
const STEP: u32 = 1024 * 1024;
/// How much is mapped at once, in bytes; less in smaller segments, which divide it.
const WINDOW: u32 = 16 * STEP;

/// What a server keeps its process number in while it runs; beside `pg_wal`.
const LOCK_FILE: &str = "postmaster.pid";
/// What every data directory has.
const VERSION_FILE: &str = "PG_VERSION";
/// What every `pg_wal` has, and no archive.
const STATUS_DIRECTORY: &str = "archive_status";

/// Whether nobody writes to the chosen file of `length` bytes, so that it may be mapped.
///
/// This is the rule that the unsafe code below relies on. A file is mapped only if
/// - it is no part of a server's log, or of a server that does not run: a running one writes its newest segments, and
///   gives old ones new names and overwrites them. Asked anew for each segment, since a server may be started;
/// - it is as long as a segment, and its name does not say that it is partial: it is not being copied or received;
/// - it is not the newest segment: if somebody writes, without being seen by the above, then that one.
pub(super) fn nobody_writes(choice: &Choice, length: u64, segment_size: u32) -> bool {
    let whole = length == u64::from(segment_size) && !choice.file.partial;
    whole && !choice.newest && !server_may_run(&choice.file.directory)
}

/// Whether `directory` is the `pg_wal` of a server, unless one that certainly does not run.
fn server_may_run(directory: &Path) -> bool {
    let is_server_s = directory.join(STATUS_DIRECTORY).exists();
    // `pg_wal` may be a symbolic link: then the data directory is seen beside the link, if it was reached by that.
    let data_directory = directory.join("..");
    let beside_link = directory.parent().unwrap_or(Path::new(""));
    let beside_link = if beside_link.as_os_str().is_empty() { Path::new(".") } else { beside_link };
    let mut known = false;
    for candidate in [&data_directory, beside_link] {
        if candidate.join(LOCK_FILE).exists() {
            return true;
        }
        known |= candidate.join(VERSION_FILE).exists();
    }
    is_server_s && !known
}

/// A segment that nobody writes, of which one step may be read at a time.
#[derive(Debug)]
pub(super) struct MappedSegment {
    file: File,
    segment_size: u32,
    window: Option<Window>,
    /// What may be read of the window.
    step: Range<usize>,
}

/// A part of the segment, mapped.
#[derive(Debug)]
struct Window {
    /// Offset in the segment.
    begin: u32,
    map: MappedFile,
}

impl MappedSegment {
    /// For a file to which [`nobody_writes`].
    pub(super) fn new(file: File, segment_size: u32) -> Self {
        Self { file, segment_size, window: None, step: 0..0 }
    }

    /// The step that was loaded, up to the limit.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.window.as_ref().and_then(|window| window.map.bytes().get(self.step.clone())).unwrap_or_default()
    }

    /// Whether the file was found to be shorter than it was.
    #[inline]
    pub(super) fn shrank(&self) -> bool {
        self.window.as_ref().is_some_and(|window| window.map.shrank())
    }

    pub(super) fn clear(&mut self) {
        self.window = None;
    }

    /// Another handle of the file.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Loads the step that holds `offset`, for the bytes before `limit`. Returns the offset where it begins; `None` if
    /// the file has become shorter.
    pub(super) fn load(&mut self, offset: u32, limit: u32) -> io::Result<Option<u32>> {
        if self.shrank() || self.file.metadata()?.len() < u64::from(self.segment_size) {
            self.window = None;
            return Ok(None);
        }
        let begin = offset - offset % STEP;
        let window = self.window(offset)?;
        let in_window = (begin - window.begin) as usize;
        window.map.populate(in_window..in_window + STEP as usize);
        self.step = in_window..in_window + STEP.min(limit - begin) as usize;
        Ok(Some(begin))
    }

    /// The window that holds `offset`.
    fn window(&mut self, offset: u32) -> io::Result<&Window> {
        let length = WINDOW.min(self.segment_size);
        let begin = offset - offset % length;
        let window = match self.window.take().filter(|window| window.begin == begin) {
            Some(window) => window,
            None => {
                #[allow(unsafe_code, reason = "that nobody writes is known only to those who choose the file")]
                // SAFETY: `nobody_writes`.
                let map = unsafe { MappedFile::map(&self.file, u64::from(begin), length as usize)? };
                Window { begin, map }
            }
        };
        Ok(self.window.insert(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::segment_list::SegmentFile;
    use std::fs;

    const SIZE: u32 = 1024 * 1024;

    fn choice(directory: &Path, file_name: &str, newest: bool) -> Choice {
        Choice { file: SegmentFile::parse(file_name, &directory.into(), 0).unwrap(), end: None, newest }
    }

    #[test]
    fn only_whole_segments_of_the_past_are_mapped() {
        let directory = tempfile::tempdir().unwrap();
        let writes_nobody = |choice, length| nobody_writes(&choice, length, SIZE);
        let choice = |file_name: &str, newest| choice(directory.path(), file_name, newest);
        let name = "000000010000000000000005";
        assert!(writes_nobody(choice(name, false), u64::from(SIZE)));
        assert!(!writes_nobody(choice(name, true), u64::from(SIZE)));
        assert!(!writes_nobody(choice(name, false), u64::from(SIZE) - 1));
        assert!(!writes_nobody(choice(&format!("{name}.partial"), false), u64::from(SIZE)));
    }

    #[test]
    fn the_log_of_a_server_is_mapped_only_if_that_does_not_run() {
        let data = tempfile::tempdir().unwrap();
        let wal = data.path().join("pg_wal");
        fs::create_dir_all(wal.join(STATUS_DIRECTORY)).unwrap();
        // Whose it is cannot be seen.
        assert!(server_may_run(&wal));
        fs::write(data.path().join(VERSION_FILE), "15\n").unwrap();
        assert!(!server_may_run(&wal));
        fs::write(data.path().join(LOCK_FILE), "1\n").unwrap();
        assert!(server_may_run(&wal));
        // Reached by a link, and where the link leads to.
        let elsewhere = tempfile::tempdir().unwrap();
        let moved = elsewhere.path().join("moved");
        fs::rename(&wal, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &wal).unwrap();
        assert!(server_may_run(&wal));
        assert!(server_may_run(&moved));
    }
}
