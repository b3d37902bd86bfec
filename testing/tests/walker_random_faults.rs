//! One fault after the other, in random order and under load: everything is told once and in order, and the garbage map is right.

mod fault;

use std::env;

use anyhow::{Context as _, Result, ensure};
use fault::{DATABASE, Load, RUNS, TIMEOUT, prepare_with, start, wait_for_wal};
use walker_testing::{Cluster, Mode, Signal, WalCopy, assert_all_told, assert_garbage_equal, record_checksum_cluster};

/// So many faults; more by the variable, for long runs.
fn faults() -> u32 {
    env::var("WALKER_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

/// Which ones; others by the variable.
fn seed() -> u64 {
    env::var("WALKER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Checkpoint,
    SwitchWal,
    PluginFails,
    PluginsChange(&'static str),
    WorkerStops,
    WorkerIsTerminated,
    WorkerIsKilled,
    PostmasterIsKilled,
    ServerIsStopped(Mode),
    ServerIsPromoted,
}

const FAULTS: [Fault; 16] = [
    Fault::Checkpoint,
    Fault::Checkpoint,
    Fault::SwitchWal,
    Fault::PluginFails,
    Fault::PluginFails,
    Fault::PluginFails,
    Fault::PluginsChange("garbagemap"),
    Fault::PluginsChange("garbagemap, record_checksum"),
    Fault::PluginsChange("record_checksum"),
    Fault::WorkerStops,
    Fault::WorkerIsTerminated,
    Fault::WorkerIsKilled,
    Fault::PostmasterIsKilled,
    Fault::ServerIsStopped(Mode::Immediate),
    Fault::ServerIsStopped(Mode::Fast),
    Fault::ServerIsPromoted,
];

const BOTH: &str = "record_checksum, garbagemap";

/// Lets it happen, with a load before and mostly beside it. When it is done the server accepts connections.
fn happen(cluster: &mut Cluster, fault: Fault, random: &mut Random) -> Result<()> {
    let load = Load::start(cluster)?;
    wait_for_wal(cluster, random.below(1 << 20))?;
    let mark = cluster.log_mark()?;
    match fault {
        Fault::Checkpoint => drop(cluster.psql(DATABASE, "CHECKPOINT")?),
        Fault::SwitchWal => drop(cluster.psql(DATABASE, "SELECT pg_switch_wal()")?),
        Fault::PluginFails => {
            // It may be waiting to be tried again, or not be there.
            let _ = cluster.psql(DATABASE, "SELECT walker_ask('record_checksum', 'fail')");
        }
        Fault::PluginsChange(plugins) => {
            cluster.configure([("walker.plugins", plugins)])?;
            cluster.reload()?;
            wait_for_wal(cluster, random.below(1 << 20))?;
            if random.below(2) == 0 {
                cluster.psql(DATABASE, "CHECKPOINT")?;
            }
            cluster.configure([("walker.plugins", BOTH)])?;
            cluster.reload()?;
        }
        Fault::WorkerStops => {
            // It may be about to be started.
            if let Ok(stopped) = cluster.stop_worker() {
                wait_for_wal(cluster, random.below(4 << 20))?;
                drop(stopped);
            }
        }
        Fault::WorkerIsTerminated => drop(cluster.kill_background_worker("walker", Signal::TERM)),
        Fault::WorkerIsKilled => {
            if cluster.kill_background_worker("walker", Signal::KILL).is_ok() {
                cluster.wait_for_log_since(mark, "was terminated by signal 9", TIMEOUT)?;
                cluster.wait_until_accepting(TIMEOUT)?;
            }
        }
        Fault::PostmasterIsKilled => {
            cluster.crash()?;
            cluster.start()?;
        }
        Fault::ServerIsStopped(mode) => cluster.restart(mode)?,
        Fault::ServerIsPromoted => {
            cluster.stop(if random.below(2) == 0 { Mode::Fast } else { Mode::Immediate })?;
            cluster.signal_file("standby.signal")?;
            if random.below(2) == 0 {
                // The worker sees the end of recovery.
                start(cluster)?;
            } else {
                cluster.start()?;
            }
            cluster.promote()?;
        }
    }
    drop(load);
    Ok(())
}

fn compare(cluster: &Cluster, wal: &WalCopy) -> Result<()> {
    let told = assert_all_told(cluster, wal)?;
    ensure!(told.ranges.len() == 1, "{told}");
    for plugin in ["record_checksum", "garbagemap"] {
        cluster.wait_for_plugin_row(plugin, RUNS)?;
    }
    assert_garbage_equal(cluster)?;
    let log = cluster.log()?;
    ensure!(!log.contains("begins anew") && !log.contains("begin anew"), "{log}");
    Ok(())
}

#[test]
fn one_after_the_other_they_lose_nothing() -> Result<()> {
    let mut random = Random(seed());
    let builder = record_checksum_cluster()?.settings([
        ("walker.retry_interval", "50ms"),
        ("walker.max_failures", "1000"),
        ("wal_keep_size", "8GB"),
    ]);
    let (mut cluster, wal) = prepare_with(builder)?;
    let mut happened = Vec::new();
    for number in 1..=faults() {
        let fault = FAULTS[random.below(FAULTS.len() as u64) as usize];
        happened.push(fault);
        happen(&mut cluster, fault, &mut random).with_context(|| format!("{happened:?}"))?;
        if number % 5 == 0 {
            compare(&cluster, &wal).with_context(|| format!("{happened:?}"))?;
        }
    }
    compare(&cluster, &wal).with_context(|| format!("{happened:?}"))
}
