//! `cargo xtask soak`.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::run as run_command;
use crate::steps::Steps;
use crate::tools;
use crate::workspace::Workspace;

/// Runs what takes too long for every change: the fuzz targets, each for a while.
///
/// Needs a nightly toolchain (`rustup toolchain install nightly`); cargo-fuzz is built into the cache if it is missing.
/// A finding is kept below fuzz/artifacts and ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = 600, value_name = "N")]
    seconds: u32,
    /// Which fuzz targets [default: all]
    targets: Vec<String>,
}

/// `cargo xtask soak`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::load()?;
    let mut steps = Steps::default();
    let tools = steps.take("setup", tools::fuzz)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path)))?;
    let targets = targets(&workspace, &arguments.targets)?;
    for target in &targets {
        steps.take("fuzzing", || {
            eprintln!("    {target}, {} s", arguments.seconds);
            let mut fuzz = Command::new("rustup");
            fuzz.args(["run", "nightly", "cargo", "fuzz", "run", target, "--"]);
            fuzz.arg(format!("-max_total_time={}", arguments.seconds)).args(["-max_len=20000", "-verbosity=0"]);
            // The variables of the cargo that runs this program name another toolchain.
            for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO")) {
                fuzz.env_remove(name);
            }
            run_command(fuzz.env_remove("RUSTUP_TOOLCHAIN").env("PATH", &path).current_dir(workspace.root()))
        })?;
    }
    eprintln!("\n{}", steps.summary());
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
    all.sort();
    for name in named {
        ensure!(all.contains(name), "there is no fuzz target {name}: choose among {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}
