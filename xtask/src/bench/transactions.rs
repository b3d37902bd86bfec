//! The server's CPU time for each transaction of pgbench: without WALker, with its worker, with garbagemap, and with
//! logical decoding, which reads the same log in the same server, for comparison.
//!
//! The difference of two servers is hardly more than what the same server differs by from run to run. So the time of
//! the process that reads the log is told too, which is nearly all that WALker adds.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use walker_testing::{Cluster, Installation, Mode};

use super::log::count_records;
use super::measure::Spread;
use super::server::{DATABASE, SETTINGS, TIMEOUT, wait_until_read};
use super::server_cpu;

/// Clients of pgbench, all at once.
const CLIENTS: u32 = 4;
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
            Self::GarbageMap => "garbagemap_lsn()",
            Self::LogicalDecoding => "(SELECT max(sent_lsn) FROM pg_stat_replication)",
        }
    }
}

/// What a run cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Of all processes of the server.
    server: Duration,
    /// Of the process that reads the log.
    reader: Duration,
    records: u64,
}

pub(super) fn run(installation: &Installation, walker: &Path, transactions: u32, runs: usize) -> Result<()> {
    let per_client = (transactions / CLIENTS).max(1);
    let transactions = per_client * CLIENTS;
    let mut servers = Vec::new();
    for setup in Setup::ALL {
        if setup == Setup::LogicalDecoding && !has_test_decoding(installation)? {
            eprintln!("==> without logical decoding: this PostgreSQL has no test_decoding or no pg_recvlogical");
            continue;
        }
        let mut cluster =
            Cluster::builder(installation).settings(SETTINGS).settings(setup.settings().to_vec()).start()?;
        if setup == Setup::GarbageMap {
            cluster.psql(DATABASE, "CREATE EXTENSION garbagemap")?;
        }
        cluster.stop(Mode::Fast)?;
        servers.push(Server { setup, cluster, costs: Vec::new() });
    }
    for run in 0..=runs {
        eprintln!("==> {transactions} transactions in each of {} servers, run {run} of {runs}", servers.len());
        // Each of them is once the first, so that none has the machine as the same one left it.
        servers.rotate_left(1);
        for server in &mut servers {
            let cost = server.measure(walker, per_client).with_context(|| server.setup.name())?;
            if run > 0 {
                server.costs.push(cost);
            }
        }
    }
    servers.sort_by_key(|server| Setup::ALL.iter().position(|setup| *setup == server.setup));
    print(&servers, transactions)
}

struct Server {
    setup: Setup,
    cluster: Cluster,
    costs: Vec<Cost>,
}

impl Server {
    /// One run, on new tables.
    fn measure(&mut self, walker: &Path, per_client: u32) -> Result<Cost> {
        let Self { setup, cluster, .. } = self;
        cluster.start()?;
        cluster.pgbench(["--initialize", "--scale=10", "--quiet"])?;
        cluster.psql(DATABASE, "CHECKPOINT")?;
        let receiver = (*setup == Setup::LogicalDecoding).then(|| Receiver::start(cluster)).transpose()?;
        let start = wait_until_read(cluster, setup.position())?;
        let reader = setup.reader().map(|kind| cluster.background_workers(kind)).transpose()?;
        let reader = reader.map(|ids| ids.first().copied().context("the process that reads the log is not there"));
        let reader = reader.transpose()?;
        let cpu = || -> Result<(Duration, Duration)> {
            let of_reader = reader.map(server_cpu::of_process).transpose()?.unwrap_or_default();
            Ok((server_cpu::of_server(cluster.postmaster_id()?)?, of_reader))
        };

        let before = cpu()?;
        let transactions = format!("--transactions={per_client}");
        cluster.pgbench([&format!("--client={CLIENTS}"), &transactions, "--no-vacuum"])?;
        let end = wait_until_read(cluster, setup.position())?;
        let after = cpu()?;

        let records = count_records(walker, cluster, start, end)?;
        if let Some(receiver) = receiver {
            receiver.stop(cluster)?;
        }
        cluster.stop(Mode::Fast)?;
        let difference = |after: Duration, before| after.saturating_sub(before);
        Ok(Cost { server: difference(after.0, before.0), reader: difference(after.1, before.1), records })
    }
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

fn print(servers: &[Server], transactions: u32) -> Result<()> {
    let Some(without) = servers.iter().find(|server| server.setup == Setup::Without) else { return Ok(()) };
    println!(
        "\ntransactions: CPU of a server for each of {transactions} transactions of pgbench (TPC-B, {CLIENTS} clients);"
    );
    println!(
        "of the process that reads the log: its own, also as a share of the server without WALker, aim: under 1 %\n"
    );
    println!("{}", row(["", "server: µs", "/ without", "records", "reader: µs", "ns a record", "% of the server"]));
    for server in servers {
        println!("{}", line(server.setup.name(), &server.costs, &without.costs, transactions)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_shown_for_each_transaction_and_record() {
        let cost = |server, reader, records| Cost {
            server: Duration::from_millis(server),
            reader: Duration::from_millis(reader),
            records,
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
}
