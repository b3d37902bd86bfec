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

    fn behind(&self, position: Lsn) -> Lsn {
        // PostgreSQL looks for a record from the beginning of its page on, and would meet the same again.
        let page = u64::from(pg_sys::XLOG_BLCKSZ);
        let next_page = Lsn::new((position.get() / page).saturating_add(1).saturating_mul(page));
        self.end().max(next_page)
    }

    fn holds(&self, position: &LogPosition) -> Held {
        server_log::holds(position)
    }
}
