//! Memory that is freed behind a call.

use pgrx::pg_sys;

/// A memory context below the current one. While an ERROR or a panic passes it is left to its parent.
#[derive(Debug)]
pub(crate) struct TemporaryContext(pg_sys::MemoryContext);

/// What is allocated until this is dropped lies in the temporary context.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    context: &'a TemporaryContext,
    before: pg_sys::MemoryContext,
}

impl TemporaryContext {
    pub(crate) fn new() -> Self {
        // SAFETY: the current context is alive; the name is a constant.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"index access method".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }

    /// Makes it the current one, to be emptied behind.
    pub(crate) fn enter(&self) -> Inside<'_> {
        // SAFETY: alive as long as self.
        Inside { context: self, before: unsafe { pg_sys::MemoryContextSwitchTo(self.0) } }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: both are alive, and nobody refers to what is in the temporary one: it is entered only around calls that get
            // and return nothing allocated there.
            unsafe {
                pg_sys::MemoryContextSwitchTo(self.before);
                pg_sys::MemoryContextReset(self.context.0);
            }
        }
    }
}

impl Drop for TemporaryContext {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: alive, and not the current one: who entered it has left.
            unsafe { pg_sys::MemoryContextDelete(self.0) };
        }
    }
}
