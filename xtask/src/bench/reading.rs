//! `walker stats` and `walker dump` against pg_waldump, and two threads against one.

use std::path::Path;

use anyhow::Result;

use super::log::Log;
use super::measure::{Metric, Ratio, in_turn};

pub(super) fn run(log: &Log, walker: &Path, records: u64, runs: usize) -> Result<()> {
    let range = log.load();
    for (ours, theirs) in [("stats", Some("--stats")), ("dump", None)] {
        let one_thread = || Ok(range.command(walker, Some(ours)));
        let two_threads = || {
            let mut command = range.command(walker, Some(ours));
            command.args(["--jobs", "2"]);
            Ok(command)
        };
        let show = |what: &str, ratio: Ratio| {
            let (name, mebibytes) = (range.name(), range.mebibytes());
            println!("{name:8} {mebibytes:>9.1} {records:>10} {:26} {ratio}", format!("{ours} {what}"));
        };
        let against = in_turn(Metric::Cpu, runs, [&one_thread, &|| range.pg_waldump(theirs)])?;
        show("CPU / pg_waldump", Ratio::of(&against)?);
        show("2 threads / 1", Ratio::of(&in_turn(Metric::Elapsed, runs, [&two_threads, &one_thread])?)?);
    }
    Ok(())
}
