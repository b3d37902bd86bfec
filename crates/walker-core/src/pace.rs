//! How long a reader that waits for more of the log sleeps.

use std::time::Duration;

/// Between two looks when there was something: what comes meanwhile is read in one go.
const NAP: Duration = Duration::from_millis(50);
/// The longest sleep of one whom nobody wakes.
const LONGEST_LOOKING: Duration = Duration::from_millis(200);
/// The longest sleep of one who is woken: in case a wake-up is missed.
const LONGEST_WOKEN: Duration = Duration::from_secs(5);

/// How to sleep now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// So long, whatever is written meanwhile.
    Nap(Duration),
    /// Until something is written, at most so long.
    UntilWoken(Duration),
}

/// Paces a reader. Whoever writes the log pays for waking it, so it lets itself be woken only when a look, after a nap, has
/// found nothing: under load nobody wakes it, and idle it hardly ever wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The next nap of one whom nobody wakes.
    nap: Duration,
    /// Whether the last look found something.
    found: bool,
}

impl Pace {
    /// As after a look that found something.
    #[must_use]
    pub const fn new() -> Self {
        Self { nap: NAP, found: true }
    }

    /// The last look found something.
    pub const fn found_something(&mut self) {
        *self = Self::new();
    }

    /// How to sleep before the next look, at most `longest`. `woken`: whether somebody wakes this reader when the log grows.
    pub fn next(&mut self, woken: bool, longest: Duration) -> Rest {
        let found = std::mem::replace(&mut self.found, false);
        if woken && !found {
            return Rest::UntilWoken(LONGEST_WOKEN.min(longest));
        }
        let nap = self.nap;
        self.nap = (nap * 2).min(LONGEST_LOOKING);
        Rest::Nap(nap.min(longest))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn nap(milliseconds: u64) -> Rest {
        Rest::Nap(Duration::from_millis(milliseconds))
    }

    #[test]
    fn whoever_is_woken_naps_once_and_then_sleeps_until_then() {
        let mut pace = Pace::new();
        assert_eq!(pace.next(true, LONG), nap(50));
        assert_eq!(pace.next(true, LONG), Rest::UntilWoken(LONGEST_WOKEN));
        assert_eq!(pace.next(true, LONG), Rest::UntilWoken(LONGEST_WOKEN));
        pace.found_something();
        assert_eq!(pace.next(true, LONG), nap(50));
    }

    #[test]
    fn whom_nobody_wakes_looks_ever_less_often() {
        let mut pace = Pace::new();
        let naps: Vec<_> = (0..4).map(|_| pace.next(false, LONG)).collect();
        assert_eq!(naps, [nap(50), nap(100), nap(200), nap(200)]);
        pace.found_something();
        assert_eq!(pace.next(false, LONG), nap(50));
    }

    #[test]
    fn nobody_sleeps_longer_than_allowed() {
        let mut pace = Pace::new();
        let short = Duration::from_millis(7);
        assert_eq!(pace.next(true, short), nap(7));
        assert_eq!(pace.next(true, short), Rest::UntilWoken(short));
        assert_eq!(pace.next(false, short), nap(7));
    }
}
