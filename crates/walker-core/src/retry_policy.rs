//! When a plugin that failed is tried again.

use std::time::Duration;

/// When a plugin that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first pause. Each that follows is twice as long, up to [`RetryPolicy::LONGEST`].
    pub first_pause: Duration,
    /// After so many failures in a row the plugin is switched off. They are in a row as long as the plugin has not kept a state
    /// behind the place where it failed last.
    pub max_failures: u32,
}

impl RetryPolicy {
    /// The longest pause.
    pub const LONGEST: Duration = Duration::from_secs(600);

    /// The pause after so many failures.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(doubled).min(Self::LONGEST)
    }

    /// The pause after so many failures in a row; `None` if it was the last one.
    pub(crate) fn pause_unless_off(&self, failures: u32) -> Option<Duration> {
        (failures < self.max_failures).then(|| self.pause(failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let policy = RetryPolicy { first_pause: Duration::from_secs(5), max_failures: 40 };
        let pauses: Vec<_> =
            [1, 2, 3, 7, 8, 39].map(|failures| policy.pause_unless_off(failures).unwrap().as_secs()).into();
        assert_eq!(pauses, [5, 10, 20, 320, 600, 600]);
        assert_eq!(policy.pause_unless_off(40), None);
        assert_eq!(policy.pause(u32::MAX), RetryPolicy::LONGEST);
    }
}
