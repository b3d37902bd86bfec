//! What the server says of its log: how far it is, and which positions are part of it.
//!
//! Source: `src/backend/access/transam/xlog.c`.

use pgrx::pg_sys;
use pgwal::{Lsn, SegmentNo, TimelineId};
use walker_core::LogPosition;

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
/// be read.
///
/// # Errors
/// Why not, as part of a sentence: it is of another server, of a part of the log that was undone when this one was restored
/// to a point before, or the WAL behind it has been removed.
pub fn holds(position: &LogPosition) -> Result<(), String> {
    let (end, current) = durable();
    let LogPosition { system_identifier: system, timeline, lsn } = *position;
    if system != system_identifier() {
        return Err(format!("this is system {}", system_identifier()));
    }
    if lsn > end {
        return Err(format!("the log ends at {end}"));
    }
    let history = segment_file::read_history(current)?;
    if timeline != current {
        match history.switch_point(timeline) {
            None => return Err(format!("timeline {timeline} is not in the history of timeline {current}")),
            Some(switch) if lsn > switch => return Err(format!("timeline {timeline} was left at {switch}")),
            Some(_) => {}
        }
    }
    // At the end nothing needs to be there yet.
    let number = SegmentNo::of(lsn, segment_file::segment_size());
    let owner = history.timeline_at(lsn).unwrap_or(current);
    // Of a segment with more than one timeline in it the newest has the file.
    let newest = history.entries().iter().rfind(|entry| entry.covers(number, segment_file::segment_size()));
    let newest = newest.map_or(owner, |entry| entry.timeline);
    let there = lsn == end
        || segment_file::find(newest, number, lsn).is_some()
        || segment_file::find(owner, number, lsn).is_some();
    if there { Ok(()) } else { Err(segment_file::removed(newest, number)) }
}
