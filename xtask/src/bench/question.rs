//! How long it takes to say how many dead tuples a table has: garbage_summary, which tells of each range of blocks,
//! against pgstattuple and pgstattuple_approx, which read the table and tell one number.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use walker_testing::{Cluster, Installation, Session};

use super::measure::{Ratio, median, time};
use super::server::{DATABASE, SETTINGS, wait_until_read};
use super::server_cpu;

const TABLE: &str = "pgbench_accounts";
/// pgbench makes 100,000 rows of a scale, 61 of them on a block of 8 kB.
const BYTES_PER_SCALE: u32 = 100_000_u32.div_ceil(61) * 8192;

/// What is asked. All ranges are read, as a client does.
const GARBAGE_SUMMARY: &str = "SELECT count(*), sum(n_dead_tuples) FROM garbage_summary('pgbench_accounts')";
const PGSTATTUPLE: &str = "SELECT dead_tuple_count FROM pgstattuple('pgbench_accounts')";
const PGSTATTUPLE_APPROX: &str = "SELECT dead_tuple_count FROM pgstattuple_approx('pgbench_accounts')";

/// Where garbage is.
const STATES: [(&str, &str); 2] = [
    (
        "a tenth of the blocks changed since VACUUM",
        "UPDATE pgbench_accounts SET abalance = 1 WHERE (aid - 1) / 61 % 10 = 0 AND aid % 10 = 0",
    ),
    ("all blocks changed since VACUUM", "UPDATE pgbench_accounts SET abalance = 2 WHERE aid % 20 = 0"),
];

pub(super) fn run(installation: &Installation, megabytes: u32, runs: usize) -> Result<()> {
    eprintln!("==> making a table of {megabytes} MB");
    let cluster = Cluster::builder(installation)
        .settings(SETTINGS)
        .settings([
            ("shared_preload_libraries", "walker"),
            ("walker.plugins", "garbagemap"),
            ("synchronous_commit", "off"),
            ("wal_keep_size", "0"),
        ])
        .start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION garbagemap; CREATE EXTENSION pgstattuple")?;
    // The worker sees the table being filled, so that it knows all blocks.
    let scale = format!("--scale={}", scale(megabytes));
    cluster.pgbench(["--initialize", "--init-steps=dtgv", &scale, "--quiet"])?;
    for (description, update) in STATES {
        cluster.psql(DATABASE, update)?;
        wait_until_read(&cluster, "garbagemap_lsn()")?;
        let table = check_equal(&cluster)?;
        println!("\nquestion: dead tuples of {table}; {description}");
        measure(&cluster, runs)?;
    }
    Ok(())
}

/// For a table of about that size.
const fn scale(megabytes: u32) -> u64 {
    let scale = (megabytes as u64 * 1_000_000).div_ceil(BYTES_PER_SCALE as u64);
    if scale == 0 { 1 } else { scale }
}

/// All blocks must be known and the number be that of pgstattuple, or the times say nothing. Returns what the table is.
fn check_equal(cluster: &Cluster) -> Result<String> {
    let query = format!(
        "SELECT count(*), sum(n_blocks), sum(known_blocks), sum(n_dead_tuples), coalesce(max(inexact), ''),
                (SELECT dead_tuple_count FROM pgstattuple('{TABLE}'))
         FROM garbage_summary('{TABLE}')"
    );
    let answer = cluster.at_a_quiet_moment(DATABASE, |session, _| session.execute(&query))?;
    let columns: Vec<_> = answer.split('|').collect();
    let [ranges, blocks, known, dead, inexact, by_pgstattuple] = columns[..] else {
        anyhow::bail!("not six columns: {answer}")
    };
    ensure!(known == blocks && inexact.is_empty(), "of {blocks} blocks {known} are known ({inexact})");
    ensure!(dead == by_pgstattuple, "{dead} dead tuples by garbage_summary, {by_pgstattuple} by pgstattuple");
    let bytes = blocks.parse::<u64>().context("no number of blocks")? * 8192;
    Ok(format!("{} MB in {ranges} ranges, {dead} dead", bytes / 1_000_000))
}

/// Asks in turn, once without counting and then `runs` times.
fn measure(cluster: &Cluster, runs: usize) -> Result<()> {
    let worker = cluster.background_workers("walker")?;
    let mut session = cluster.session(DATABASE)?;
    let processes: Vec<u32> = worker.into_iter().chain([session.backend_id()]).collect();
    let peers = [("pgstattuple", PGSTATTUPLE), ("pgstattuple_approx", PGSTATTUPLE_APPROX)];
    let mut rounds = Vec::new();
    for run in 0..=runs {
        let round = [GARBAGE_SUMMARY, PGSTATTUPLE, PGSTATTUPLE_APPROX].map(|sql| ask(&mut session, &processes, sql));
        let [ours, exact, approximate] = round;
        if run > 0 {
            rounds.push((ours?, [exact?, approximate?]));
        }
    }
    let ours = |of: fn(&Cost) -> Duration| median(rounds.iter().map(|(ours, _)| of(ours)));
    println!("    garbage_summary: {}, CPU {}", time(ours(|cost| cost.elapsed)?), time(ours(|cost| cost.cpu)?));
    for (number, (peer, _)) in peers.iter().enumerate() {
        let against = |of: fn(&Cost) -> Duration| {
            Ratio::of(&rounds.iter().map(|(ours, peers)| [of(&peers[number]), of(ours)]).collect::<Vec<_>>())
        };
        println!("    {peer} / garbage_summary: {}", against(|cost| cost.elapsed)?);
        println!("    {peer} / garbage_summary, CPU: {}", against(|cost| cost.cpu)?);
    }
    Ok(())
}

struct Cost {
    elapsed: Duration,
    /// Of the backend and the worker.
    cpu: Duration,
}

fn ask(session: &mut Session, processes: &[u32], sql: &str) -> Result<Cost> {
    let cpu = || processes.iter().map(|id| server_cpu::of_process(*id)).sum::<Result<Duration>>();
    let (before, begun) = (cpu()?, Instant::now());
    session.execute(sql)?;
    let elapsed = begun.elapsed();
    Ok(Cost { elapsed, cpu: cpu()?.saturating_sub(before) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_gives_at_least_that_size() {
        // 125 * 1640 blocks = 1.68 GB.
        assert_eq!((scale(1600), scale(1), scale(160)), (120, 1, 12));
        for megabytes in [20, 160, 1600] {
            assert!(scale(megabytes) * u64::from(BYTES_PER_SCALE) >= u64::from(megabytes) * 1_000_000);
        }
    }
}
