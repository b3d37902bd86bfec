//! Ctrl-C: what was begun is ended in order, so that statistics are still shown, as by `pg_waldump`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use rustix::thread::{Timespec, nanosleep};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Whether SIGINT came. A second one ends the command at once.
#[derive(Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes SIGINT over for the rest of the command's life.
    pub(crate) fn watch() -> Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let register = || {
            // In this order: the first signal finds the flag not yet set.
            flag::register_conditional_default(SIGINT, Arc::clone(&requested))?;
            flag::register(SIGINT, Arc::clone(&requested))
        };
        register().context("could not set up a handler for SIGINT")?;
        Ok(Self(requested))
    }

    /// Whether the user wants an end.
    #[inline]
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps for a second, or until a signal comes.
    pub(crate) fn sleep(&self) {
        // Unlike the sleep of the standard library, this one does not go on after a signal.
        let _ = nanosleep(&Timespec { tv_sec: 1, tv_nsec: 0 });
    }
}
