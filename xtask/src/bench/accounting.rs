//! What counting dead tuples costs for each record.
//!
//! Only of pages that are known is anything counted, so `walker garbage` reads the log from before the tables were made;
//! what that part takes alone is subtracted. `walker stats` reads the same records and counts them without decoding: all
//! that `walker garbage` takes more is what garbagemap needs, which is decoding, the walk over plugins, and the accounting
//! itself.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::load::Load;
use super::log::{Log, Range};
use super::measure::{Metric, Ratio, Spread, in_turn};
use crate::command::capture;

pub(super) fn run(log: &Log, walker: &Path, records: u64, runs: usize) -> Result<()> {
    let (load, preparation, whole) = (log.load(), log.preparation(), log.whole());
    check_counted(&whole, walker)?;
    let rounds: Vec<Round> = in_turn(
        Metric::Cpu,
        runs,
        [
            &|| Ok(whole.command(walker, Some("garbage"))),
            &|| Ok(preparation.command(walker, Some("garbage"))),
            &|| Ok(load.command(walker, Some("stats"))),
            &|| load.pg_waldump(Some("--stats")),
        ],
    )?
    .into_iter()
    .map(Round::new)
    .collect();
    let show = |what: &str, value: &dyn std::fmt::Display| {
        println!("{:8} {:>9.1} {records:>10} {what:26} {value}", load.name(), load.mebibytes());
    };
    let against = |other: fn(&Round) -> Duration| {
        Ratio::of(&rounds.iter().map(|round| [round.garbage, other(round)]).collect::<Vec<_>>())
    };
    show("garbage CPU / walker stats", &against(|round| round.stats)?);
    show("garbage CPU / pg_waldump", &against(|round| round.pg_waldump)?);
    let accounting = Spread::of(rounds.iter().map(|round| round.accounting(records)))?;
    let aim = aim(log).map(|aim| format!(", aim: at most {aim}")).unwrap_or_default();
    show("garbage less walker stats", &format!("{accounting:.0} ns a record{aim}"));
    Ok(())
}

/// CPU seconds over the same records.
struct Round {
    garbage: Duration,
    stats: Duration,
    pg_waldump: Duration,
}

impl Round {
    fn new([whole, preparation, stats, pg_waldump]: [Duration; 4]) -> Self {
        Self { garbage: whole.saturating_sub(preparation), stats, pg_waldump }
    }

    /// In nanoseconds for each record.
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    fn accounting(&self, records: u64) -> f64 {
        (self.garbage.as_secs_f64() - self.stats.as_secs_f64()) * 1e9 / records as f64
    }
}

/// In nanoseconds for each record.
const fn aim(log: &Log) -> Option<u32> {
    match log.kind() {
        Load::TpcB => Some(200),
        Load::Images => Some(1000),
        Load::Mixed => None,
    }
}

/// A map that knows of no garbage has not worked.
fn check_counted(range: &Range<'_>, walker: &Path) -> Result<()> {
    let report = capture(range.command(walker, Some("garbage")).args(["--format", "json"]))?;
    let dead = dead_tuples(&report).with_context(|| format!("walker garbage: {report}"))?;
    ensure!(dead > 0, "walker garbage counts no dead tuples in the log {}", range.name());
    Ok(())
}

/// Of all relations together.
fn dead_tuples(report: &str) -> Result<u64> {
    let report: Value = serde_json::from_str(report)?;
    let relations = report["relations"].as_array().context("no relations")?;
    relations.iter().map(|relation| relation["dead_tuples"].as_u64().context("no number of dead tuples")).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounting_is_what_is_left_without_preparation_and_reading() {
        let round = Round::new([900, 200, 300, 1000].map(Duration::from_millis));
        assert_eq!(round.accounting(2_000_000).round(), 200.0);
        assert_eq!(round.garbage, Duration::from_millis(700));
    }

    #[test]
    fn dead_tuples_of_all_relations_are_added_up() {
        assert_eq!(dead_tuples(r#"{"relations": [{"dead_tuples": 5}, {"dead_tuples": 7}]}"#).unwrap(), 12);
        assert_eq!(dead_tuples(r#"{"relations": []}"#).unwrap(), 0);
        assert!(dead_tuples(r#"{"relations": [{}]}"#).is_err());
    }
}
