//! Two commands in turn, and what they cost.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::command::line;

/// CPU seconds of all children that have ended.
fn children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot ask for the time of children")?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds).unwrap_or_default()))
}

/// What is measured of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// CPU seconds, user and system.
    Cpu,
    /// Seconds by the clock.
    Elapsed,
}

impl Metric {
    /// What one run costs.
    fn of(self, mut command: Command) -> Result<Duration> {
        let (before, begun) = (children()?, Instant::now());
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "`{}` failed ({status})", line(&command));
        Ok(match self {
            Self::Cpu => children()?.saturating_sub(before),
            Self::Elapsed => begun.elapsed(),
        })
    }
}

/// What comparing came to.
#[derive(Debug)]
pub(crate) struct Ratio {
    ours: Duration,
    theirs: Duration,
    least: f64,
    median: f64,
    most: f64,
}

/// Runs both commands in turn, once without counting and then `runs` times.
pub(crate) fn compare(
    metric: Metric,
    runs: usize,
    ours: impl Fn() -> Command,
    theirs: impl Fn() -> Command,
) -> Result<Ratio> {
    ensure!(runs > 0, "at least one run is needed");
    let mut pairs = Vec::new();
    for run in 0..=runs {
        let pair = (metric.of(ours())?, metric.of(theirs())?);
        if run > 0 {
            pairs.push(pair);
        }
    }
    let mut ratios: Vec<f64> =
        pairs.iter().map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64().max(1e-6)).collect();
    ratios.sort_by(f64::total_cmp);
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(Ratio {
        ours: median(pairs.iter().map(|(ours, _)| *ours).collect()),
        theirs: median(pairs.iter().map(|(_, theirs)| *theirs).collect()),
        least: ratios[0],
        median: ratios[ratios.len() / 2],
        most: ratios[ratios.len() - 1],
    })
}

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ours, theirs, least, median, most } = self;
        let (ours, theirs) = (ours.as_secs_f64(), theirs.as_secs_f64());
        write!(formatter, "{ours:.3} s / {theirs:.3} s = {median:.2} ({least:.2} to {most:.2})")
    }
}
