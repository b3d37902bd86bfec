//! `cargo xtask bench`.

mod load;
mod measure;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use pgwal::Lsn;
use walker_testing::{Cluster, Installation};

use crate::command::{capture, run as run_command};
use crate::setup::prepare;
use crate::workspace::{Profile, Workspace, cargo};
use load::Load;
use measure::{Metric, Ratio, compare};

/// Times `walker stats` and `walker dump` against pg_waldump, on the same WAL in the same run.
///
/// Makes three logs by a server of its own: TPC-B without full-page writes, a mixed load with all types of indexes,
/// and one that is mostly images. The commands are run in turn; shown are the medians of their CPU seconds (user and
/// system) and the median of the ratios pair by pair with its extremes. Then two threads are compared with one, by
/// seconds of the clock, which say something only on a machine that does nothing else. Machines are noisy: quote ratios.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Major version of PostgreSQL
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
    /// How often each command is run
    #[arg(long, default_value_t = 7, value_name = "N")]
    runs: usize,
    /// Which log [default: all]
    #[arg(value_enum)]
    loads: Vec<Load>,
}

/// `cargo xtask bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let installation = prepare(arguments.pg)?;
    let workspace = Workspace::load()?;
    run_command(cargo()?.args(["build", "--release", "--package", "walker-cli"]).current_dir(workspace.root()))?;
    let walker = workspace.built(Profile::Release).join("walker");

    let all = [Load::TpcB, Load::Mixed, Load::Images];
    let loads = if arguments.loads.is_empty() { &all[..] } else { &arguments.loads };
    println!("{:8} {:>9} {:>10} {:24} this / other", "log", "MiB", "records", "command");
    for load in loads {
        let log = Log::make(&installation, *load)?;
        let records = log.check_same_counts(&walker)?;
        let mebibytes = log.end.since(log.start) as f64 / f64::from(1 << 20);
        for (name, ours, theirs) in [("stats", "stats", Some("--stats")), ("dump", "dump", None)] {
            let ours = || log.command(&walker, Some(ours));
            let pg_waldump = log.cluster.installation().program("pg_waldump")?;
            let theirs = || log.command(&pg_waldump, theirs);
            let show = |what: &str, ratio: Ratio| {
                println!("{:8} {mebibytes:>9.1} {records:>10} {name:5} {what:18} {ratio}", load.name());
            };
            show("CPU / pg_waldump", compare(Metric::Cpu, arguments.runs, ours, theirs)?);
            let two_threads = || {
                let mut command = ours();
                command.args(["--jobs", "2"]);
                command
            };
            show("2 threads / 1", compare(Metric::Elapsed, arguments.runs, two_threads, ours)?);
        }
    }
    Ok(())
}

/// A part of a stopped server's WAL.
struct Log {
    cluster: Cluster,
    start: Lsn,
    end: Lsn,
}

impl Log {
    fn make(installation: &Installation, load: Load) -> Result<Self> {
        eprintln!("==> making WAL: {}", load.description());
        let mut cluster = Cluster::builder(installation).settings(load.settings()).start()?;
        let (start, end) = load.run(&cluster)?;
        cluster.stop(walker_testing::Mode::Fast)?;
        Ok(Self { cluster, start, end })
    }

    fn command(&self, program: &Path, first: Option<&str>) -> Command {
        let mut command = Command::new(program);
        command.args(first).arg("--path").arg(self.cluster.wal_directory());
        command.args(["--start", &self.start.to_string(), "--end", &self.end.to_string()]).env("TZ", "UTC");
        command
    }

    /// Both must count the same, or the times say nothing. Returns the number of records.
    fn check_same_counts(&self, walker: &Path) -> Result<u64> {
        let ours = capture(&mut self.command(walker, Some("stats")))?;
        let pg_waldump = self.cluster.installation().program("pg_waldump")?;
        let theirs = capture(&mut self.command(&pg_waldump, Some("--stats")))?;
        ensure!(ours == theirs, "walker stats and pg_waldump --stats differ:\n{ours}\n{theirs}");
        let total = ours.lines().last().and_then(|line| line.split_whitespace().nth(1));
        Ok(total.and_then(|total| total.parse().ok()).unwrap_or_default())
    }
}
