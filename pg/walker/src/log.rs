//! The server's log, as the walker reads it.

use pgrx::pg_sys;
use pgwal::Lsn;
use pgxlog::{XLogReader, server_log};
use walker_core::{Held, Log, LogPosition};

/// The log of the server that this process is part of.
#[derive(Debug)]
pub(crate) struct ServerLog;

impl Log for ServerLog {
    type Source = XLogReader;

    fn open(&self, from: Lsn) -> XLogReader {
        XLogReader::new(from)
    }

    fn end(&self) -> Lsn {
        server_log::durable().0
    }

    fn last_checkpoint(&self) -> Lsn {
        server_log::last_redo()
    }

    fn holds(&self, position: &LogPosition) -> Held {
        match server_log::holds(position) {
            Ok(()) => Held::Yes,
            Err(reason) if may_be_replayed(position) => {
                pgrx::debug1!("walker: waits on this standby: {reason}");
                Held::NotYet
            }
            Err(reason) => Held::No(format!("this log does not hold {position}: {reason}")),
        }
    }
}

/// Whether the position is of this system's log, but beyond what a standby has replayed since it started.
fn may_be_replayed(position: &LogPosition) -> bool {
    // SAFETY: looks at the server's state.
    position.system_identifier == server_log::system_identifier()
        && position.lsn > server_log::durable().0
        && unsafe { pg_sys::RecoveryInProgress() }
}
