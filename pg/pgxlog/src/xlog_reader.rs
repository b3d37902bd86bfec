//! The server's own WAL, up to what is durable.
//!
//! Sources: `src/backend/access/transam/xlogreader.c`, `src/backend/access/transam/xlogutils.c`:
//! `read_local_xlog_page_no_wait`, `XLogReadDetermineTimeline`, `wal_segment_open`.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::io::ErrorKind;

use pgrx::pg_sys;
use pgrx::{PgSqlErrorCode, pg_guard};
use pgwal::{Lsn, Record, SegmentNo, TimelineId};
use walker_core::{LogPosition, ReadAhead, Source, SourceError};

use crate::catch::{catch_error, raise};
use crate::record_view::view;
use crate::segment_file::{self, segment_size};
use crate::server_log::{self, durable};

// pgrx's own is a Rust function around this, which cannot be given to C as a callback.
#[allow(clashing_extern_declarations)]
unsafe extern "C-unwind" {
    fn wal_segment_close(state: *mut pg_sys::XLogReaderState);
}

thread_local! {
    /// See [`last_read`].
    static LAST_READ: Cell<*mut pg_sys::XLogReaderState> = const { Cell::new(std::ptr::null_mut()) };
}

/// PostgreSQL's reader with the record that was read last by any [`XLogReader`] of this process, for callbacks in C that are
/// told this record. Null if that reader is gone, or did not give a record when it was asked last.
#[must_use]
pub fn last_read() -> *mut pg_sys::XLogReaderState {
    LAST_READ.get()
}

/// What the callbacks tell each other and the reader beside their results.
#[derive(Debug, Default)]
struct PageRead {
    /// The last page could not be read because the log is not durable up to there yet.
    at_end: bool,
    /// The last page could not be read because its segment has been removed.
    gone: bool,
    /// The timeline whose file was asked for last, and how far that is valid.
    timeline: TimelineId,
    limit: Lsn,
    /// Only what is durable, which does not change any more.
    ahead: ReadAhead,
}

/// Reads WAL in the server, with PostgreSQL's own reader. Never goes past what is flushed (on a standby: replayed), so
/// that nothing is given out which a crash may still take back.
#[derive(Debug)]
pub struct XLogReader {
    state: *mut pg_sys::XLogReaderState,
    /// Behind `state.private_data`: boxed so that it stays where it is, and only ever touched through this pointer.
    page_read: *mut PageRead,
    /// End of the last record, or where the first is looked for.
    position: Lsn,
    /// Whether `position` is where a record may begin.
    aligned: bool,
    /// How far the log was durable when that was looked at last.
    durable: Lsn,
}

impl XLogReader {
    /// A reader that begins with the first record at or behind `start`.
    ///
    /// # Panics
    /// With a PostgreSQL ERROR if memory is short.
    #[must_use]
    pub fn new(start: Lsn) -> Self {
        let page_read = Box::into_raw(Box::<PageRead>::default());
        let mut routine = pg_sys::XLogReaderRoutine {
            page_read: Some(page_read_callback),
            segment_open: Some(segment_open_callback),
            segment_close: Some(wal_segment_close),
        };
        // SAFETY: XLogReaderAllocate copies the routine; the private data lives until the reader is freed in Drop.
        let state = unsafe {
            pg_sys::XLogReaderAllocate(pg_sys::wal_segment_size, std::ptr::null(), &mut routine, page_read.cast())
        };
        assert!(!state.is_null(), "out of memory while allocating a WAL reader");
        Self { state, page_read, position: start, aligned: false, durable: Lsn::INVALID }
    }

    /// PostgreSQL's reader, for callbacks in C.
    #[must_use]
    pub fn as_ptr(&self) -> *mut pg_sys::XLogReaderState {
        self.state
    }

    /// Goes on with the first record at or behind `position`, forward or back.
    pub fn seek(&mut self, position: Lsn) {
        (self.position, self.aligned) = (position, false);
        // SAFETY: the reader is valid. Zero makes it look the timeline up: at the end of the log it forgets where it was, and
        // would take the current timeline for every position then, an older one's too.
        unsafe { (*self.state).currTLI = 0 };
    }

