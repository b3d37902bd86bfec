//! The functions that PostgreSQL calls, made for each resource manager.

use std::cell::{OnceCell, RefCell};
use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use pgrx::pg_sys;
use pgrx::pg_sys::submodules::panic::pgrx_extern_c_guard;
use pgwal::{BlockNumber, CustomRmgr, DataPage, Operation as _, OperationCode, TextBuffer};

use crate::catch::{catch_error, catch_plain_panic};
use crate::critical_section::end_of_server;
use crate::decoding::{Decoding, XLogRecordBuffer};
use crate::held_locks;
use crate::memory_context::Arena;
use crate::record_view::view;
use crate::redo::Redo;
use crate::resource_manager::ResourceManager;

/// The struct for `RegisterCustomRmgr`.
pub(super) fn table<R: ResourceManager>() -> pg_sys::RmgrData {
    pg_sys::RmgrData {
        rm_name: R::Records::NAME.as_ptr(),
        rm_redo: Some(redo::<R>),
        rm_desc: Some(describe::<R>),
        rm_identify: Some(identify::<R>),
        rm_startup: R::STARTUP.map(|_| startup::<R> as unsafe extern "C-unwind" fn()),
        rm_cleanup: R::CLEANUP.map(|_| cleanup::<R> as unsafe extern "C-unwind" fn()),
        rm_mask: R::MASK.map(|_| mask::<R> as unsafe extern "C-unwind" fn(*mut c_char, pg_sys::BlockNumber)),
        rm_decode: R::DECODE.map(|_| decode::<R> as Decode),
    }
}

type Decode = unsafe extern "C-unwind" fn(*mut pg_sys::LogicalDecodingContext, *mut pg_sys::XLogRecordBuffer);

unsafe extern "C-unwind" fn redo<R: ResourceManager>(reader: *mut pg_sys::XLogReaderState) {
    // SAFETY: PostgreSQL gives a reader that has just read a record, and reads no other before we return.
    let replay = |arena: &Arena<'_>| unsafe { replay::<R>(NonNull::new_unchecked(reader), arena) };
    catch_error(|| Arena::with(replay)).unwrap_or_else(|text| end_of_recovery::<R>(&text));
}

/// Replays the record that the reader has just read, or ends the server.
///
/// # Safety
/// As [`Redo::new`], and `reader` reads no other record before this returns.
#[inline(always)] // One frame less for each record.
unsafe fn replay<R: ResourceManager>(reader: NonNull<pg_sys::XLogReaderState>, arena: &Arena<'_>) {
    // SAFETY: promised by the caller.
    let code = OperationCode::from_info(unsafe { (*(*reader.as_ptr()).record).header.xl_info });
    let Some(operation) = <R::Records as CustomRmgr>::Operation::from_code(code) else {
        end_of_recovery::<R>(&format!("unknown op code {}", code.info()));
    };
    let record = OnceCell::new();
    // SAFETY: promised by the caller; and the borrow ends before the record does, whose type does not let the compiler see that.
    let mut redo = unsafe { Redo::new(operation, NonNull::from(&record).as_ref(), reader, arena) };
    if let Err(error) = R::redo(&mut redo) {
        end_of_recovery::<R>(&error.to_string());
    }
    if redo.has_failed.get() {
        end_of_recovery::<R>("a page was left half changed");
    }
    // By `mem::forget`: the next record that changes the block would wait for ever.
    if held_locks::is_any_held() {
        end_of_recovery::<R>("a block was left locked");
    }
}

/// Ends the server. The error's context, which PostgreSQL adds, tells position, operation and description of the record.
#[cold]
#[inline(never)]
fn end_of_recovery<R: ResourceManager>(text: &str) -> ! {
    // SAFETY: a string of PostgreSQL's.
    let name = R::Records::NAME.to_string_lossy();
    end_of_server(format!("redo of resource manager \"{name}\" failed: {text}"));
}

