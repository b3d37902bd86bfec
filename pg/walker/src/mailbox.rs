//! How a backend asks a plugin that lives in the worker.
//!
//! A few slots in shared memory, all behind one lock. A backend writes its question into a free slot and wakes the
//! worker; the worker, between two records, lets the plugin answer, puts the answer into a segment of dynamic shared
//! memory and wakes the backend. So the plugin's state is private to the worker, needs no locks, and an answer is
//! true for one position in the log.
//!
//! Source: `src/backend/storage/ipc/dsm.c`.

use std::ffi::{CStr, c_char, c_int};
use std::time::{Duration, Instant};

use pgrx::PgSqlErrorCode;
use pgrx::pg_guard;
use pgrx::pg_sys;
use pgxlog::{WaitEvent, raise, sleep_on_latch};
use walker_core::PluginError;

use crate::shared_memory::Shared;

/// Questions that can wait at the same time.
const SLOTS: usize = 32;
/// Longest question in bytes.
const QUESTION_BYTES: usize = 1024;
/// Longest name of a plugin in bytes.
const NAME_BYTES: usize = 256;
/// A question that has waited this long is answered although there is more to read.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
enum State {
    Free,
    Asked,
    /// The answer is in the segment, or there is none and the answer is empty.
    Answered,
    /// As answered, but an error's text.
    Refused,
}

/// What was asked.
struct Question {
    ticket: u64,
    asked_at: pg_sys::TimestampTz,
    plugin: String,
    text: Vec<u8>,
}

#[repr(C)]
struct Slot {
    state: State,
    /// Which question: the slot may hold another by the time an answer is there.
    ticket: u64,
    asked_at: pg_sys::TimestampTz,
    asker: *mut pg_sys::Latch,
    asker_pid: c_int,
    name_length: usize,
    name: [u8; NAME_BYTES],
    question_length: usize,
    question: [u8; QUESTION_BYTES],
    segment: pg_sys::dsm_handle,
    answer_length: usize,
}

/// What is in shared memory.
#[repr(C)]
pub(crate) struct Mailbox {
    worker: *mut pg_sys::Latch,
    worker_pid: c_int,
    last_ticket: u64,
    slots: [Slot; SLOTS],
}

impl Mailbox {
    const EMPTY: Self =
        Self { worker: std::ptr::null_mut(), worker_pid: 0, last_ticket: 0, slots: [const { Slot::FREE }; SLOTS] };
}

/// How long a question waits for a worker that does not run: after the server's start, or its own failure, it will soon.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long between two looks whether it does.
const START_PAUSE: Duration = Duration::from_millis(50);

const NOT_READY: PgSqlErrorCode = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
pub(crate) static MAILBOX: Shared<Mailbox> = Shared::new(c"walker", || Mailbox::EMPTY);

/// As [`Shared::write`].
fn locked<T>(call: impl FnOnce(&mut Mailbox) -> T) -> Option<T> {
    MAILBOX.write(call)
}

/// Process id of the worker; `None` if it does not run.
pub(crate) fn worker_pid() -> Option<c_int> {
    MAILBOX.read(|mailbox| mailbox.worker_pid).filter(|pid| *pid != 0)
}

/// The library is loaded in this backend only.
pub(crate) fn not_preloaded() -> ! {
    raise(NOT_READY, "walker must be loaded via \"shared_preload_libraries\"", None)
}

/// The worker is here: questions may be asked.
pub(crate) fn open() {
    // SAFETY: the callback is a plain C function and needs no argument.
    unsafe { pg_sys::before_shmem_exit(Some(close), pg_sys::Datum::from(0)) };
    locked(|mailbox| {
        // SAFETY: this process's own latch and number, which stay the same.
        unsafe {
            mailbox.worker = pg_sys::MyLatch;
            mailbox.worker_pid = pg_sys::MyProcPid;
        }
    });
}

/// The worker goes: whoever waits is told.
#[pg_guard]
unsafe extern "C-unwind" fn close(_code: c_int, _argument: pg_sys::Datum) {
    locked(|mailbox| {
        mailbox.worker = std::ptr::null_mut();
        mailbox.worker_pid = 0;
        for slot in mailbox.slots.iter().filter(|slot| slot.state == State::Asked) {
            slot.wake();
        }
    });
}

/// Who answers. The empty name is that of the worker itself.
pub(crate) trait Answers {
    /// Whether the plugin of this name has been told all that there is, so that its answer is not out of date.
    fn is_ready(&self, plugin: &str) -> bool;

    /// Puts the question to it.
    ///
    /// # Errors
    /// What the asker is told instead.
    fn answer(&mut self, plugin: &str, question: &[u8]) -> Result<Vec<u8>, PluginError>;
}

/// Answers the questions to those who are ready, and all that have waited for long.
pub(crate) fn answer(answers: &mut impl Answers) {
    let waiting = locked(|mailbox| {
        let questions = mailbox.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.question()?)));
        questions.collect::<Vec<_>>()
    });
    for (index, Question { ticket, asked_at, plugin, text }) in waiting.unwrap_or_default() {
        if answers.is_ready(&plugin) || has_passed(asked_at, PATIENCE) {
            let outcome = answers.answer(&plugin, &text);
            deliver(index, ticket, outcome);
        }
    }
}

