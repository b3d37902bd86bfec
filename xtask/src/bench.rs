//! `cargo xtask bench`.

mod accounting;
mod load;
mod log;
mod measure;
mod question;
mod reading;
mod records;
mod server;
mod server_cpu;
mod transactions;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use walker_testing::temporary_directory;

use crate::command::run as run_command;
use crate::setup::prepare;
use crate::workspace::{Profile, Workspace, cargo};
use load::Load;
use log::Log;

/// Times WALker against PostgreSQL's own tools, on the same data in the same run.
///
/// All that is compared runs in turn; shown are medians, and the median of the ratios run by run with its extremes.
/// Machines are noisy: quote ratios. CPU seconds are those of user and system; seconds of the clock say something only
/// on a machine that does nothing else. Servers and data are made for it and removed at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Major version of PostgreSQL
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
    /// How often each is run, after once without counting [default: 7, with --quick 3]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Little data and few runs: whether all works, and a first impression
    #[arg(long)]
    quick: bool,
    /// Logs for reading and accounting [default: all]
    #[arg(long = "log", value_enum, value_name = "LOG")]
    loads: Vec<Load>,
    /// Size of the table for question [default: 1600, with --quick 160]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(20..))]
    table_size: Option<u32>,
    /// Transactions of each run for transactions [default: 30000, with --quick 8000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1000..))]
    transactions: Option<u32>,
    /// Records of each slice for records [default: 50000, with --quick 5000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1000..10_000_000))]
    records: Option<u32>,
    /// What to measure [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// `walker stats` and `walker dump` against pg_waldump, and two threads against one
    Reading,
    /// What counting dead tuples costs for each record: `walker garbage` against `walker stats` and `pg_waldump --stats`
    Accounting,
    /// Dead tuples of a table by block ranges: garbage_summary against pgstattuple and pgstattuple_approx
    Question,
    /// The server's CPU time for each transaction: without WALker, with it, with garbagemap, and with logical decoding
    Transactions,
    /// Records that an extension in Rust writes by pgxlog against the same in C: bytes, and CPU time to write, describe and replay
    Records,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    const fn choose<T: Copy>(&self, usual: T, quick: T) -> T {
        if self.quick { quick } else { usual }
    }

    fn runs(&self) -> usize {
        self.runs.unwrap_or(self.choose(7, 3))
    }

    /// What is read, in the order in which it is.
    fn loads(&self) -> &[Load] {
        if self.loads.is_empty() { &Load::ALL } else { &self.loads }
    }
}

/// `cargo xtask bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs() > 0, "at least one run is needed");
    let installation = prepare(arguments.pg)?;
    let workspace = Workspace::load()?;
    let walker = build_walker(&workspace)?;
    let runs = arguments.runs();

    if arguments.wants(Part::Reading) || arguments.wants(Part::Accounting) {
        println!("{:8} {:>9} {:>10} {:26} this / other", "log", "MiB", "records", "command");
        for load in arguments.loads() {
            let log = Log::make(&installation, *load, arguments.quick)?;
            let records = log.load().check_same_counts(&walker)?;
            if arguments.wants(Part::Reading) {
                reading::run(&log, &walker, records, runs)?;
            }
            if arguments.wants(Part::Accounting) {
                accounting::run(&log, &walker, records, runs)?;
            }
        }
    }
    if arguments.wants(Part::Question) || arguments.wants(Part::Transactions) {
        let directory = temporary_directory()?;
        let private = server::install(&workspace, &installation, directory.path())?;
        if arguments.wants(Part::Question) {
            let size = arguments.table_size.unwrap_or(arguments.choose(1600, 160));
            question::run(&private, size, runs)?;
        }
        if arguments.wants(Part::Transactions) {
            let count = arguments.transactions.unwrap_or(arguments.choose(30_000, 8_000));
            transactions::run(&private, &walker, count, runs)?;
        }
    }
    if arguments.wants(Part::Records) {
        let directory = temporary_directory()?;
        let private = server::install_bench_records(&workspace, &installation, directory.path())?;
        let count = arguments.records.unwrap_or(arguments.choose(50_000, 5_000));
        records::run(&private, &walker, count, runs)?;
    }
    Ok(())
}

/// Builds the command for release. Returns where it is.
fn build_walker(workspace: &Workspace) -> Result<PathBuf> {
    run_command(cargo()?.args(["build", "--release", "--package", "walker-cli"]).current_dir(workspace.root()))?;
    Ok(workspace.built(Profile::Release).join("walker"))
}
