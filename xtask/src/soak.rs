//! `cargo xtask soak`.

mod seeds;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::run as run_command;
use crate::postgresql;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::Workspace;
use seeds::Seeds;

/// Longest input in bytes: two pages and a little.
const MAX_INPUT: u32 = 20_000;
/// Seconds that no input may take, though a sanitizer watches.
const SECONDS_PER_INPUT: u32 = 10;
/// Memory that no target may need and no single allocation may exceed, in megabytes; the sanitizer's own included.
const MEGABYTES: u32 = 1024;
const MEGABYTES_AT_ONCE: u32 = 8;

/// How often workers and servers are killed, how many faults of all kinds there are, one after the other, and how many
/// changes of pages with crashes between them.
const LENGTHS: [(&str, &str); 4] =
    [("WALKER_KILLS", "50"), ("WALKER_FAULTS", "100"), ("WALKER_CHANGES", "10000"), ("WALKER_ROUNDS", "20")];
/// The tests in which that happens, for nextest.
const CRASHED: &str = "binary(garbagemap_restart) and test(kill) | binary(walker_random_faults) \
    | binary(wal_random_changes) | binary(bloom_filter_recovery) | binary(hyperloglog_wal) | binary(wal_object_harness)";

/// What is no fuzz target.
const MEMORY: &str = "memory";
const CRASHES: &str = "crashes";

/// Runs what takes too long for every change: the fuzz targets, each for a while; `memory`, a garbage map of a terabyte of
/// tables; and `crashes`, servers and workers killed fifty times, a hundred faults of all kinds, and ten thousand random
/// changes of pages with crashes between them, on each major version.
///
/// Fuzzing needs a nightly toolchain (`rustup toolchain install nightly`); cargo-fuzz is built into the cache if it is missing.
/// A finding is kept below fuzz/artifacts and ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each fuzz target runs
    #[arg(long, default_value_t = 600, value_name = "N")]
    seconds: u32,
    /// Takes seeds from the segments in this directory as well
    #[arg(long, value_name = "DIR")]
    wal: Option<PathBuf>,
    /// Which: fuzz targets, memory, crashes [default: all]
    targets: Vec<String>,
}

/// `cargo xtask soak`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::load()?;
    let mut steps = Steps::default();
    let targets = targets(&workspace, &arguments.targets)?;
    let (others, targets): (Vec<_>, Vec<_>) =
        targets.into_iter().partition(|target| [MEMORY, CRASHES].contains(&target.as_str()));
    if others.iter().any(|target| target == MEMORY) {
        steps.take(MEMORY, || {
            // Each in a process of its own, whose memory it measures.
            let tests = ["run", "--release", "--package", "garbagemap", "--test", "memory"];
            let options = ["--run-ignored", "only", "--no-capture"];
            run_command(tools::nextest()?.args(tests).args(options).current_dir(workspace.root()))
        })?;
    }
    if others.iter().any(|target| target == CRASHES) {
        for major in postgresql::MAJORS {
            steps.take(format!("{CRASHES} with PostgreSQL {major}"), || {
                let mut test = Command::new(env::current_exe()?);
                test.args(["test", "--only-tests", "--pg", &major.to_string(), "--", "-E", CRASHED]);
                run_command(test.envs(LENGTHS).current_dir(workspace.root()))
            })?;
        }
    }
    if !targets.is_empty() {
        fuzz(&mut steps, &workspace, arguments, &targets)?;
    }
    eprintln!("\n{}", steps.summary());
    Ok(())
}

fn fuzz(steps: &mut Steps, workspace: &Workspace, arguments: &Arguments, targets: &[String]) -> Result<()> {
    let tools = steps.take("setup", tools::fuzz)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path)))?;
    steps.take("seeds", || {
        let mut seeds = Seeds::plant(&workspace.root().join("fuzz/corpus"))?;
        if let Some(logs) = &arguments.wal {
            eprintln!("    {} seeds from {}", seeds.take_from(logs)?, logs.display());
        }
        Ok(())
    })?;
    for target in targets {
        steps.take("fuzzing", || {
            eprintln!("    {target}, {} s", arguments.seconds);
            let mut fuzz = Command::new("rustup");
            fuzz.args(["run", "nightly", "cargo", "fuzz", "run", target, "--"]);
            fuzz.arg(format!("-max_total_time={}", arguments.seconds)).arg(format!("-max_len={MAX_INPUT}"));
            fuzz.arg(format!("-timeout={SECONDS_PER_INPUT}")).arg(format!("-rss_limit_mb={MEGABYTES}"));
            fuzz.arg(format!("-malloc_limit_mb={MEGABYTES_AT_ONCE}")).arg("-verbosity=0");
            // The variables of the cargo that runs this program name another toolchain.
            for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO")) {
                fuzz.env_remove(name);
            }
            run_command(fuzz.env_remove("RUSTUP_TOOLCHAIN").env("PATH", &path).current_dir(workspace.root()))
        })?;
    }
    Ok(())
}

/// The targets that were named, or all.
fn targets(workspace: &Workspace, named: &[String]) -> Result<Vec<String>> {
    let directory = workspace.root().join("fuzz/fuzz_targets");
    let mut all = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let file = entry?.path();
        all.extend(file.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    all.extend([MEMORY, CRASHES].map(str::to_owned));
    all.sort();
    for name in named {
        ensure!(all.contains(name), "there is nothing called {name}: choose among {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}
