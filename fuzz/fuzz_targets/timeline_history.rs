//! Any bytes as a history file: no panic, and whatever is read leads from the first timeline to the last without a gap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgwal::{Lsn, TimelineHistory, TimelineId};

fuzz_target!(|content: &[u8]| {
    for timeline in [1, 3, u32::MAX].map(TimelineId::new) {
        let Ok(history) = TimelineHistory::parse(timeline, content) else { continue };
        let entries = history.entries();
        assert!(entries.len() <= content.len() + 1, "each entry has a line");
        assert_eq!(entries.first().map(|first| first.begin), Some(Lsn::INVALID));
        assert_eq!(entries.last().map(|last| (last.timeline, last.end)), Some((timeline, None)));
        for pair in entries.windows(2) {
            assert!(pair[0].timeline < pair[1].timeline);
            assert_eq!(pair[0].end, Some(pair[1].begin));
            assert_eq!(history.switch_point(pair[0].timeline), pair[0].end);
        }
        assert_eq!(history.timeline_at(Lsn::new(u64::MAX)), Some(timeline));
    }
});
