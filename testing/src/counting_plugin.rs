//! Plugins that count the records of each resource manager, and `pg_waldump`, which does too.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pgwal::Lsn;

use crate::cluster::Cluster;
use crate::poll::poll;

const TIMEOUT: Duration = Duration::from_secs(120);

/// What a counting plugin says: `from 0/1 to 0/2: all 3, heap 1, ...`.
#[derive(Debug)]
pub struct Counted {
    /// Beginning of the first record that it was told.
    pub from: Lsn,
    /// End of the last one.
    pub to: Lsn,
    /// How many there were, by the plugin's own names.
    pub counts: BTreeMap<String, u64>,
}

impl Counted {
    fn parse(text: &str) -> Option<Self> {
        let (range, counts) = text.split_once(": ")?;
        let (from, to) = range.strip_prefix("from ")?.split_once(" to ")?;
        let count = |part: &str| {
            let (name, number) = part.trim().rsplit_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        let counts = counts.split(',').map(count).collect::<Option<_>>()?;
        Some(Self { from: from.parse().ok()?, to: to.parse().ok()?, counts })
    }
}

impl Cluster {
    /// Waits until the plugin was told all that is written now, and asks it what it has counted.
    ///
    /// # Errors
    /// If it cannot be asked, says something else, or does not arrive at the end of the WAL.
    pub fn ask_counting_plugin(&self, plugin: &str) -> Result<Counted> {
        let end = self.flush_wal()?;
        let counted = poll(TIMEOUT, || {
            let answer = self.psql("postgres", &format!("SELECT walker_ask('{plugin}')"))?;
            let counted = Counted::parse(&answer).with_context(|| answer)?;
            Ok((counted.to >= end).then_some(counted))
        })?;
        counted.with_context(|| format!("{plugin} did not arrive at {end}:\n{}", self.log().unwrap_or_default()))
    }

    /// Records by resource manager from `from` to `to`, as `pg_waldump --stats` counts them, and their `Total`.
    ///
    /// # Errors
    /// If it cannot read that part of the WAL.
    pub fn count_by_pg_waldump(&self, from: Lsn, to: Lsn) -> Result<BTreeMap<String, u64>> {
        let output = self.pg_waldump(["--stats", &format!("--start={from}"), &format!("--end={to}")])?;
        let row = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse::<u64>().ok()?))
        };
        Ok(output.lines().filter_map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_counting_plugin_says() {
        let counted = Counted::parse("from 0/10 to 1/20: all 3, heap 2").unwrap();
        assert_eq!((counted.from, counted.to), (Lsn::new(0x10), Lsn::new(0x1_0000_0020)));
        assert_eq!((counted.counts["all"], counted.counts["heap"]), (3, 2));
        assert!(Counted::parse("from 0/10: all 3").is_none());
    }
}