    /// Makes the reader begin at `position` or, if that is not known to be a record's beginning, behind it. Returns
    /// whether there is a record yet.
    fn find_start(&mut self) -> bool {
        if self.aligned {
            // A page's beginning is not where a record begins: its header is in between.
            let size = unsigned(pg_sys::XLOG_BLCKSZ as c_int);
            let header = match self.position.offset_in(size) {
                0 if self.position.offset_in(segment_size()) == 0 => pgwal::LongPageHeader::SIZE,
                0 => pgwal::PageHeader::SIZE,
                _ => 0,
            };
            // SAFETY: the reader is valid, and a record begins here or will.
            unsafe { pg_sys::XLogBeginRead(self.state, self.position.advanced(header as u64).get()) };
            return true;
        }
        // SAFETY: the reader is valid; a call that finds nothing may be repeated.
        let found = Lsn::new(unsafe { pg_sys::XLogFindNextRecord(self.state, self.position.get()) });
        if found.is_valid() {
            self.position = found;
            self.aligned = true;
        }
        self.aligned
    }

    /// Lets PostgreSQL read the next record; `None` if there is none yet.
    fn read(&mut self) -> Result<Option<()>, String> {
        let mut message: *mut c_char = std::ptr::null_mut();
        // SAFETY: `page_read` points to the box made in `new`, which nothing else refers to outside of the callbacks.
        unsafe { ((*self.page_read).at_end, (*self.page_read).gone) = (false, false) };
        // After a call that gave nothing, and before the first, the reader has to be told where to begin.
        // SAFETY: the reader is valid.
        let begun = unsafe {
            (*self.state).EndRecPtr == self.position.get() && self.aligned && !(*self.state).record.is_null()
        };
        if !begun {
            // What could not be read is not to be looked at again, but read.
            // SAFETY: as above.
            unsafe { (*self.page_read).ahead.clear() };
        }
        if !begun && !self.find_start() {
            // SAFETY: as above.
            let at_end = unsafe { (*self.page_read).at_end };
            return if at_end { Ok(None) } else { Err(self.reader_message()) };
        }
        // SAFETY: the reader is valid and has a place to read at.
        let record = unsafe { pg_sys::XLogReadRecord(self.state, &mut message) };
        if !record.is_null() {
            return Ok(Some(()));
        }
        // SAFETY: as above; the message, if any, is a C string in the reader.
        unsafe {
            if (*self.page_read).at_end {
                Ok(None)
            } else if message.is_null() {
                Err("could not read WAL".to_owned())
            } else {
                Err(CStr::from_ptr(message).to_string_lossy().into_owned())
            }
        }
    }

    /// The reader's last error message.
    fn reader_message(&self) -> String {
        // SAFETY: the reader keeps a C string there from its allocation on.
        let text = unsafe { CStr::from_ptr((*self.state).errormsg_buf) }.to_string_lossy().into_owned();
        if text.is_empty() { "could not find a WAL record".to_owned() } else { text }
    }
}

