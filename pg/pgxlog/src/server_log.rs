//! What the server says of its log: how far it is, and which positions are part of it.
//!
//! Sources: `src/backend/access/transam/xlog.c`, `src/backend/access/transam/timeline.c`.

use pgrx::pg_sys;
use pgwal::{Lsn, TimelineId};
use walker_core::LogPosition;

use crate::catch::catch_error;

// pgrx has no binding of `src/include/access/timeline.h`.
unsafe extern "C-unwind" {
    fn readTimeLineHistory(target: pg_sys::TimeLineID) -> *mut pg_sys::List;
    fn tliInHistory(timeline: pg_sys::TimeLineID, history: *mut pg_sys::List) -> bool;
    fn tliSwitchPoint(
        timeline: pg_sys::TimeLineID,
        history: *mut pg_sys::List,
        next: *mut pg_sys::TimeLineID,
    ) -> pg_sys::XLogRecPtr;
}

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

/// Whether the log up to `position` is a beginning of this server's log as it is now: it is not if the server was restored
/// to a point before it, or is another one.
#[must_use]
pub fn holds(position: &LogPosition) -> bool {
    let (durable, current) = durable();
    if position.system_identifier != system_identifier() || position.lsn > durable {
        return false;
    }
    if position.timeline == current {
        return true;
    }
    let switch = catch_error(|| {
        let timeline = position.timeline.get();
        // SAFETY: reads the history's file, if there is one, into a list; tliSwitchPoint is only asked for a timeline that
        // is in it.
        unsafe {
            let history = readTimeLineHistory(current.get());
            tliInHistory(timeline, history).then(|| tliSwitchPoint(timeline, history, std::ptr::null_mut()))
        }
    });
    matches!(switch, Ok(Some(switch)) if position.lsn <= Lsn::new(switch))
}
