//! WAL is held back for the plugins: the worker's replication slot, the limit on it, and how it is dropped.

use std::time::{Duration, Instant};

use pgrx::PgLogLevel;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;
use pgwal::Lsn;
use pgxlog::{Acquired, ReplicationSlot, server_log};
use walker_core::PluginError;

use crate::settings;

/// How long the worker waits to try again to have its slot.
const SLOT_PAUSE: Duration = Duration::from_secs(10);
/// What the worker is asked to drop its slot.
pub(crate) const DROP_SLOT: &[u8] = b"drop slot";

/// Holds WAL back for the plugins.
#[derive(Debug)]
pub(crate) struct Retention {
    slot: Option<ReplicationSlot>,
    /// When it was tried in vain to have the slot.
    failed: Option<Instant>,
    /// Somebody dropped the slot: none is made until the settings are read again.
    dropped: bool,
    /// Some WAL is not held back any more although a plugin may need it.
    let_go: bool,
    /// Nobody knows what is needed: so all that was held back from here on when that began.
    unknown_from: Option<Lsn>,
}

/// Which WAL is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// That from here on.
    pub(crate) from: Lsn,
    /// Whether that is all that is needed.
    pub(crate) all: bool,
}

impl Retention {
    /// The slot that `walker.slot_name` names. It is not taken yet.
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: only the worker's main loop uses it, outside of transactions.
            slot: settings::slot_name().map(|name| unsafe { ReplicationSlot::new(name) }),
            failed: None,
            dropped: false,
            let_go: false,
            unknown_from: None,
        }
    }

    /// Takes the slot, or makes it. If it cannot be had, a WARNING says why, and it is tried again every now and then.
    pub(crate) fn hold(&mut self) {
        self.with_slot(ReplicationSlot::hold);
    }

    /// WAL is needed from `needed` on, and not before; invalid if that is not known. If more than `walker.max_retained_wal` is
    /// needed, some of that is let go too.
    pub(crate) fn release(&mut self, needed: Lsn) {
        let Some(kept_from) = self.kept_from() else { return };
        let (end, _) = server_log::durable();
        let needed = if needed.is_valid() {
            self.unknown_from = None;
            // Who waits for a longer log needs nothing beyond its end now.
            needed.min(end)
        } else {
            *self.unknown_from.get_or_insert(kept_from)
        };
        let limited = match settings::max_retained_wal() {
            Some(limit) => keep_from(needed, end, limit, server_log::last_redo()),
            None => needed,
        };
        // Not back to what is gone already.
        let gone = limited < kept_from && !server_log::is_there(limited);
        let keep = if gone { kept_from } else { limited };
        if !self.with_slot(|slot| slot.keep_from(keep)) {
            return;
        }
        if keep > needed {
            if !self.let_go {
                let why = if gone { "it has been removed" } else { "it exceeds \"walker.max_retained_wal\"" };
                pgrx::warning!(
                    "walker: WAL before {keep} is no longer held back: {why}; plugins that need it will be told of a gap"
                );
            }
            self.let_go = true;
        } else if self.let_go {
            self.let_go = false;
            pgrx::log!("walker: all WAL that plugins need is held back again");
        }
    }

    /// Which WAL is held back; `None` if none is.
    pub(crate) fn kept(&mut self) -> Option<Kept> {
        let all = !self.let_go;
        self.kept_from().map(|from| Kept { from, all })
    }

    /// From where on WAL is held back; `None` if it is not. Takes the slot again if it was released by an ERROR.
    fn kept_from(&mut self) -> Option<Lsn> {
        self.hold();
        self.slot.as_ref()?.kept_from()
    }

    /// The settings were read again: the slot may be made again.
    pub(crate) fn reload(&mut self) {
        (self.dropped, self.failed) = (false, None);
    }

    /// Answers what the worker itself, rather than a plugin, is asked.
    ///
    /// # Errors
    /// What cannot be done, or is not understood.
    pub(crate) fn answer(&mut self, question: &[u8]) -> Result<Vec<u8>, PluginError> {
        if question != DROP_SLOT {
            return Err("the walker does not know this question".into());
        }
        let slot = self.slot.as_mut().ok_or("there is no replication slot: \"walker.slot_name\" is empty")?;
        slot.drop_now()?;
        self.dropped = true;
        Ok(Vec::new())
    }

    /// Does something with the slot. Returns whether it was done.
    fn with_slot(&mut self, call: impl FnOnce(&mut ReplicationSlot) -> Result<Acquired, String>) -> bool {
        let Some(slot) = &mut self.slot else { return false };
        if self.dropped || self.failed.is_some_and(|failed| failed.elapsed() < SLOT_PAUSE) {
            return false;
        }
        let held = match call(slot) {
            Ok(held) => held,
            Err(error) => {
                if self.failed.is_none() {
                    warn_of_failure(&slot.name(), &error);
                }
                self.failed = Some(Instant::now());
                return false;
            }
        };
        if held == Acquired::MadeAnew {
            let name = slot.name();
            pgrx::warning!(
                "walker: replication slot \"{name}\" had been invalidated, and was made anew; WAL that it held back may \
                 have been removed"
            );
        } else if self.failed.is_some() {
            pgrx::log!("walker: replication slot \"{}\" can be used now", slot.name());
        }
        self.failed = None;
        true
    }
}

/// From where on WAL is held back that is needed from `needed` on, while the log ends at `end`: at most `limit` bytes of it,
/// but always what the server keeps anyway, from `last_redo` on.
fn keep_from(needed: Lsn, end: Lsn, limit: u64, last_redo: Lsn) -> Lsn {
    let behind = end.get().saturating_sub(needed.get());
    if behind <= limit {
        return needed;
    }
    needed.max(Lsn::new(end.get().saturating_sub(limit)).min(last_redo))
}

fn warn_of_failure(name: &str, error: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("walker: WAL is not held back: replication slot \"{name}\" cannot be used: {error}"),
        pgrx::function_name!(),
    )
    .set_detail(
        "WAL that was not read yet, or that plugins have not kept yet, may be recycled when the worker is behind or the \
         server restarts; then plugins are told of a gap.",
    )
    .set_hint("An empty \"walker.slot_name\" says that no WAL is to be held back.")
    .report(PgLogLevel::WARNING);
}
