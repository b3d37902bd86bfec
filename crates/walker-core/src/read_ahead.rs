//! WAL that was read from its file before it is asked for.

use pgwal::{Lsn, TimelineId};

/// A part of the log as a file of one timeline holds it.
///
/// PostgreSQL's reader asks for one page at a time, and most of what that costs is the call of the system: so many pages are read
/// by one call.
#[derive(Debug, Default)]
pub struct ReadAhead {
    timeline: TimelineId,
    start: Lsn,
    /// How much of `bytes` that part is.
    length: usize,
    bytes: Vec<u8>,
}

impl ReadAhead {
    /// How many bytes should be read at a time at most: they stay in a CPU's cache until they are used.
    pub const CAPACITY: u64 = 128 << 10;

    /// So many bytes from `start` on, if all of them are here.
    #[must_use]
    pub fn get(&self, timeline: TimelineId, start: Lsn, length: usize) -> Option<&[u8]> {
        if timeline != self.timeline || start < self.start {
            return None;
        }
        let begin = usize::try_from(start.since(self.start)).ok()?;
        self.bytes.get(..self.length)?.get(begin..begin.checked_add(length)?)
    }

    /// From now on it is the part from `start` on that `read` puts into the buffer of this length; nothing if `read` does not
    /// return.
    pub fn fill(&mut self, timeline: TimelineId, start: Lsn, length: usize, read: impl FnOnce(&mut [u8])) {
        self.clear();
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        read(&mut self.bytes[..length]);
        (self.timeline, self.start, self.length) = (timeline, start, length);
    }

    /// The next bytes are to come from the file.
    pub fn clear(&mut self) {
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> ReadAhead {
        let mut ahead = ReadAhead::default();
        ahead.fill(TimelineId::new(1), Lsn::new(100), 4, |bytes| bytes.copy_from_slice(b"abcd"));
        ahead
    }

    #[test]
    fn only_what_was_read_is_given_out() {
        let ahead = filled();
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(100), 4), Some(&b"abcd"[..]));
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(102), 2), Some(&b"cd"[..]));
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(102), 3), None);
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(99), 2), None);
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(200), 1), None);
        assert_eq!(ahead.get(TimelineId::new(2), Lsn::new(100), 4), None);
    }

    #[test]
    fn what_was_read_before_is_gone() {
        let mut ahead = filled();
        ahead.fill(TimelineId::new(1), Lsn::new(104), 2, |bytes| bytes.copy_from_slice(b"ef"));
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(104), 2), Some(&b"ef"[..]));
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(104), 3), None);
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(100), 4), None);
    }

    #[test]
    fn after_a_failure_nothing_is_here() {
        let mut ahead = filled();
        let fails = std::panic::AssertUnwindSafe(|| {
            ahead.fill(TimelineId::new(1), Lsn::new(100), 4, |_| panic!("not readable"))
        });
        assert!(std::panic::catch_unwind(fails).is_err());
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(100), 1), None);
        ahead = filled();
        ahead.clear();
        assert_eq!(ahead.get(TimelineId::new(1), Lsn::new(100), 1), None);
    }
}
