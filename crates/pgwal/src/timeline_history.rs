//! Which timelines a timeline descends from, and where it left each: the files `00000003.history`.
//! Source: `src/backend/access/transam/timeline.c`: `readTimeLineHistory`, `tliOfPointInHistory`, `tliSwitchPoint`.

use crate::ids::TimelineId;
use crate::lsn::Lsn;
use crate::segment::SegmentNo;

/// The part of the log that one timeline contributes (`TimeLineHistoryEntry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineHistoryEntry {
    /// The timeline.
    pub timeline: TimelineId,
    /// Where it begins; invalid (zero) for the first.
    pub begin: Lsn,
    /// Where the next timeline leaves it; `None` for the last.
    pub end: Option<Lsn>,
    /// Why it was left, in the words of the server; empty for the last.
    pub reason: String,
}

impl TimelineHistoryEntry {
    /// Whether some of its log lies in segment `number`, if segments are of `size` bytes.
    #[must_use]
    pub fn covers(&self, number: SegmentNo, size: u32) -> bool {
        self.begin < number.next().start(size) && self.end.is_none_or(|end| end > number.start(size))
    }
}

/// The way from the first timeline to one of its descendants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineHistory {
    /// Oldest first; never empty.
    entries: Vec<TimelineHistoryEntry>,
}

impl TimelineHistory {
    /// Reads the content of the history file of `timeline`.
    ///
    /// # Errors
    /// [`TimelineHistoryError`] where PostgreSQL refuses the file.
    pub fn parse(timeline: TimelineId, content: &[u8]) -> Result<Self, TimelineHistoryError> {
        let mut entries: Vec<TimelineHistoryEntry> = Vec::new();
        let mut begin = Lsn::INVALID;
        for line in String::from_utf8_lossy(content).lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (ancestor, end, reason) = parse_line(line)?;
            if entries.last().is_some_and(|last| ancestor <= last.timeline) {
                return Err(TimelineHistoryError::Order(ancestor));
            }
            entries.push(TimelineHistoryEntry { timeline: ancestor, begin, end: Some(end), reason: reason.to_owned() });
            begin = end;
        }
        if let Some(last) = entries.last().filter(|last| timeline <= last.timeline) {
            return Err(TimelineHistoryError::Descendant { ancestor: last.timeline, timeline });
        }
        entries.push(TimelineHistoryEntry { timeline, begin, end: None, reason: String::new() });
        Ok(Self { entries })
    }

    /// Name of the file that holds the history of `timeline`: `00000003.history` (`TLHistoryFileName`).
    #[must_use]
    pub fn file_name(timeline: TimelineId) -> String {
        format!("{:08X}.history", timeline.get())
    }

    /// The timelines, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[TimelineHistoryEntry] {
        &self.entries
    }

    /// The timeline that the log at `lsn` is on (`tliOfPointInHistory`).
    #[must_use]
    pub fn timeline_at(&self, lsn: Lsn) -> Option<TimelineId> {
        let holds = |entry: &&TimelineHistoryEntry| entry.begin <= lsn && entry.end.is_none_or(|end| lsn < end);
        self.entries.iter().find(holds).map(|entry| entry.timeline)
    }

    /// Where `timeline` was left for the next; `None` if it is the last one or not part of this history
    /// (`tliSwitchPoint`).
    #[must_use]
    pub fn switch_point(&self, timeline: TimelineId) -> Option<Lsn> {
        self.entries.iter().find(|entry| entry.timeline == timeline)?.end
    }
}

/// A history file is not as PostgreSQL writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineHistoryError {
    /// A line does not begin with the number of a timeline.
    #[error("syntax error in history file: {0} (expected a numeric timeline ID)")]
    Timeline(String),
    /// There is no LSN behind the number of the timeline.
    #[error("syntax error in history file: {0} (expected a write-ahead log switchpoint location)")]
    SwitchPoint(String),
    /// A timeline is not higher than the one before.
    #[error("invalid data in history file: timeline {0} is not in increasing sequence")]
    Order(TimelineId),
    /// A timeline is not lower than the one whose history it should be part of.
    #[error("invalid data in history file: timeline {ancestor} is not less than child timeline {timeline}")]
    Descendant {
        /// The last timeline of the file.
        ancestor: TimelineId,
        /// The timeline whose history this is.
        timeline: TimelineId,
    },
}