impl Source for XLogReader {
    fn next_record<T>(&mut self, told: impl FnOnce(&Record<'_>) -> T) -> Result<Option<T>, SourceError> {
        let position = self.position;
        LAST_READ.set(std::ptr::null_mut());
        // At the end PostgreSQL's reader would begin its page anew each time.
        if self.aligned && position >= self.durable {
            self.durable = durable().0;
            if position >= self.durable {
                return Ok(None);
            }
        }
        let read = catch_error(|| self.read()).and_then(|read| read);
        // SAFETY: as in `read`.
        let gone = unsafe { (*self.page_read).gone };
        match read {
            Err(cause) if gone => Err(SourceError::Gone { position, cause }),
            Err(cause) => Err(SourceError::Other { position, cause }),
            Ok(None) => Ok(None),
            Ok(Some(())) => {
                LAST_READ.set(self.state);
                self.aligned = true;
                // SAFETY: a record was just read, and the borrow of self keeps others from reading.
                let record = unsafe { view(self.state) };
                self.position = record.end;
                Ok(Some(told(&record)))
            }
        }
    }

    fn log_position(&self, lsn: Lsn) -> Option<LogPosition> {
        // SAFETY: as in `read`. It is the timeline by which the page was looked for; the page's header may tell an older one,
        // before the point where a timeline began on it.
        let timeline = unsafe { (*self.page_read).timeline };
        // None was read yet: nobody was told anything that is to be kept.
        let known = timeline != TimelineId::default();
        known.then(|| LogPosition { system_identifier: server_log::system_identifier(), timeline, lsn })
    }
}

impl Drop for XLogReader {
    fn drop(&mut self) {
        if LAST_READ.get() == self.state {
            LAST_READ.set(std::ptr::null_mut());
        }
        // SAFETY: allocated in `new`, not used any more; the reader first, since it refers to the box.
        unsafe {
            pg_sys::XLogReaderFree(self.state);
            drop(Box::from_raw(self.page_read));
        }
    }
}

fn unsigned(size: c_int) -> u32 {
    u32::try_from(size).unwrap_or(0)
}

/// Reads a page, as far as it is durable; -1 if that is not far enough.
///
/// # Safety
/// Called by PostgreSQL's reader with a buffer of one page and the private data of [`XLogReader`].
#[pg_guard]
unsafe extern "C-unwind" fn page_read_callback(
    state: *mut pg_sys::XLogReaderState,
    page: pg_sys::XLogRecPtr,
    wanted: c_int,
    _record: pg_sys::XLogRecPtr,
    buffer: *mut c_char,
) -> c_int {
    let page = Lsn::new(page);
    let size = u64::from(pg_sys::XLOG_BLCKSZ);
    let needed = page.advanced(u64::from(unsigned(wanted)));
    let (durable, current) = durable();
    let current = current.get();
    // SAFETY: the reader is valid while it calls this. The function finds the timeline that holds the page, which on
    // a standby or after a promotion may be an older one than the current.
    let (mut timeline, valid_until) = unsafe {
        pg_sys::XLogReadDetermineTimeline(state, page.get(), unsigned(wanted), current);
        ((*state).currTLI, Lsn::new((*state).currTLIValidUntil))
    };
    let limit = if timeline == current || timeline == 0 {
        timeline = current;
        durable
    } else {
        valid_until
    };
    if needed > limit {
        // SAFETY: the private data is the box of XLogReader.
        unsafe { (*(*state).private_data.cast::<PageRead>()).at_end = true };
        return -1;
    }
    let timeline = TimelineId::new(timeline);
    // SAFETY: as above. Of what is behind the pointer only `ahead` is borrowed, which segment_open_callback does not look at.
    let ahead = unsafe {
        let page_read = (*state).private_data.cast::<PageRead>();
        ((*page_read).timeline, (*page_read).limit) = (timeline, limit);
        &mut (*page_read).ahead
    };
    let count = limit.since(page).min(size) as usize;
    if ahead.get(timeline, page, count).is_none() {
        // Never of the next segment: PostgreSQL's reader takes the file that is open for that of the page it was given last.
        let end_of_segment = SegmentNo::of(page, segment_size()).next().start(segment_size());
        let length = limit.min(end_of_segment).since(page).min(ReadAhead::CAPACITY) as usize;
        ahead.fill(timeline, page, length, |bytes| read_file(state, page, timeline, bytes));
    }
    let bytes = ahead.get(timeline, page, count).unwrap_or_default();
    // SAFETY: the buffer holds a page, and there are at most as many bytes.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len()) };
    bytes.len() as c_int
}

/// Reads the bytes from `start` on from their segment's file; an ERROR if that is not possible.
fn read_file(state: *mut pg_sys::XLogReaderState, start: Lsn, timeline: TimelineId, bytes: &mut [u8]) {
    let mut error = pg_sys::WALReadError::default();
    // SAFETY: the reader is valid, and WALRead writes as many bytes as there are.
    unsafe {
        if !pg_sys::WALRead(state, bytes.as_mut_ptr().cast(), start.get(), bytes.len(), timeline.get(), &mut error) {
            pg_sys::WALReadRaiseError(&mut error);
        }
    }
}

/// Opens the file of a segment. One that is not there under the timeline's own name may be there under that of a descendant.
///
/// # Safety
/// Called by PostgreSQL's reader within [`page_read_callback`].
#[pg_guard]
unsafe extern "C-unwind" fn segment_open_callback(
    state: *mut pg_sys::XLogReaderState,
    number: pg_sys::XLogSegNo,
    timeline: *mut pg_sys::TimeLineID,
) {
    // SAFETY: the reader is valid while it calls this, and its private data is the box of XLogReader.
    let (wanted, page_read) = unsafe { (TimelineId::new(*timeline), (*state).private_data.cast::<PageRead>()) };
    let number = SegmentNo::new(number);
    // SAFETY: as above.
    let limit = unsafe { (*page_read).limit };
    let mut opened = segment_file::open(wanted, number);
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        match segment_file::find(wanted, number, limit.min(number.next().start(segment_size()))) {
            Some(found) => opened = segment_file::open(found, number),
            None => {
                // SAFETY: as above.
                unsafe { (*page_read).gone = true };
                raise(PgSqlErrorCode::ERRCODE_UNDEFINED_FILE, segment_file::removed(wanted, number), None)
            }
        }
    }
    match opened {
        // SAFETY: as above. `timeline` stays, so that the next page is looked for under its own name again.
        Ok(descriptor) => unsafe { (*state).seg.ws_file = descriptor },
        Err(error) => raise(
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("could not open a file of WAL segment {}: {error}", number.get()),
            None,
        ),
    }
}