/// Whether somebody waits for an answer.
pub(crate) fn is_asked() -> bool {
    MAILBOX.read(|mailbox| mailbox.slots.iter().any(|slot| slot.state == State::Asked)) == Some(true)
}

/// Whether so much time has passed since.
fn has_passed(since: pg_sys::TimestampTz, time: Duration) -> bool {
    let milliseconds = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: looks at the clock, and compares two numbers.
    unsafe { pg_sys::TimestampDifferenceExceeds(since, pg_sys::GetCurrentTimestamp(), milliseconds) }
}

/// Puts the answer where the asker finds it.
fn deliver(index: usize, ticket: u64, answer: Result<Vec<u8>, PluginError>) {
    let (state, bytes) = match answer {
        Ok(bytes) => (State::Answered, bytes),
        Err(error) => (State::Refused, error.to_string().into_bytes()),
    };
    let segment = if bytes.is_empty() { Ok(0) } else { pgxlog::catch_error(|| segment_with(&bytes)) };
    let segment = segment.unwrap_or_else(|error| {
        pgrx::warning!("walker: could not answer a question: {error}");
        // SAFETY: the worker's outermost level; nothing of a transaction is used here.
        unsafe { pgxlog::recover() };
        0
    });
    locked(|mailbox| {
        let slot = &mut mailbox.slots[index];
        if slot.state == State::Asked && slot.ticket == ticket {
            slot.state = if segment == 0 && !bytes.is_empty() { State::Refused } else { state };
            slot.segment = segment;
            slot.answer_length = if segment == 0 { 0 } else { bytes.len() };
            slot.wake();
        } else if segment != 0 {
            // The asker gave up meanwhile.
            release_segment(segment);
        }
    });
}

/// A segment that outlives this process's mapping of it, with these bytes.
fn segment_with(bytes: &[u8]) -> pg_sys::dsm_handle {
    // SAFETY: a new segment of that size, mapped here until it is detached; pinned so that it stays until the asker
    // has it.
    unsafe {
        let segment = pg_sys::dsm_create(bytes.len(), 0);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), pg_sys::dsm_segment_address(segment).cast(), bytes.len());
        pg_sys::dsm_pin_segment(segment);
        let handle = pg_sys::dsm_segment_handle(segment);
        pg_sys::dsm_detach(segment);
        handle
    }
}

fn release_segment(segment: pg_sys::dsm_handle) {
    // SAFETY: the segment was pinned by segment_with and is released once.
    unsafe { pg_sys::dsm_unpin_segment(segment) };
}

impl Slot {
    const FREE: Self = Self {
        state: State::Free,
        ticket: 0,
        asked_at: 0,
        asker: std::ptr::null_mut(),
        asker_pid: 0,
        name_length: 0,
        name: [0; NAME_BYTES],
        question_length: 0,
        question: [0; QUESTION_BYTES],
        segment: 0,
        answer_length: 0,
    };

    /// Ticket, plugin and question, if there is one.
    /// The question that waits here.
    fn question(&self) -> Option<Question> {
        if self.state != State::Asked {
            return None;
        }
        let name = self.name.get(..self.name_length)?;
        let text = self.question.get(..self.question_length)?.to_vec();
        let plugin = String::from_utf8_lossy(name).into_owned();
        Some(Question { ticket: self.ticket, asked_at: self.asked_at, plugin, text })
    }

    fn wake(&self) {
        // SAFETY: latches are in shared memory; one of a process that is gone is another's or nobody's, and setting
        // it does no harm.
        unsafe { pg_sys::SetLatch(self.asker) };
    }

    /// Whether the slot can be used: nobody uses it, or who did is gone.
    fn is_available(&self) -> bool {
        // SAFETY: only looks whether there is such a process.
        self.state == State::Free || unsafe { pg_sys::BackendPidGetProc(self.asker_pid) }.is_null()
    }

    fn free(&mut self) {
        if matches!(self.state, State::Answered | State::Refused) && self.segment != 0 {
            release_segment(self.segment);
        }
        self.state = State::Free;
        self.segment = 0;
    }
}

/// The slot that this backend uses, given back when it is dropped, as on an ERROR.
struct Asking(usize);

impl Drop for Asking {
    fn drop(&mut self) {
        locked(|mailbox| mailbox.slots[self.0].free());
    }
}

/// Puts a question to a plugin from any backend and appends its answer: see `include/walker.h`.
///
/// # Safety
/// `plugin` is a C string, `question` has `length` bytes, `answer` is a StringInfo.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn walker_ask(
    plugin: *const c_char,
    question: *const c_char,
    length: pg_sys::Size,
    timeout_ms: c_int,
    answer: pg_sys::StringInfo,
) {
    // SAFETY: promised by the caller.
    let (plugin, question) = unsafe { (CStr::from_ptr(plugin).to_bytes(), pgxlog::bytes(question, length)) };
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let bytes = ask(plugin, question, timeout);
    let length = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
    // SAFETY: as above; PostgreSQL raises an ERROR if the StringInfo gets larger than 1 GB.
    unsafe { pg_sys::appendBinaryStringInfo(answer, bytes.as_ptr().cast(), length) };
}

