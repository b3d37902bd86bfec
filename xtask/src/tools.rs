//! Tools of the Rust toolchain.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use walker_testing::cache_directory;

use crate::command::{capture, line, run_on_stderr, succeeds};
use crate::workspace::cargo;

/// What is built where the machine has no cargo-nextest of its own.
const NEXTEST: &str = "0.9.143";
const FUZZ: &str = "0.13.2";
const MDBOOK: &str = "0.5.4";

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
    let program = cache_directory()?.join("tools/bin/cargo-nextest");
    let built = nextest_of_cache(&program).and_then(|mut nextest| capture(nextest.arg("--version")));
    if !built.is_ok_and(|version| version.starts_with(&format!("cargo-nextest {NEXTEST} "))) {
        build_into_cache("cargo-nextest", NEXTEST, &[])?;
    }
    nextest_of_cache(&program)
}

/// A nightly toolchain and `cargo fuzz`. Returns the directory that the latter is in.
pub(crate) fn fuzz() -> Result<PathBuf> {
    let nightly = succeeds(Command::new("rustup").args(["run", "nightly", "rustc", "--version"]));
    ensure!(nightly, "missing: a nightly toolchain\ninstall it and try again:\n    rustup toolchain install nightly");
    let directory = cache_directory()?.join("tools/bin");
    let built = capture(Command::new(directory.join("cargo-fuzz")).args(["fuzz", "--version"]));
    if !built.is_ok_and(|version| version.trim() == format!("cargo-fuzz {FUZZ}")) {
        build_into_cache("cargo-fuzz", FUZZ, &[])?;
    }
    Ok(directory)
}

/// `mdbook`: the machine's own, if it reads our `book.toml`, or one built into the cache.
pub(crate) fn mdbook() -> Result<Command> {
    let own = capture(Command::new("mdbook").arg("--version"));
    if own.is_ok_and(|version| version.starts_with("mdbook v0.5.")) {
        return Ok(Command::new("mdbook"));
    }
    let program = cache_directory()?.join("tools/bin/mdbook");
    let built = capture(Command::new(&program).arg("--version"));
    if !built.is_ok_and(|version| version.trim() == format!("mdbook v{MDBOOK}")) {
        // Not what serves the book to a browser.
        build_into_cache("mdbook", MDBOOK, &["--no-default-features", "--features", "search"])?;
    }
    Ok(Command::new(program))
}

fn build_into_cache(name: &str, version: &str, options: &[&str]) -> Result<()> {
    let mut install = cargo()?;
    install.args(["install", name, "--locked", "--version", version, "--root"]).arg(cache_directory()?.join("tools"));
    install.args(options);
    // Only the program is kept.
    install.env_remove("CARGO_TARGET_DIR");
    eprintln!("setup: {name} is missing, building it takes some minutes: {}", line(&install));
    run_on_stderr(&mut install)
}

/// Called directly, a subcommand of cargo expects its own name as the first argument.
fn nextest_of_cache(program: &PathBuf) -> Result<Command> {
    let cargo = cargo()?;
    let mut command = Command::new(program);
    command.arg("nextest").envs(cargo.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("CARGO", cargo.get_program());
    Ok(command)
}
