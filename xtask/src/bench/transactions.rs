//! The server's CPU time for each transaction of pgbench: without WALker, with its worker, with garbagemap, and with
//! logical decoding, which reads the same log in the same server, for comparison; and how far behind who reads it is.
//!
//! The difference of two servers is hardly more than what the same server differs by from run to run. So the time of
//! the process that reads the log is told too, which is nearly all that WALker adds.
//!
//! After a checkpoint nearly every transaction brings the image of a page, which costs the server and the reader more than
//! those that follow. So both are measured.

mod lag;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result};
use walker_testing::{Cluster, Installation, Mode};

use super::log::count_records;
use super::measure::Spread;
use super::server::{DATABASE, SETTINGS, TIMEOUT, wait_until_read};
use super::server_cpu;
use lag::Lag;

/// Clients of pgbench, all at once, for each CPU: enough that none is idle.
const CLIENTS_PER_CPU: u32 = 2;
/// Replication slot of the logical decoding.
const SLOT: &str = "bench";

/// What the server does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    Without,
    Worker,
    GarbageMap,
    LogicalDecoding,
}

impl Setup {
    const ALL: [Self; 4] = [Self::Without, Self::Worker, Self::GarbageMap, Self::LogicalDecoding];

    const fn name(self) -> &'static str {
        match self {
            Self::Without => "without WALker",
            Self::Worker => "worker, no plugin",
            Self::GarbageMap => "worker, garbagemap",
            Self::LogicalDecoding => "logical decoding",
        }
    }

    const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Without => &[],
            Self::Worker => &[("shared_preload_libraries", "walker")],
            Self::GarbageMap => &[("shared_preload_libraries", "walker"), ("walker.plugins", "garbagemap")],
            Self::LogicalDecoding => &[("wal_level", "logical")],
        }
    }

    /// The process that reads the log, as pg_stat_activity calls it.
    const fn reader(self) -> Option<&'static str> {
        match self {
            Self::Without => None,
            Self::Worker | Self::GarbageMap => Some("walker"),
            Self::LogicalDecoding => Some("walsender"),
        }
    }

    /// SQL expression for how far it has read.
    const fn position(self) -> &'static str {
        match self {
            Self::Without => "pg_current_wal_flush_lsn()",
            // Without plugins it keeps nothing of what it has read.
            Self::Worker => "(SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'walker')",
            Self::GarbageMap => "(SELECT applied_lsn FROM pg_stat_walker)",
            Self::LogicalDecoding => "(SELECT max(sent_lsn) FROM pg_stat_replication)",
        }
    }
}

/// Which transactions are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first ones after a checkpoint.
    AfterCheckpoint,
    /// After twice as many, without another checkpoint.
    Later,
}

impl Phase {
    const ALL: [Self; 2] = [Self::AfterCheckpoint, Self::Later];

    const fn name(self) -> &'static str {
        match self {
            Self::AfterCheckpoint => "after a checkpoint, where most changes bring the image of a page",
            Self::Later => "after twice as many transactions without a checkpoint",
        }
    }
}

/// What a run cost.
#[derive(Debug, Clone)]
struct Cost {
    /// Of all processes of the server.
    server: Duration,
    /// Of the process that reads the log.
    reader: Duration,
    records: u64,
    /// Of who reads the log.
    lag: Lag,
}

/// What pgbench runs.
#[derive(Debug, Clone, Copy)]
struct Transactions {
    clients: u32,
    per_client: u32,
}

impl Transactions {
    /// So many or a few less, by as many clients as it takes to use all CPUs.
    fn about(count: u32) -> Result<Self> {
        let cpus = u32::try_from(available_parallelism()?.get())?;
        let clients = CLIENTS_PER_CPU * cpus;
        Ok(Self { clients, per_client: (count / clients).max(1) })
    }

    const fn count(self) -> u32 {
        self.clients * self.per_client
    }

    fn run(self, cluster: &Cluster) -> Result<()> {
        let Self { clients, per_client } = self;
        let [clients, per_client] = [format!("--client={clients}"), format!("--transactions={per_client}")];
        cluster.pgbench([&clients, &per_client, "--no-vacuum"]).map(drop)
    }
}

pub(super) fn run(installation: &Installation, walker: &Path, transactions: u32, runs: usize) -> Result<()> {
    let transactions = Transactions::about(transactions)?;
    let mut servers = Vec::new();
    for setup in Setup::ALL {
        if setup == Setup::LogicalDecoding && !has_test_decoding(installation)? {
            eprintln!("==> without logical decoding: this PostgreSQL has no test_decoding or no pg_recvlogical");
            continue;
        }
        let mut cluster =
            Cluster::builder(installation).settings(SETTINGS).settings(setup.settings().to_vec()).start()?;
        if setup == Setup::GarbageMap {
            cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
        }
        cluster.stop(Mode::Fast)?;
        servers.push(Server { setup, cluster, costs: Default::default() });
    }
    for run in 0..=runs {
        eprintln!("==> transactions in each of {} servers, run {run} of {runs}", servers.len());
        // Each of them is once the first, so that none has the machine as the same one left it.
        servers.rotate_left(1);
        for server in &mut servers {
            let measured = server.measure(walker, transactions).with_context(|| server.setup.name())?;
            if run > 0 {
                server.costs.iter_mut().zip(measured).for_each(|(costs, cost)| costs.push(cost));
            }
        }
    }
    servers.sort_by_key(|server| Setup::ALL.iter().position(|setup| *setup == server.setup));
    print(&servers, transactions)
}

