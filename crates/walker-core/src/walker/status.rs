//! How the plugins of a walker stand.

use std::time::{Instant, SystemTime};

use pgwal::Lsn;

use super::{Rest, Resting, Walker};
use crate::log::Log;
use crate::plugin_run::{Counts, PluginRun};
use crate::plugin_state::PluginState;

/// How a plugin stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginStatus {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: PluginState,
    /// End of the last record that it was told.
    pub position: Lsn,
    /// Up to where it has kept its state: the log before is not needed for it.
    pub flushed: Lsn,
    /// Failures that stopped it, without a state kept behind.
    pub failures_in_a_row: u32,
    /// What was done for it since the last report.
    pub counts: Counts,
    /// Its last failure and when it was.
    pub last_failure: Option<(String, SystemTime)>,
    /// When it is tried again.
    pub retry_at: Option<SystemTime>,
}

impl<L: Log> Walker<L> {
    /// How each plugin stands, in order, with what was done for it since the last call.
    pub fn take_statuses(&mut self) -> Vec<PluginStatus> {
        let now = (Instant::now(), SystemTime::now());
        let mut reports = Vec::new();
        for cursor in &mut self.cursors {
            for run in &mut cursor.walk.runs {
                let state = if run.at_end { PluginState::Running } else { PluginState::CatchingUp };
                reports.push((run.place, report(run, state, None)));
            }
        }
        for Resting { run, rest } in &mut self.resting {
            let (state, retry) = match rest {
                Rest::Off => (PluginState::Off, None),
                Rest::Until(at) if run.failures_in_a_row > 0 => (PluginState::Waiting, Some(*at)),
                Rest::Until(_) | Rest::NotYet(_) => (PluginState::Starting, None),
            };
            let retry_at = retry.map(|at| now.1 + at.saturating_duration_since(now.0));
            reports.push((run.place, report(run, state, retry_at)));
        }
        reports.sort_by_key(|(place, _)| *place);
        reports.into_iter().map(|(_, report)| report).collect()
    }
}

fn report(run: &mut PluginRun, state: PluginState, retry_at: Option<SystemTime>) -> PluginStatus {
    PluginStatus {
        name: run.name().to_owned(),
        state,
        position: run.position(),
        flushed: run.flushed(),
        failures_in_a_row: run.failures_in_a_row,
        counts: run.take_counts(),
        last_failure: run.last_failure().cloned(),
        retry_at,
    }
}