unsafe extern "C-unwind" fn describe<R: ResourceManager>(
    out: pg_sys::StringInfo,
    reader: *mut pg_sys::XLogReaderState,
) {
    let describe = |text: &mut TextBuffer| {
        // SAFETY: PostgreSQL gives a reader with a record.
        let record = unsafe { view(reader) };
        let operation = <R::Records as CustomRmgr>::Operation::from_code(OperationCode::from_info(record.info));
        operation.map_or(Ok(()), |operation| R::Records::describe(operation, &record, text))
    };
    let append_description = |text: &mut TextBuffer| {
        text.clear();
        // SAFETY: PostgreSQL gives a string that grows.
        unsafe {
            match catch_plain_panic(|| describe(text)) {
                Ok(Ok(())) => append(out, text.as_bytes()),
                Ok(Err(error)) => append(out, format!("(invalid: {error})").as_bytes()),
                Err(panic) => append(out, format!("(description {panic})").as_bytes()),
            }
        }
        if text.len() > LONGEST_KEPT {
            *text = TextBuffer::new();
        }
    };
    // SAFETY: what is raised here, at most that memory is short, reaches PostgreSQL as its own ERROR.
    unsafe {
        pgrx_extern_c_guard(|| {
            TEXT.with(|text| match text.try_borrow_mut() {
                Ok(mut text) => append_description(&mut text),
                // An ERROR in a description, whose context is to be described.
                Err(_) => append_description(&mut TextBuffer::new()),
            });
        });
    }
}

thread_local! {
    /// For one description after the other, without new memory.
    static TEXT: RefCell<TextBuffer> = const { RefCell::new(TextBuffer::new()) };
}
/// Memory for more bytes than these is given back.
const LONGEST_KEPT: usize = 1 << 16;

/// Appends to a `StringInfo`.
///
/// # Safety
/// `out` is a valid one.
unsafe fn append(out: pg_sys::StringInfo, text: &[u8]) {
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    // SAFETY: it has room for `maxlen` bytes, of which `len` are used, and a zero behind them.
    unsafe {
        let string = &mut *out;
        if length < string.maxlen - string.len {
            let end = string.data.add(string.len as usize);
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), end, text.len());
            *end.add(text.len()) = 0;
            string.len += length;
        } else {
            pg_sys::appendBinaryStringInfo(out, text.as_ptr().cast(), length);
        }
    }
}

unsafe extern "C-unwind" fn identify<R: ResourceManager>(info: u8) -> *const c_char {
    let name = || {
        let operation = <R::Records as CustomRmgr>::Operation::from_code(OperationCode::from_info(info));
        operation.map(|operation| operation.name())
    };
    let name = catch_plain_panic(name).unwrap_or(Some(c"(identify panicked)"));
    name.map_or(std::ptr::null(), CStr::as_ptr)
}

unsafe extern "C-unwind" fn startup<R: ResourceManager>() {
    // SAFETY: a panic reaches PostgreSQL as an ERROR.
    unsafe { pgrx_extern_c_guard(|| R::STARTUP.into_iter().for_each(|startup| startup())) }
}

unsafe extern "C-unwind" fn cleanup<R: ResourceManager>() {
    // SAFETY: as in `startup`.
    unsafe { pgrx_extern_c_guard(|| R::CLEANUP.into_iter().for_each(|cleanup| cleanup())) }
}

unsafe extern "C-unwind" fn mask<R: ResourceManager>(page: *mut c_char, block: pg_sys::BlockNumber) {
    // SAFETY: PostgreSQL gives a copy of a page that is its caller's alone; a panic reaches it as an ERROR.
    unsafe {
        pgrx_extern_c_guard(|| {
            let page = &mut *page.cast::<DataPage>();
            R::MASK.into_iter().for_each(|mask| mask(page, BlockNumber::new(block)));
        });
    }
}

unsafe extern "C-unwind" fn decode<R: ResourceManager>(
    context: *mut pg_sys::LogicalDecodingContext,
    buffer: *mut pg_sys::XLogRecordBuffer,
) {
    let buffer: *mut XLogRecordBuffer = buffer.cast();
    let decode = || {
        // SAFETY: PostgreSQL gives its context, and the reader with the record. Each record's transaction has to be told
        // to the reorder buffer by who decodes it.
        unsafe {
            let reader = (*buffer).record;
            let record = view(reader);
            let xid = (*(*reader).record).header.xl_xid;
            pg_sys::ReorderBufferProcessXid((*context).reorder, xid, (*buffer).origptr);
            let (context, buffer) = (NonNull::new_unchecked(context), NonNull::new_unchecked(buffer));
            let mut decoding = Decoding::new(context, buffer, NonNull::from(&record).as_ref());
            let outcome = R::DECODE.map_or(Ok(()), |decode| decode(&record, &mut decoding));
            outcome.map_err(|error| error.to_string())
        }
    };
    // SAFETY: an error or a panic reaches PostgreSQL as an ERROR.
    unsafe {
        pgrx_extern_c_guard(|| {
            if let Err(text) = decode() {
                let name = R::Records::NAME.to_string_lossy();
                let code = pgrx::PgSqlErrorCode::ERRCODE_DATA_CORRUPTED;
                crate::raise(code, format!("cannot decode a record of resource manager \"{name}\": {text}"), None);
            }
        });
    }
}
