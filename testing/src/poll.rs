//! Waiting for something that nobody announces: look, sleep a little, look again, but not for ever.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Asks `look`, at growing intervals, until it answers `Some` or fails; answers `None` after `timeout`. It is asked at
/// least once, and once more after the timeout.
///
/// # Errors
/// What `look` fails with.
pub fn poll<T>(timeout: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // Taken before the look, so that the last look happens after the timeout.
        let last = started.elapsed() >= timeout;
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if last {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_until_it_is_there() {
        let mut looks = 0;
        let found = poll(Duration::from_secs(10), || {
            looks += 1;
            Ok((looks == 3).then_some("there"))
        });
        assert_eq!(found.unwrap(), Some("there"));
    }

    #[test]
    fn gives_up_after_the_timeout() {
        assert_eq!(poll(Duration::ZERO, || Ok(None::<()>)).unwrap(), None);
    }
}
