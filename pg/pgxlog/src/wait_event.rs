//! What a process of WALker waits for, as `pg_stat_activity` shows it.
//!
//! Source: `src/backend/utils/activity/wait_event.c`: `WaitEventExtensionNew`, since 17. Before, all that libraries wait for
//! is shown as `Extension`.

use pgrx::pg_sys;

/// Why a process sleeps. The type of all is `Extension`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEvent {
    /// `WalkerMain`: the worker has read all WAL, and waits for more.
    Main,
    /// `WalkerRetry`: the worker pauses, since WAL could not be read.
    Retry,
    /// `WalkerAnswer`: a backend waits for what a plugin says.
    Answer,
}

impl WaitEvent {
    /// The number to give to PostgreSQL's functions that wait. The server gives each name one; a process asks for it once.
    ///
    /// # Panics
    /// With a PostgreSQL ERROR if libraries have named 128 events, as many as there may be.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    #[must_use]
    pub fn number(self) -> u32 {
        use std::sync::atomic::{AtomicU32, Ordering};

        static NUMBERS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
        let (index, name) = match self {
            Self::Main => (0, c"WalkerMain"),
            Self::Retry => (1, c"WalkerRetry"),
            Self::Answer => (2, c"WalkerAnswer"),
        };
        // Numbers of this type are never zero.
        match NUMBERS[index].load(Ordering::Relaxed) {
            0 => {
                // SAFETY: a C string. Under locks of its own; a name that is known already has its number.
                let number = unsafe { pg_sys::WaitEventExtensionNew(name.as_ptr()) };
                NUMBERS[index].store(number, Ordering::Relaxed);
                number
            }
            number => number,
        }
    }

    /// The number to give to PostgreSQL's functions that wait: that of all libraries.
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    #[must_use]
    pub fn number(self) -> u32 {
        pg_sys::PG_WAIT_EXTENSION
    }
}
