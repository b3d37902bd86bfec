//! The handler of SIGBUS. Everything in it is async-signal-safe: atomics and plain system calls.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::registry;

/// What was to be done at SIGBUS before us.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

type InformedHandler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
type PlainHandler = extern "C" fn(c_int);

/// Installs the handler, once for the process.
pub(crate) fn install_handler() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let outcome = INSTALLED.get_or_init(|| install().map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL)));
    outcome.map_err(io::Error::from_raw_os_error)
}

fn install() -> io::Result<()> {
    let check = |result: c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: asks for a number.
    let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    PAGE_SIZE.store(usize::try_from(page_size).map_err(|_| io::Error::last_os_error())?, Ordering::Relaxed);

    let mut previous = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action only the old one is told, into memory that is ours.
    check(unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded, so it was written. It is kept before the handler can be called.
    PREVIOUS.get_or_init(|| unsafe { previous.assume_init() });

    // SAFETY: all of its fields may be zero.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_bus_error as InformedHandler as usize;
    // On the thread's own stack for signals, where there is one, as Rust's handler of stack overflows needs.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action is whole, and its handler does only what a handler may.
    check(unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) })
}

extern "C" fn on_bus_error(signal: c_int, information: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the system gives valid information, which for SIGBUS has an address.
    let address = unsafe { (*information).si_addr() } as usize;
    if !cover(address) {
        call_previous(signal, information, context);
    }
}

/// If `address` is in one of our maps, lays zeroes over that map from its page on.
fn cover(address: usize) -> bool {
    let Some(found) = registry::find(address) else { return false };
    let page_size = PAGE_SIZE.load(Ordering::Relaxed);
    let page = address - address % page_size;
    let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    found.note_shrunk();
    // SAFETY: from this page to the end the memory is a map of ours, which stays while the thread that has faulted
    // borrows it; its owner gives it back to the system as a whole, whatever lies there.
    let mapped = unsafe { libc::mmap(page as *mut c_void, found.end - page, protection, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// The signal is none of ours: does what would have been done without us.
fn call_previous(signal: c_int, information: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(previous) = PREVIOUS.get() else { return };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // Back from here, the instruction faults again, and the system does the rest.
            // SAFETY: it is what sigaction has told.
            unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with this flag the handler takes three arguments.
            let handler = unsafe { std::mem::transmute::<usize, InformedHandler>(handler) };
            handler(signal, information, context);
        }
        handler => {
            // SAFETY: without this flag the handler takes one argument.
            let handler = unsafe { std::mem::transmute::<usize, PlainHandler>(handler) };
            handler(signal);
        }
    }
}
