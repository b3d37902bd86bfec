//! How far a reader of the log is behind while the log is written, and how soon it is at its end afterwards.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pgwal::Lsn;
use walker_testing::Cluster;

use super::super::server::{DATABASE, TIMEOUT};

/// Between two looks under load: as little as this adds to it.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks behind it.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    /// Since the first look.
    time: Duration,
    read: Lsn,
    /// Up to where the log was flushed.
    end: Lsn,
}

/// How far a reader was behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lag {
    /// In bytes and in time, at each look while the load ran.
    pub(super) behind: Vec<(u64, Duration)>,
    /// How long after the load the reader was where the log ended with it.
    pub(super) catching_up: Duration,
}

/// Runs `load`, and looks at the reader meanwhile. `position` is an SQL expression for how far it has read.
pub(super) fn under(load: impl FnOnce() -> Result<()> + Send, cluster: &Cluster, position: &str) -> Result<Lag> {
    let mut session = cluster.session(DATABASE)?;
    let query = format!("SELECT {position}, pg_current_wal_flush_lsn()");
    let begun = Instant::now();
    let mut look = || {
        let answer = session.execute(&query)?;
        parse(&answer, begun.elapsed()).with_context(|| format!("not two positions: {answer}"))
    };
    let mut samples = vec![look()?];
    thread::scope(|scope| {
        let load = scope.spawn(load);
        while !load.is_finished() {
            thread::sleep(PAUSE);
            samples.push(look()?);
        }
        load.join().unwrap_or_else(|_| bail!("the load panicked"))
    })?;
    let ended = Instant::now();
    // The last look was after the load, or nearly so.
    let behind = (1..samples.len() - 1).map(|index| behind(&samples[..=index])).collect();
    let end = look()?.end;
    while look()?.read < end {
        if ended.elapsed() > TIMEOUT {
            bail!("{position} is not at {end} after {TIMEOUT:?}");
        }
        thread::sleep(SHORT_PAUSE);
    }
    Ok(Lag { behind, catching_up: ended.elapsed() })
}

fn parse(answer: &str, time: Duration) -> Option<Sample> {
    let (read, end) = answer.split_once('|')?;
    Some(Sample { time, read: read.parse().ok()?, end: end.parse().ok()? })
}

/// How far the reader is behind at the last look: in bytes, and how long the log has been longer than what is read. Between two
/// looks the log is taken to have grown evenly.
fn behind(samples: &[Sample]) -> (u64, Duration) {
    let Some(now) = samples.last() else { return (0, Duration::ZERO) };
    let bytes = now.end.get().saturating_sub(now.read.get());
    if bytes == 0 {
        return (0, Duration::ZERO);
    }
    let next = samples.partition_point(|sample| sample.end <= now.read);
    let since = match (next.checked_sub(1).and_then(|before| samples.get(before)), samples.get(next)) {
        (Some(before), Some(after)) => {
            let part = now.read.since(before.end) as f64 / after.end.since(before.end) as f64;
            before.time + (after.time - before.time).mul_f64(part)
        }
        _ => samples[0].time,
    };
    (bytes, now.time - since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(looks: &[(u64, u64, u64)]) -> Vec<Sample> {
        let sample =
            |&(time, read, end)| Sample { time: Duration::from_millis(time), read: Lsn::new(read), end: Lsn::new(end) };
        looks.iter().map(sample).collect()
    }

    #[test]
    fn who_has_read_all_is_not_behind() {
        assert_eq!(behind(&samples(&[(0, 50, 100), (200, 300, 300)])), (0, Duration::ZERO));
        assert_eq!(behind(&[]), (0, Duration::ZERO));
    }

    #[test]
    fn a_lag_in_time_is_since_when_the_log_was_longer_than_what_is_read() {
        // Half way between the second look and the third.
        let looks = samples(&[(0, 100, 100), (200, 150, 300), (400, 200, 500), (600, 400, 700)]);
        assert_eq!(behind(&looks), (300, Duration::from_millis(300)));
        // All that time.
        assert_eq!(behind(&samples(&[(100, 100, 200), (300, 100, 400)])), (300, Duration::from_millis(200)));
        // Idle for long before the load.
        assert_eq!(
            behind(&samples(&[(0, 100, 100), (5000, 100, 100), (5200, 100, 300)])),
            (200, Duration::from_millis(200))
        );
    }

    #[test]
    fn answers_are_two_positions() {
        let sample = parse("0/10|1/0", Duration::ZERO).unwrap();
        assert_eq!((sample.read, sample.end), (Lsn::new(16), Lsn::new(1 << 32)));
        // A reader that has not begun.
        assert_eq!(parse("|1/0", Duration::ZERO), None);
    }
}
