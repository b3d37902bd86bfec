//! The steps of a longer task, each announced, timed and named when it fails.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Announces the step and takes it.
    pub(crate) fn take<T>(&mut self, name: impl Into<String>, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let name = name.into();
        eprintln!("==> {name}");
        let started = Instant::now();
        let outcome = step().with_context(|| format!("step \"{name}\" failed"));
        self.done.push((name, started.elapsed()));
        outcome
    }

    /// The time of each step so far, as a table.
    pub(crate) fn summary(&self) -> String {
        let total = self.done.iter().map(|(_, time)| *time).sum();
        let total = ("total".to_owned(), total);
        let rows = self.done.iter().chain([&total]);
        rows.map(|(name, time)| format!("{:>8.1} s  {name}\n", time.as_secs_f64())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_timed() {
        let mut steps = Steps::default();
        assert_eq!(steps.take("first", || Ok(1)).unwrap(), 1);
        let error = steps.take("second", || -> Result<()> { anyhow::bail!("the reason") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "step \"second\" failed: the reason");
        assert_eq!(steps.summary().lines().count(), 3);
    }
}
