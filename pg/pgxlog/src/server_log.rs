//! What the server says of its log: how far it is, and which positions are part of it.
//!
//! Source: `src/backend/access/transam/xlog.c`.

use std::cmp::Ordering;

use pgrx::pg_sys;
use pgwal::{Lsn, SegmentNo, TimelineHistory, TimelineId};
use walker_core::{Held, LogPosition};

use crate::segment_file;

/// The position up to which WAL is durable (flushed, or on a standby replayed), and the timeline there.
#[must_use]
pub fn durable() -> (Lsn, TimelineId) {
    let mut timeline = 0;
    // SAFETY: both functions take a pointer to write the timeline to, and lock what they read.
    let position = unsafe {
        if pg_sys::RecoveryInProgress() {
            pg_sys::GetXLogReplayRecPtr(&mut timeline)
        } else {
            pg_sys::GetFlushRecPtr(&mut timeline)
        }
    };
    (Lsn::new(position), TimelineId::new(timeline))
}

/// Where the last checkpoint began (on a standby: restartpoint). From there on WAL is there, and each page that is
/// changed comes as a whole, unless `full_page_writes` is off.
#[must_use]
pub fn last_redo() -> Lsn {
    // SAFETY: locks what it reads.
    Lsn::new(unsafe { pg_sys::GetRedoRecPtr() })
}

/// The number that this server shares only with its copies.
#[must_use]
pub fn system_identifier() -> u64 {
    // SAFETY: set once when the server starts.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// Whether the log up to `position` is a beginning of this server's log as it is now, and what comes next is still there to
/// be read. It is not if it is of another server, of a part of the log that was undone when this one was restored to a point
/// before, or if the WAL behind it has been removed. A standby may not have replayed it yet.
#[must_use]
pub fn holds(position: &LogPosition) -> Held {
    match refusal(position) {
        Ok(held) => held,
        Err(reason) => Held::No(format!("this log does not hold {position}: {reason}")),
    }
}

/// As [`holds`]; the reason is part of a sentence.
fn refusal(position: &LogPosition) -> Result<Held, String> {
    let (end, current) = durable();
    let LogPosition { system_identifier: system, timeline, lsn } = *position;
    if system != system_identifier() {
        return Err(format!("this is system {}", system_identifier()));
    }
    // SAFETY: looks at the server's state.
    let may_grow = unsafe { pg_sys::RecoveryInProgress() };
    let history = match segment_file::read_history(current) {
        Ok(history) => history,
        Err(cause) => return Ok(Held::Unknown(cause)),
    };
    if timeline != current {
        match history.switch_point(timeline) {
            // What the server comes to later, from an archive or a primary, may tell of it.
            None if may_grow && timeline > current => return Ok(Held::NotYet),
            None => return Err(format!("timeline {timeline} is not in the history of timeline {current}")),
            Some(switch) if lsn > switch => return Err(format!("timeline {timeline} was left at {switch}")),
            Some(_) => {}
        }
    }
    match lsn.cmp(&end) {
        Ordering::Greater if may_grow => return Ok(Held::NotYet),
        Ordering::Greater => return Err(format!("the log ends at {end}")),
        // Nothing needs to be there yet.
        Ordering::Equal => return Ok(Held::Yes),
        Ordering::Less => {}
    }
    find_segment(&history, current, lsn).map(|_| Held::Yes)
}

/// Whether the segment with this position is there to be read.
#[must_use]
pub fn is_there(lsn: Lsn) -> bool {
    let (_, current) = durable();
    segment_file::read_history(current).is_ok_and(|history| find_segment(&history, current, lsn).is_ok())
}

/// The timeline whose file holds the position; else why there is none.
fn find_segment(history: &TimelineHistory, current: TimelineId, lsn: Lsn) -> Result<TimelineId, String> {
    let number = SegmentNo::of(lsn, segment_file::segment_size());
    let owner = history.timeline_at(lsn).unwrap_or(current);
    // Of a segment with more than one timeline in it the newest has the file.
    let newest = history.entries().iter().rfind(|entry| entry.covers(number, segment_file::segment_size()));
    let newest = newest.map_or(owner, |entry| entry.timeline);
    let found = segment_file::find(newest, number, lsn).or_else(|| segment_file::find(owner, number, lsn));
    found.ok_or_else(|| segment_file::removed(newest, number))
}
