//! Which file of `pg_wal` holds a segment, as this server's log goes now.
//!
//! Sources: `src/backend/access/transam/xlogutils.c`: `wal_segment_open`, `src/backend/access/transam/timeline.c`:
//! `readTimeLineHistory`, `tliSwitchPoint`.

use std::ffi::{CString, c_int};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use pgrx::pg_sys;
use pgwal::{Lsn, SegmentName, SegmentNo, TimelineHistory, TimelineId};

/// Seen from the data directory, where the server's processes are (`XLOGDIR`).
const WAL_DIRECTORY: &str = "pg_wal";
/// `O_RDONLY` of `fcntl.h`.
const READ_ONLY: c_int = 0;

/// Size of this server's segments in bytes.
pub(crate) fn segment_size() -> u32 {
    // SAFETY: set once when the server starts.
    u32::try_from(unsafe { pg_sys::wal_segment_size }).unwrap_or(0)
}

/// The way to `timeline`. It is read anew each time: a promotion, here or upstream, adds to it. A timeline without a history
/// file has no ancestors, as in PostgreSQL.
pub(crate) fn read_history(timeline: TimelineId) -> Result<TimelineHistory, String> {
    let path = Path::new(WAL_DIRECTORY).join(TimelineHistory::file_name(timeline));
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(format!("could not read \"{}\": {error}", path.display())),
    };
    TimelineHistory::parse(timeline, &content)
        .map_err(|error| format!("could not read \"{}\": {error}", path.display()))
}

/// The timeline whose file of segment `number` holds the log of `timeline` before `limit`, if there is one: that timeline
/// itself, or else a descendant that left it no earlier, whose first segment begins as a copy of it.
///
/// On a standby that recovers from an archive there may be only the descendant's, and while a server is promoted the old
/// timeline's last file gets another name before the new timeline is the current one.
pub(crate) fn find(timeline: TimelineId, number: SegmentNo, limit: Lsn) -> Option<TimelineId> {
    let size = segment_size();
    if path(timeline, number).exists() {
        return Some(timeline);
    }
    let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<SegmentName>().ok();
    let descends = |descendant: &TimelineId| {
        let history = read_history(*descendant).ok();
        history.and_then(|history| history.switch_point(timeline)).is_some_and(|switch| limit <= switch)
    };
    fs::read_dir(WAL_DIRECTORY)
        .ok()?
        .filter_map(name)
        .filter(|name| name.timeline > timeline && name.number(size) == number)
        .map(|name| name.timeline)
        .filter(descends)
        .min()
}

/// What is said of a segment that is nowhere, in PostgreSQL's words.
pub(crate) fn removed(timeline: TimelineId, number: SegmentNo) -> String {
    let name = SegmentName::new(timeline, number, segment_size());
    format!("requested WAL segment {name} has already been removed")
}

/// Opens the file for reading, with a descriptor that PostgreSQL's reader closes.
pub(crate) fn open(timeline: TimelineId, number: SegmentNo) -> io::Result<c_int> {
    let path = CString::new(path(timeline, number).as_os_str().as_encoded_bytes())?;
    // SAFETY: a C string; the function makes room if too many files are open, and sets errno if it fails.
    let descriptor = unsafe { pg_sys::BasicOpenFile(path.as_ptr(), READ_ONLY) };
    if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(descriptor) }
}

fn path(timeline: TimelineId, number: SegmentNo) -> std::path::PathBuf {
    Path::new(WAL_DIRECTORY).join(SegmentName::new(timeline, number, segment_size()).to_string())
}
