//! Tools of the Rust toolchain.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{capture, line, run_on_stderr, succeeds};
use crate::workspace::{cache_directory, cargo};

/// What is built where the machine has no cargo-nextest of its own.
const NEXTEST: &str = "0.9.143";

/// What generates Rust from PostgreSQL's headers formats it.
pub(crate) fn rustfmt() -> Result<()> {
    rust_component("fmt", "rustfmt")
}

pub(crate) fn clippy() -> Result<()> {
    rust_component("clippy", "clippy")
}

fn rust_component(subcommand: &str, component: &str) -> Result<()> {
    let present = succeeds(cargo()?.args([subcommand, "--version"]));
    ensure!(present, "missing: {component}\ninstall it and try again:\n    rustup component add {component}");
    Ok(())
}

/// `cargo nextest`: the machine's own, or one built into the cache.
pub(crate) fn nextest() -> Result<Command> {
    if succeeds(cargo()?.args(["nextest", "--version"])) {
        let mut command = cargo()?;
        command.arg("nextest");
        return Ok(command);
    }
    let root = cache_directory()?.join("tools");
    let program = root.join("bin/cargo-nextest");
    let built = nextest_of_cache(&program).and_then(|mut nextest| capture(nextest.arg("--version")));
    if !built.is_ok_and(|version| version.starts_with(&format!("cargo-nextest {NEXTEST} "))) {
        let mut install = cargo()?;
        install.args(["install", "cargo-nextest", "--locked", "--version", NEXTEST, "--root"]).arg(&root);
        // Only the program is kept.
        install.env_remove("CARGO_TARGET_DIR");
        eprintln!("setup: cargo-nextest is missing, building it takes some minutes: {}", line(&install));
        run_on_stderr(&mut install)?;
    }
    nextest_of_cache(&program)
}

/// Called directly, a subcommand of cargo expects its own name as the first argument.
fn nextest_of_cache(program: &PathBuf) -> Result<Command> {
    let cargo = cargo()?;
    let mut command = Command::new(program);
    command.arg("nextest").envs(cargo.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("CARGO", cargo.get_program());
    Ok(command)
}
