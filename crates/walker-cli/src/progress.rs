//! How far a long run is, on a terminal.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, stderr, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pgwal::{Lsn, PageHeader, SegmentName};

use crate::wal_input::WalInput;

/// What takes less time than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// After so much of the log the clock is looked at, in bytes.
const STRIDE: u64 = 4 * 1024 * 1024;
/// What the line shows: position, share, speed.
const WITH_END: &str = "{msg}  {percent:>3}%  {bytes_per_sec}  {eta} left";
const WITHOUT_END: &str = "{msg}  {bytes}  {bytes_per_sec}";

/// A line on standard error that is written again and again: only if that is a terminal, and standard output is none,
/// so that the records do not mix with it.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    first: Lsn,
    /// Where the log ends, as far as that is known beforehand.
    end: Option<Lsn>,
    /// The position from which on the clock is looked at next.
    next_look: Lsn,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// No line at all.
    pub(crate) fn none() -> Self {
        Self { begun: Instant::now(), first: Lsn::INVALID, end: None, next_look: Lsn::MAX, bar: None }
    }

    /// The progress through `input`, if somebody can see it.
    pub(crate) fn new(input: &WalInput) -> Self {
        let Some(first) = input.first().filter(|_| stderr().is_terminal() && !stdout().is_terminal()) else {
            return Self::none();
        };
        let end = input.end().or_else(|| expected_end(input.directory(), input.segment_size()));
        let end = end.filter(|end| *end > first);
        Self { begun: Instant::now(), first, end, next_look: first.advanced(STRIDE), bar: None }
    }

    /// To be told of each record's position.
    #[inline]
    pub(crate) fn at(&mut self, position: Lsn) {
        if position >= self.next_look {
            self.show(position);
        }
    }

    #[cold]
    fn show(&mut self, position: Lsn) {
        self.next_look = position.advanced(STRIDE);
        let elapsed = self.begun.elapsed();
        if elapsed < PATIENCE {
            return;
        }
        let Self { first, end, .. } = *self;
        let bar = self.bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(end.map(|end| end.since(first)), target).with_elapsed(elapsed);
            let template = if end.is_some() { WITH_END } else { WITHOUT_END };
            // A mistake in a template shows in the tests.
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_message(position.to_string());
        bar.set_position(position.since(first));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Where the log will end, as far as its files tell: those that a server made ready for later hold no page of their own
/// yet.
fn expected_end(directory: &Path, segment_size: u32) -> Option<Lsn> {
    let names = directory.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names = names.filter_map(|name| name.split('.').next()?.parse::<SegmentName>().ok());
    let mut segments: Vec<_> = names.map(|name| (name.start(segment_size), name)).collect();
    segments.sort_unstable_by_key(|(start, _)| *start);
    let in_use = |(start, name): &&(Lsn, SegmentName)| {
        let mut page = [0; PageHeader::SIZE];
        let read = File::open(directory.join(name.to_string())).and_then(|mut file| file.read_exact(&mut page));
        // One that cannot be looked into, such as a compressed one, was archived because it was in use.
        read.is_err() || PageHeader::parse(&page).is_ok_and(|header| header.address == *start)
    };
    segments.iter().rev().find(in_use).map(|(start, _)| start.advanced(u64::from(segment_size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_made_ready_for_later_are_not_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let page = |address: u64| [&[0x10, 0xD1, 0, 0, 1, 0, 0, 0][..], &address.to_le_bytes(), &[0; 8]].concat();
        let write = |name: &str, address| std::fs::write(directory.path().join(name), page(address)).unwrap();
        write("000000010000000000000002", 0x20_0000);
        write("000000010000000000000003", 0x30_0000);
        write("000000010000000000000004", 0x10_0000);
        write("00000002.history", 0);
        assert_eq!(expected_end(directory.path(), 1 << 20), Some(Lsn::new(0x40_0000)));
        std::fs::write(directory.path().join("000000010000000000000005.gz"), "").unwrap();
        assert_eq!(expected_end(directory.path(), 1 << 20), Some(Lsn::new(0x60_0000)));
        assert_eq!(expected_end(Path::new("/nowhere"), 1 << 20), None);
    }

    #[test]
    fn the_templates_are_understood() {
        for template in [WITH_END, WITHOUT_END] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn nothing_is_shown_before_its_time_or_without_a_terminal() {
        let mut progress = Progress::none();
        progress.at(Lsn::new(u64::MAX - 1));
        assert!(progress.bar.is_none());
        let first = Lsn::new(0x100_0000);
        let end = Some(first.advanced(STRIDE * 10));
        let mut progress = Progress { begun: Instant::now(), first, end, next_look: first.advanced(STRIDE), bar: None };
        progress.at(first.advanced(STRIDE));
        assert!(progress.bar.is_none() && progress.next_look == first.advanced(STRIDE * 2));
        progress.begun -= PATIENCE;
        progress.at(first.advanced(STRIDE * 2));
        let bar = progress.bar.as_ref().unwrap();
        assert_eq!(
            (bar.position(), bar.length(), bar.message()),
            (STRIDE * 2, Some(STRIDE * 10), "0/1800000".to_owned())
        );
    }
}
