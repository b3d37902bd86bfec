//! Memory that lives as long as the redo of one record.

use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use pgrx::pg_sys;
use pgrx::pg_sys::MemoryContextData;

/// Made when the first record is replayed. The startup process has one thread.
static CONTEXT: AtomicPtr<pg_sys::MemoryContextData> = AtomicPtr::new(null_mut());

/// Memory for the redo of one record: what is taken from it is freed at once behind the record. What PostgreSQL's functions
/// allocate meanwhile lies there too, so that recovery needs no more memory the longer it takes.
#[derive(Debug)]
pub struct Arena<'r> {
    context: pg_sys::MemoryContext,
    _record: PhantomData<&'r mut ()>,
}

impl<'r> Arena<'r> {
    /// Runs `body` with an empty arena; it is emptied behind it, whether it returns or not.
    #[inline]
    pub(crate) fn with<T>(body: impl FnOnce(&Arena<'_>) -> T) -> T {
        let context = context();
        // SAFETY: the context lives as long as the process.
        let _back = Back { context, before: unsafe { pg_sys::MemoryContextSwitchTo(context) } };
        body(&Arena { context, _record: PhantomData })
    }

    /// Room for `length` zeroes.
    #[must_use]
    #[allow(clippy::mut_from_ref)] // Each piece is given out once.
    pub fn zeroed(&self, length: usize) -> &mut [u8] {
        if length == 0 {
            return &mut [];
        }
        // SAFETY: the context is alive, and reset only when no borrow of the arena is left.
        unsafe {
            let start = pg_sys::MemoryContextAllocZero(self.context, length);
            std::slice::from_raw_parts_mut(start.cast(), length)
        }
    }

    /// A copy that may be changed.
    #[must_use]
    #[allow(clippy::mut_from_ref)]
    pub fn copy(&self, bytes: &[u8]) -> &mut [u8] {
        let copy = self.zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

#[inline]
fn context() -> pg_sys::MemoryContext {
    let context = CONTEXT.load(Relaxed);
    if !context.is_null() {
        return context;
    }
    // SAFETY: the top context is there from the beginning of a process; the name is a constant.
    let context = unsafe {
        pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"pgxlog redo".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        )
    };
    CONTEXT.store(context, Relaxed);
    context
}

/// Switches back and frees what was allocated.
struct Back {
    context: pg_sys::MemoryContext,
    before: pg_sys::MemoryContext,
}

impl Drop for Back {
    #[inline(always)] // A call takes as long as what it does.
    fn drop(&mut self) {
        // SAFETY: both contexts are alive; nobody borrows from the arena any more.
        unsafe {
            pg_sys::CurrentMemoryContext = self.before;
            let MemoryContextData { isReset: is_empty, firstchild: child, .. } = *self.context;
            // Most records allocate nothing.
            if !is_empty || !child.is_null() {
                reset(self.context);
            }
        }
    }
}

/// Frees what was allocated.
///
/// # Safety
/// Nobody borrows from the context.
#[cold]
unsafe fn reset(context: pg_sys::MemoryContext) {
    // SAFETY: promised by the caller.
    unsafe { pg_sys::MemoryContextReset(context) }
}