struct Server {
    setup: Setup,
    cluster: Cluster,
    /// Of each phase, in the order of [`Phase::ALL`].
    costs: [Vec<Cost>; Phase::ALL.len()],
}

impl Server {
    /// One run, on new tables. Returns the cost of each phase.
    fn measure(&mut self, walker: &Path, transactions: Transactions) -> Result<[Cost; Phase::ALL.len()]> {
        let Self { setup, cluster, .. } = self;
        cluster.start()?;
        cluster.pgbench(["--initialize", "--scale=10", "--quiet"])?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
        let receiver = (*setup == Setup::LogicalDecoding).then(|| Receiver::start(cluster)).transpose()?;
        wait_until_read(cluster, setup.position())?;
        let reader = setup.reader().map(|kind| cluster.background_workers(kind)).transpose()?;
        let reader = reader.map(|ids| ids.first().copied().context("the process that reads the log is not there"));
        let reader = reader.transpose()?;

        let after_checkpoint = measure_load(cluster, *setup, reader, walker, transactions)?;
        transactions.run(cluster)?;
        let later = measure_load(cluster, *setup, reader, walker, transactions)?;
        if let Some(receiver) = receiver {
            receiver.stop(cluster)?;
        }
        cluster.stop(Mode::Fast)?;
        Ok([after_checkpoint, later])
    }
}

/// What these transactions cost on a server that runs, whose process `reader` reads the log.
fn measure_load(
    cluster: &Cluster,
    setup: Setup,
    reader: Option<u32>,
    walker: &Path,
    transactions: Transactions,
) -> Result<Cost> {
    let cpu = || -> Result<(Duration, Duration)> {
        let of_reader = reader.map(server_cpu::of_process).transpose()?.unwrap_or_default();
        Ok((server_cpu::of_server(cluster.postmaster_id()?)?, of_reader))
    };
    let start = wait_until_read(cluster, setup.position())?;
    let before = cpu()?;
    let lag = lag::under(|| transactions.run(cluster), cluster, setup.position())?;
    let end = wait_until_read(cluster, setup.position())?;
    let after = cpu()?;
    let records = count_records(walker, cluster, start, end)?;
    let difference = |after: Duration, before| after.saturating_sub(before);
    Ok(Cost { server: difference(after.0, before.0), reader: difference(after.1, before.1), records, lag })
}

/// pg_recvlogical, which reads all changes and writes them nowhere.
struct Receiver(Child);