/// Whether the worker runs.
pub(crate) fn is_open() -> bool {
    locked(|mailbox| !mailbox.worker.is_null()) == Some(true)
}

/// Asks the worker itself. What goes wrong is a PostgreSQL ERROR.
pub(crate) fn ask_worker(question: &[u8], timeout: Duration) -> Vec<u8> {
    put(&[], question, timeout)
}

/// Puts a question to a plugin and waits for its answer. What goes wrong is a PostgreSQL ERROR.
pub(crate) fn ask(plugin: &[u8], question: &[u8], timeout: Duration) -> Vec<u8> {
    if plugin.is_empty() {
        // That is the worker itself, which does not answer everybody.
        pgrx::error!("the name of the plugin is empty");
    }
    put(plugin, question, timeout)
}

fn put(plugin: &[u8], question: &[u8], timeout: Duration) -> Vec<u8> {
    if plugin.len() > NAME_BYTES || question.len() > QUESTION_BYTES {
        pgrx::error!("question to a walker plugin is too long");
    }
    let begin = Instant::now();
    let (asking, worker_pid) = loop {
        match locked(|mailbox| post(mailbox, plugin, question)) {
            Some(Ok(posted)) => break posted,
            // It may be about to start.
            Some(Err(NotPosted::NoWorker)) if begin.elapsed() < timeout.min(START_PATIENCE) => {
                sleep_on_latch(START_PAUSE, WaitEvent::Answer);
                pgrx::check_for_interrupts!();
            }
            Some(Err(NotPosted::NoWorker)) => raise(NOT_READY, "the walker does not run", None),
            Some(Err(NotPosted::NoSlot)) => raise(NOT_READY, "too many questions wait for the walker", None),
            None => not_preloaded(),
        }
    };
    let deadline = begin + timeout;
    loop {
        let found = locked(|mailbox| {
            let slot = &mailbox.slots[asking.0];
            (slot.state, slot.segment, slot.answer_length, mailbox.worker_pid)
        });
        let Some((state, segment, length, pid)) = found else { unreachable!("the mailbox was there before") };
        match state {
            State::Answered => return read_segment(segment, length),
            State::Refused => {
                let text = String::from_utf8_lossy(&read_segment(segment, length)).into_owned();
                drop(asking);
                let lost = text.is_empty();
                pgrx::error!("{}", if lost { "could not pass on the answer: see the server log" } else { &text });
            }
            State::Asked if pid != worker_pid => pgrx::error!("the walker stopped before it answered"),
            _ => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let milliseconds = timeout.as_millis();
            pgrx::error!("the walker did not answer within {milliseconds} ms");
        }
        sleep_on_latch(left, WaitEvent::Answer);
        pgrx::check_for_interrupts!();
    }
}

/// Why a question could not be put.
enum NotPosted {
    NoWorker,
    NoSlot,
}

/// Puts the question into a slot and wakes the worker. Gives the slot and the worker's process.
fn post(mailbox: &mut Mailbox, plugin: &[u8], question: &[u8]) -> Result<(Asking, c_int), NotPosted> {
    if mailbox.worker.is_null() {
        return Err(NotPosted::NoWorker);
    }
    let index = mailbox.slots.iter().position(Slot::is_available).ok_or(NotPosted::NoSlot)?;
    let slot = &mut mailbox.slots[index];
    slot.free();
    // SAFETY: this process's own latch and number.
    unsafe {
        slot.asker = pg_sys::MyLatch;
        slot.asker_pid = pg_sys::MyProcPid;
        slot.asked_at = pg_sys::GetCurrentTimestamp();
    }
    slot.name[..plugin.len()].copy_from_slice(plugin);
    slot.name_length = plugin.len();
    slot.question[..question.len()].copy_from_slice(question);
    slot.question_length = question.len();
    mailbox.last_ticket += 1;
    slot.ticket = mailbox.last_ticket;
    slot.state = State::Asked;
    // SAFETY: the worker's latch, which it takes away before it goes.
    unsafe { pg_sys::SetLatch(mailbox.worker) };
    Ok((Asking(index), mailbox.worker_pid))
}

/// The bytes of an answer. The segment stays, and goes with the slot.
fn read_segment(segment: pg_sys::dsm_handle, length: usize) -> Vec<u8> {
    if segment == 0 {
        return Vec::new();
    }
    // SAFETY: the segment is pinned as long as the slot is in use, and has so many bytes.
    unsafe {
        let mapped = pg_sys::dsm_attach(segment);
        if mapped.is_null() {
            pgrx::error!("could not map the answer of the walker");
        }
        let bytes = std::slice::from_raw_parts(pg_sys::dsm_segment_address(mapped).cast::<u8>(), length).to_vec();
        pg_sys::dsm_detach(mapped);
        bytes
    }
}
