//! What the worker shows of itself: the statistics behind the views, and its state in `pg_stat_activity`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::time::{Duration, Instant, SystemTime};

use pgrx::pg_sys;
use pgwal::Lsn;
use pgxlog::server_log;
use walker_core::{LagClock, PluginReport, PluginState, PluginStatus, Walker};

use crate::callback;
use crate::log::ServerLog;
use crate::retention::Kept;
use crate::statistics;

/// While there is something to read, others are told how far the worker is no more often.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// Tells others how far the worker is.
#[derive(Debug)]
pub(crate) struct Observation {
    /// Of each plugin: one that does not come on would make the others' coarse.
    clocks: BTreeMap<String, LagClock>,
    told_at: Option<Instant>,
    /// What `pg_stat_activity` shows, and whether as active.
    shown: (bool, String),
    /// A plugin is blamed for the end of a process before.
    blames: bool,
}

impl Default for Observation {
    fn default() -> Self {
        let blames = !callback::blamed().is_empty();
        Self { clocks: BTreeMap::new(), told_at: None, shown: Default::default(), blames }
    }
}

impl Observation {
    /// Tells how far the worker is, and which WAL is held back; if there is `more` to read, not if that was done a moment ago.
    pub(crate) fn tell(&mut self, walker: &mut Walker<ServerLog>, kept: Option<Kept>, more: bool) {
        if more && self.told_at.is_some_and(|told_at| told_at.elapsed() < SHORTEST_PAUSE) {
            return;
        }
        self.told_at = Some(Instant::now());
        let statuses = walker.take_statuses();
        self.clocks.retain(|name, _| statuses.iter().any(|status| status.name == *name));
        let (end, now) = (server_log::durable().0, SystemTime::now());
        let behind_since: Vec<_> = statuses.iter().map(|status| self.behind_since(status, end, now)).collect();
        let reports: Vec<_> = statuses
            .iter()
            .zip(behind_since)
            .map(|(status, behind_since)| PluginReport {
                name: &status.name,
                state: status.state,
                applied: status.position,
                flushed: status.flushed,
                behind_since,
                wal_kept: is_kept(status, kept),
                records: status.counts.records,
                bytes: status.counts.bytes,
                busy: status.counts.time,
                failures: status.counts.failures,
                last_error: status.last_failure.as_ref().map(|(text, time)| (text.as_str(), *time)),
                retry_at: status.retry_at,
            })
            .collect();
        let rmgrs: Vec<_> = walker.take_rmgr_counts().iter().collect();
        statistics::report(walker.position(), &reports, &rmgrs);
        if self.blames {
            let well = |name: &str| statuses.iter().any(|status| status.name == name && status.failures_in_a_row == 0);
            callback::forgive(well);
            self.blames = !callback::blamed().is_empty();
        }
        self.show(more, walker);
    }

    /// Since when a plugin is behind; `None` if it was told nothing yet.
    fn behind_since(&mut self, status: &PluginStatus, end: Lsn, now: SystemTime) -> Option<SystemTime> {
        let clock = self.clocks.entry(status.name.clone()).or_default();
        clock.observe(end, now);
        clock.forget(status.position);
        status.position.is_valid().then(|| clock.behind_since(status.position)).flatten()
    }

    /// The text stays the same as long as the plugins do: how far they are is in the view.
    fn show(&mut self, active: bool, walker: &Walker<ServerLog>) {
        let shown = (active, format!("walking over WAL, plugins: {}", walking(walker)));
        if self.shown == shown {
            return;
        }
        let state = if active { pg_sys::BackendState::STATE_RUNNING } else { pg_sys::BackendState::STATE_IDLE };
        let text = CString::new(shown.1.as_str()).unwrap_or_default();
        // SAFETY: the text is copied. An idle process keeps the text it had, so that it has to be given first.
        unsafe {
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
            pg_sys::pgstat_report_activity(state, std::ptr::null());
        }
        self.shown = shown;
    }
}

/// The plugins that are told records, for people.
pub(crate) fn walking(walker: &Walker<ServerLog>) -> String {
    let names = walker.walking();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Whether WAL that the plugin needs is held back. One that has not started yet needs all that is.
fn is_kept(status: &PluginStatus, kept: Option<Kept>) -> bool {
    let needed = |kept: Kept| if status.flushed.is_valid() { kept.from <= status.flushed } else { kept.all };
    status.state != PluginState::Off && kept.is_some_and(needed)
}
