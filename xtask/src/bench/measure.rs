//! What runs in turn, and what it costs.

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

/// Runs all commands in turn, once without counting and then `runs` times. Returns what each cost in each round.
pub(crate) fn in_turn<const COMMANDS: usize>(
    metric: Metric,
    runs: usize,
    commands: [&dyn Fn() -> Result<Command>; COMMANDS],
) -> Result<Vec<[Duration; COMMANDS]>> {
    let mut rounds = Vec::new();
    for run in 0..=runs {
        let mut round = [Duration::ZERO; COMMANDS];
        for (cost, command) in round.iter_mut().zip(commands) {
            *cost = metric.of(command()?)?;
        }
        if run > 0 {
            rounds.push(round);
        }
    }
    Ok(rounds)
}

/// The middle of several measurements, and their extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of an even number of values the median is the greater one in the middle.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Result<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        match (values.first(), values.get(values.len() / 2), values.last()) {
            (Some(&least), Some(&median), Some(&most)) => Ok(Self { least, median, most }),
            _ => anyhow::bail!("nothing was measured"),
        }
    }
}

impl fmt::Display for Spread {
    /// With as many digits as the precision says.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, median, most } = self;
        let digits = formatter.precision().unwrap_or(2);
        write!(formatter, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// What one thing costs against another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    this: Duration,
    other: Duration,
    ratio: Spread,
}

impl Ratio {
    /// Of pairs that were measured one after the other.
    pub(crate) fn of(pairs: &[[Duration; 2]]) -> Result<Self> {
        let ratio = |[this, other]: &[Duration; 2]| this.as_secs_f64() / other.as_secs_f64().max(1e-9);
        Ok(Self {
            this: median(pairs.iter().map(|[this, _]| *this))?,
            other: median(pairs.iter().map(|[_, other]| *other))?,
            ratio: Spread::of(pairs.iter().map(ratio))?,
        })
    }
}

impl Ratio {
    /// Where this and the other did something so often: what it cost each time.
    pub(crate) fn of_each(self, count: u32) -> Self {
        let count = count.max(1);
        Self { this: self.this / count, other: self.other / count, ..self }
    }
}

impl fmt::Display for Ratio {
    /// With as many digits as the precision says.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = formatter.precision().unwrap_or(2);
        write!(formatter, "{} / {} = {:.digits$}", time(self.this), time(self.other), self.ratio)
    }
}

/// See [`Spread::of`].
pub(crate) fn median(times: impl IntoIterator<Item = Duration>) -> Result<Duration> {
    let seconds = Spread::of(times.into_iter().map(|time| time.as_secs_f64()))?;
    Ok(Duration::from_secs_f64(seconds.median))
}

/// In seconds, or in a smaller unit if there is little.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 0.1 {
        format!("{seconds:.3} s")
    } else if seconds >= 1e-4 {
        format!("{:.2} ms", seconds * 1e3)
    } else if seconds >= 1e-5 {
        format!("{:.2} µs", seconds * 1e6)
    } else {
        format!("{:.0} ns", seconds * 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_hear_of_an_outlier() {
        let spread = Spread::of([3.0, 100.0, 1.0, 2.0, 2.5]).unwrap();
        assert_eq!(spread, Spread { least: 1.0, median: 2.5, most: 100.0 });
        assert_eq!(format!("{spread:.1}"), "2.5 (1.0 to 100.0)");
        assert!(Spread::of([]).is_err());
    }

    #[test]
    fn ratios_are_those_of_pairs_and_not_that_of_the_medians() {
        let pair = |this, other| [Duration::from_millis(this), Duration::from_millis(other)];
        let ratio = Ratio::of(&[pair(400, 200), pair(900, 300), pair(5000, 1000)]).unwrap();
        assert_eq!(ratio.to_string(), "0.900 s / 0.300 s = 3.00 (2.00 to 5.00)");
        let small = Ratio::of(&[pair(2, 2000)]).unwrap();
        assert_eq!(small.to_string(), "2.00 ms / 2.000 s = 0.00 (0.00 to 0.00)");
        assert_eq!(format!("{:.3}", small.of_each(1000)), "2000 ns / 2.00 ms = 0.001 (0.001 to 0.001)");
    }

    #[test]
    fn commands_run_in_turn_and_the_first_round_does_not_count() {
        let count = std::cell::Cell::new(0);
        let command = || {
            count.set(count.get() + 1);
            Ok(Command::new("true"))
        };
        let rounds = in_turn(Metric::Elapsed, 2, [&command, &command]).unwrap();
        assert_eq!((rounds.len(), count.get()), (2, 6));
        assert!(in_turn(Metric::Cpu, 1, [&|| Ok(Command::new("false"))]).is_err());
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        let shown =
            [1500.0, 99.0, 0.099, 0.000_099].map(|milliseconds: f64| time(Duration::from_secs_f64(milliseconds / 1e3)));
        assert_eq!(shown, ["1.500 s", "99.00 ms", "99.00 µs", "99 ns"]);
    }
}
