//! Waiting until there is more of the log to read.
//!
//! From PostgreSQL 16 on whoever flushes or replays WAL wakes its senders through condition variables, on which any process
//! can sleep. Before, and where no senders are allowed, one has to look from time to time.
//!
//! Sources: `src/backend/replication/walsender.c`: `WalSndWakeup`, `WalSndWait`, `src/include/replication/walsender.h`:
//! `WalSndWakeupProcessRequests`, `src/include/replication/walreceiver.h`: `AllowCascadeReplication`,
//! `src/backend/storage/lmgr/condition_variable.c`.

use std::time::Duration;

use pgwal::Lsn;
use walker_core::{Pace, Rest};

use crate::latch::sleep_on_latch;
#[cfg(not(feature = "pg15"))]
use crate::server_log::durable;
use crate::wait_event::WaitEvent;

/// How a process that has read all there is sleeps until there is more. All its sleeps end early when its latch is set.
#[derive(Debug, Default)]
pub struct Idle {
    pace: Pace,
    /// How far the log was durable when this process decided to sleep last: if it is still, another look is in vain.
    #[cfg(not(feature = "pg15"))]
    seen: Lsn,
}

impl Idle {
    /// As after a look that found something.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The last look found something: the next sleep is a short one, whatever is written meanwhile.
    pub fn found_something(&mut self) {
        self.pace.found_something();
    }

    /// Sleeps, at most so long, until there may be more behind `position`, where the last look ended: five seconds if the server
    /// wakes this process, else 50 to 200 ms. Returns at once if the log has grown since the last sleep.
    pub fn sleep(&mut self, position: Lsn, longest: Duration) {
        match self.pace.next(has_wakeups(), longest) {
            Rest::Nap(nap) => sleep_on_latch(nap, WaitEvent::Main),
            #[cfg(not(feature = "pg15"))]
            Rest::UntilWoken(longest) => self.sleep_until_woken(position, longest),
            #[cfg(feature = "pg15")]
            Rest::UntilWoken(longest) => {
                let _ = position;
                sleep_on_latch(longest, WaitEvent::Main);
            }
        }
    }

    #[cfg(not(feature = "pg15"))]
    fn sleep_until_woken(&mut self, position: Lsn, longest: Duration) {
        use pgrx::pg_sys;
        // SAFETY: the server's shared memory, which this process is attached to. It sleeps on its latch rather than by
        // ConditionVariableTimedSleep, since signals and questions set the latch alone; a broadcast sets it too. An ERROR
        // while it sleeps ends the sleep in `recover`, and the end of the process does so as well.
        unsafe {
            let control = pg_sys::WalSndCtl;
            // Both are broadcast when recovery ends.
            let variable = if pg_sys::RecoveryInProgress() {
                &raw mut (*control).wal_replay_cv
            } else {
                &raw mut (*control).wal_flush_cv
            };
            pg_sys::ConditionVariablePrepareToSleep(variable);
        }
        // Who writes from here on wakes this process; what was written before is seen now. The end of the log may be within a
        // record, which is no reason to look for ever.
        let (end, _) = durable();
        let grown = end > position && end != self.seen;
        self.seen = end;
        if !grown {
            sleep_on_latch(longest, WaitEvent::Main);
        }
        // SAFETY: nothing happens if a broadcast has taken this process off the list.
        unsafe { pg_sys::ConditionVariableCancelSleep() };
    }
}

/// Whether the server wakes those who sleep on the condition variables.
#[cfg(not(feature = "pg15"))]
fn has_wakeups() -> bool {
    use pgrx::pg_sys;
    // SAFETY: settings that only change when the server starts, and the server's state. On a standby the condition is
    // AllowCascadeReplication(); this process runs there only if EnableHotStandby is set, which pgrx does not bind everywhere.
    unsafe { pg_sys::max_wal_senders > 0 && !pg_sys::WalSndCtl.is_null() }
}

#[cfg(feature = "pg15")]
const fn has_wakeups() -> bool {
    false
}