impl Receiver {
    fn start(cluster: &Cluster) -> Result<Self> {
        let create = format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')");
        cluster.psql(DATABASE, &create)?;
        let mut command: Command = cluster.program("pg_recvlogical")?;
        command.args(["--dbname", DATABASE, "--slot", SLOT, "--start", "--no-loop", "--file", "-"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot run pg_recvlogical")?;
        let receiver = Self(child);
        cluster.wait_until_true(DATABASE, "SELECT count(*) = 1 FROM pg_stat_replication", TIMEOUT)?;
        Ok(receiver)
    }

    fn stop(mut self, cluster: &Cluster) -> Result<()> {
        // Not by a signal that it handles: it then complains that the stream ended.
        self.0.kill()?;
        self.0.wait()?;
        let inactive = format!("SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
        cluster.wait_until_true(DATABASE, &inactive, TIMEOUT)?;
        cluster.psql(DATABASE, &format!("SELECT pg_drop_replication_slot('{SLOT}')"))?;
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It has ended unless something failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has_test_decoding(installation: &Installation) -> Result<bool> {
    let library = installation.library_directory()?.join("test_decoding.so");
    Ok(library.is_file() && installation.program("pg_recvlogical")?.is_file())
}

fn print(servers: &[Server], transactions: Transactions) -> Result<()> {
    let Some(without) = servers.iter().find(|server| server.setup == Setup::Without) else { return Ok(()) };
    let (count, clients) = (transactions.count(), transactions.clients);
    println!("\ntransactions: CPU of a server for each of {count} transactions of pgbench (TPC-B, {clients} clients);");
    println!(
        "of the process that reads the log: its own, also as a share of the server without WALker, aim: under 1 %"
    );
    for (phase, costs_without) in Phase::ALL.into_iter().zip(&without.costs) {
        println!("\n{}:", phase.name());
        println!("{}", row(["", "server: µs", "/ without", "records", "reader: µs", "ns a record", "% of the server"]));
        for server in servers {
            println!("{}", line(server.setup.name(), &server.costs[phase as usize], costs_without, count)?);
        }
    }
    println!("\nhow far behind who reads the log is under that load, and how soon after it at the end\n");
    println!("{}", lag_row(["", "KiB: median", "most", "ms: median", "most", "ms to catch up"]));
    for server in servers.iter().filter(|server| server.setup.reader().is_some()) {
        println!("{}", lag_line(server.setup.name(), server.costs.iter().flatten().map(|cost| &cost.lag))?);
    }
    Ok(())
}

/// What a server's runs cost, and against those of the server without WALker in the same rounds.
#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn line(name: &str, costs: &[Cost], without: &[Cost], transactions: u32) -> Result<String> {
    let pairs: Vec<_> = costs.iter().zip(without).collect();
    let spread = |of: &dyn Fn(&Cost, &Cost) -> f64| Spread::of(pairs.iter().map(|(cost, without)| of(cost, without)));
    let of_one = |cost: f64| cost / f64::from(transactions);
    let server = spread(&|cost, _| of_one(cost.server.as_secs_f64() * 1e6))?;
    let ratio = spread(&|cost, without| cost.server.as_secs_f64() / without.server.as_secs_f64())?;
    let records = spread(&|cost, _| of_one(cost.records as f64))?.median;
    let reader = spread(&|cost, _| of_one(cost.reader.as_secs_f64() * 1e6))?;
    let record = spread(&|cost, _| cost.reader.as_secs_f64() * 1e9 / cost.records as f64)?.median;
    let share = spread(&|cost, without| 100.0 * cost.reader.as_secs_f64() / without.server.as_secs_f64())?;
    let [server, ratio, records] = [format!("{server:.1}"), format!("{ratio:.3}"), format!("{records:.1}")];
    let [mut reader, mut record, mut share] = [format!("{reader:.2}"), format!("{record:.0}"), format!("{share:.2}")];
    if costs.iter().all(|cost| cost.reader.is_zero()) {
        [reader, record, share] = Default::default();
    }
    Ok(row([name, &server, &ratio, &records, &reader, &record, &share]))
}

fn row([name, server, ratio, records, reader, record, share]: [&str; 7]) -> String {
    let row = format!("{name:18} {server:24} {ratio:24} {records:>7}  {reader:22} {record:>11}  {share}");
    row.trim_end().to_owned()
}

/// How far a reader was behind in all runs.
#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn lag_line<'a>(name: &str, lags: impl Iterator<Item = &'a Lag> + Clone) -> Result<String> {
    let behind = lags.clone().flat_map(|lag| &lag.behind);
    let kib = Spread::of(behind.clone().map(|(bytes, _)| *bytes as f64 / 1024.0))?;
    let milliseconds = Spread::of(behind.map(|(_, time)| time.as_secs_f64() * 1e3))?;
    let catching_up = Spread::of(lags.map(|lag| lag.catching_up.as_secs_f64() * 1e3))?;
    let [kib, most_kib] = [kib.median, kib.most].map(|value| format!("{value:.0}"));
    let [median, most] = [milliseconds.median, milliseconds.most].map(|value| format!("{value:.0}"));
    Ok(lag_row([name, &kib, &most_kib, &median, &most, &format!("{catching_up:.0}")]))
}

fn lag_row([name, kib, most_kib, milliseconds, most, catching_up]: [&str; 6]) -> String {
    format!("{name:18} {kib:>11} {most_kib:>8} {milliseconds:>12} {most:>6}  {catching_up}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_shown_for_each_transaction_and_record() {
        let cost = |server, reader, records| Cost {
            server: Duration::from_millis(server),
            reader: Duration::from_millis(reader),
            records,
            lag: Lag { behind: Vec::new(), catching_up: Duration::ZERO },
        };
        let without = [cost(200, 0, 8000), cost(400, 0, 8000)];
        let with = [cost(210, 2, 8000), cost(440, 4, 8000)];
        let columns =
            |line: &str| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>().join("|");
        assert_eq!(
            columns(&line("garbagemap", &with, &without, 1000).unwrap()),
            "garbagemap|440.0 (210.0 to 440.0)|1.100 (1.050 to 1.100)|8.0|4.00 (2.00 to 4.00)|500|1.00 (1.00 to 1.00)"
        );
        let line = line("without", &without, &without, 1000).unwrap();
        assert_eq!(columns(&line), "without|400.0 (200.0 to 400.0)|1.000 (1.000 to 1.000)|8.0");
    }

    #[test]
    fn a_lag_is_that_of_all_runs() {
        let lag = |kib: &[u64], catching_up| Lag {
            behind: kib.iter().map(|kib| (kib << 10, Duration::from_millis(kib * 2))).collect(),
            catching_up: Duration::from_millis(catching_up),
        };
        let lags = [lag(&[10, 500, 30], 7), lag(&[20, 40], 90), lag(&[], 5)];
        let line = lag_line("garbagemap", lags.iter()).unwrap();
        let columns: Vec<_> = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        assert_eq!(columns, ["garbagemap", "30", "500", "60", "1000", "7 (5 to 90)"]);
    }
}
