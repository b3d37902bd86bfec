//! Read-only memory maps of files that may be cut while they are read.
//!
//! Whoever touches a mapped page that the file does not have any more gets a SIGBUS, which ends the process. Here a
//! handler of that signal puts zeroes where the file was, so that the reader goes on, and notes that in the map:
//! [`MappedFile::shrank`].
//!
//! All of the unsafe code that reading segments needs is in this crate.
#![cfg(unix)]

mod bus_error;
mod registry;

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Mmap, MmapOptions};

use crate::registry::Registration;

/// A part of a file, mapped.
#[derive(Debug)]
pub struct MappedFile {
    // Before the map, so that it is dropped first: the handler must not touch memory that is no longer ours.
    registration: Registration,
    map: Mmap,
}

impl MappedFile {
    /// Maps `length` bytes of `file` from `offset` on, a multiple of the system's page size.
    ///
    /// # Errors
    /// If the system cannot map the file, if a handler of SIGBUS cannot be installed, or if there are too many maps:
    /// then the file must be read in another way.
    ///
    /// # Safety
    /// While the map exists nobody may write to this part of the file: what [`MappedFile::bytes`] gives would change
    /// under its reader. That the file is cut is no harm.
    pub unsafe fn map(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        bus_error::install_handler()?;
        let mut options = MmapOptions::new();
        // SAFETY: that nobody writes is promised by the caller; that nobody touches what is cut off, by the handler.
        let map = unsafe { options.offset(offset).len(length).map(file)? };
        let registration = Registration::new(map.as_ptr() as usize, map.len())?;
        Ok(Self { registration, map })
    }

    /// Brings a part of the map into memory at once: one call instead of a fault for every few pages. Without it, or
    /// where the system does not know how (Linux before 5.14), the same happens by and by.
    ///
    /// Large maps of which parts are brought into memory one after another let threads wait less for each other than
    /// small maps, each of which all processors must hear of when it goes.
    pub fn populate(&self, part: Range<usize>) {
        #[cfg(target_os = "linux")]
        // It is only advice. Pages that are cut off are met by who reads them.
        let _ = self.map.advise_range(memmap2::Advice::PopulateRead, part.start, part.len());
        #[cfg(not(target_os = "linux"))]
        drop(part);
    }

    /// The bytes; zeroes where the file was cut.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Whether the file was found to be shorter than the map, so that bytes that were read since may be zeroes that it
    /// never held. Cut within a page of memory it is not seen here: the rest of that page reads as zeroes anyway.
    #[inline]
    #[must_use]
    pub fn shrank(&self) -> bool {
        self.registration.shrank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::sync::Barrier;
    use std::thread;

    const LENGTH: usize = 1 << 20;

    fn file() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 2 * LENGTH]).unwrap();
        file
    }

    fn map(file: &File, offset: usize) -> MappedFile {
        // SAFETY: the file is the test's own, and only cut.
        unsafe { MappedFile::map(file, offset as u64, LENGTH).unwrap() }
    }

    #[test]
    fn a_map_holds_the_part_of_the_file() {
        let mut file = file();
        file.write_all(&[9; 100]).unwrap();
        let map = map(&file, LENGTH);
        assert_eq!(map.bytes(), vec![7; LENGTH]);
        assert!(!map.shrank());
    }

    #[test]
    fn what_is_cut_off_reads_as_zeroes() {
        let file = file();
        let (first, second) = (map(&file, 0), map(&file, LENGTH));
        first.populate(0..LENGTH / 2);
        second.populate(0..2 * LENGTH);
        file.set_len(8192).unwrap();
        assert_eq!(first.bytes()[8191], 7);
        assert!(!first.shrank());
        assert_eq!(first.bytes()[8192..], vec![0; LENGTH - 8192]);
        assert!(first.shrank());
        assert!(!second.shrank());
        assert_eq!(second.bytes()[LENGTH - 1], 0);
        assert!(second.shrank());
    }

    #[test]
    fn a_file_may_be_cut_under_several_threads() {
        let file = file();
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (own, other) = (map(&file, 0), map(&file, LENGTH));
                    barrier.wait();
                    barrier.wait();
                    assert!(own.bytes().iter().all(|byte| *byte == 0) && other.bytes().iter().all(|byte| *byte == 0));
                    assert!(own.shrank() && other.shrank());
                });
            }
            barrier.wait();
            file.set_len(0).unwrap();
            barrier.wait();
        });
    }

    #[test]
    fn one_map_may_be_read_by_several_threads_while_the_file_is_cut() {
        let file = file();
        let map = map(&file, 0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while !map.bytes().iter().all(|byte| *byte == 0) {});
            }
            scope.spawn(|| file.set_len(0).unwrap());
        });
        assert!(map.shrank());
    }

    /// Set for the process that is to end.
    const FATAL: &str = "MAPPED_FILE_FATAL";

    #[test]
    fn a_bus_error_that_is_none_of_ours_ends_the_process() {
        if std::env::var_os(FATAL).is_some() {
            let (ours, other) = (file(), file());
            let map = map(&ours, 0);
            // SAFETY: the file is the test's own, and only cut.
            let unknown = unsafe { Mmap::map(&other).unwrap() };
            ours.set_len(0).unwrap();
            other.set_len(0).unwrap();
            assert_eq!(map.bytes()[0], 0);
            std::process::exit(i32::from(unknown[0]));
        }
        let name = "tests::a_bus_error_that_is_none_of_ours_ends_the_process";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name]).env(FATAL, "1").output().unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    }

    #[test]
    fn too_many_maps_are_refused_and_places_are_used_again() {
        let file = file();
        for _ in 0..3 {
            let maps: Vec<_> =
                // SAFETY: nobody else has this file.
                (0..1000).map_while(|_| unsafe { MappedFile::map(&file, 0, 4096) }.ok()).collect();
            assert!(maps.len() > 8 && maps.len() < 1000, "{}", maps.len());
        }
    }
}