/// Timeline, switch point and reason, as `sscanf(line, "%u\t%X/%X")` reads the first two.
fn parse_line(line: &str) -> Result<(TimelineId, Lsn, &str), TimelineHistoryError> {
    let digits = line.find(|character: char| !character.is_ascii_digit()).unwrap_or(line.len());
    let (number, rest) = line.split_at_checked(digits).unwrap_or_default();
    let number = number.parse().map_err(|_| TimelineHistoryError::Timeline(line.to_owned()))?;
    let rest = rest.trim_start();
    let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (location, reason) = rest.split_at_checked(length).unwrap_or_default();
    let location = location.parse().map_err(|_| TimelineHistoryError::SwitchPoint(line.to_owned()))?;
    Ok((TimelineId::new(number), location, reason.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONTENT: &[u8] =
        b"# a comment\n1\t0/3000158\tno recovery target specified\n\n  2\t0/5000000\tbefore 2026-01-01 \
        00:00:00+00\n";

    fn history() -> TimelineHistory {
        TimelineHistory::parse(TimelineId::new(4), CONTENT).unwrap()
    }

    #[test]
    fn a_history_ends_with_the_timeline_itself() {
        let history = history();
        let timelines: Vec<_> = history.entries().iter().map(|entry| entry.timeline.get()).collect();
        assert_eq!(timelines, [1, 2, 4]);
        assert_eq!(history.entries()[0].reason, "no recovery target specified");
        assert_eq!(history.entries()[1].begin, Lsn::new(0x300_0158));
        assert_eq!(history.switch_point(TimelineId::new(2)), Some(Lsn::new(0x500_0000)));
        assert_eq!(history.switch_point(TimelineId::new(3)), None);
        assert_eq!(history.switch_point(TimelineId::new(4)), None);
        assert_eq!(TimelineHistory::file_name(TimelineId::new(0x1F)), "0000001F.history");
    }

    #[test]
    fn the_switch_point_belongs_to_the_new_timeline() {
        let at = |lsn| history().timeline_at(Lsn::new(lsn)).unwrap().get();
        assert_eq!([at(1), at(0x300_0157), at(0x300_0158), at(0x500_0000)], [1, 1, 2, 4]);
    }

    #[test]
    fn a_segment_with_a_switch_point_is_covered_by_both_timelines() {
        let history = history();
        let size = 1024 * 1024;
        let covering = |segment| {
            let number = SegmentNo::new(segment);
            let covering = history.entries().iter().filter(|entry| entry.covers(number, size));
            covering.map(|entry| entry.timeline.get()).collect::<Vec<_>>()
        };
        assert_eq!(covering(0x2F), [1]);
        assert_eq!(covering(0x30), [1, 2]);
        assert_eq!(covering(0x4F), [2]);
        // A switch exactly between two segments leaves nothing to the old timeline.
        assert_eq!(covering(0x50), [4]);
    }

    #[test]
    fn what_postgresql_refuses_is_refused() {
        let parse = |content: &[u8]| TimelineHistory::parse(TimelineId::new(3), content);
        assert!(matches!(parse(b"x\t0/1\n"), Err(TimelineHistoryError::Timeline(_))));
        assert!(matches!(parse(b"99999999999\t0/1\n"), Err(TimelineHistoryError::Timeline(_))));
        assert!(matches!(parse(b"1\n"), Err(TimelineHistoryError::SwitchPoint(_))));
        assert!(matches!(parse(b"1\t0-1\n"), Err(TimelineHistoryError::SwitchPoint(_))));
        assert!(matches!(parse(b"2\t0/1\n1\t0/2\n"), Err(TimelineHistoryError::Order(_))));
        assert!(matches!(parse(b"3\t0/1\n"), Err(TimelineHistoryError::Descendant { .. })));
        assert_eq!(parse(b"").unwrap().entries().len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = TimelineHistory::parse(TimelineId::new(3), &content);
        }
    }
}
