//! `cargo xtask test`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use walker_testing::{COMMAND_VARIABLE, INSTALLATION_VARIABLE, Installation, temporary_directory};

use crate::command::run as run_command;
use crate::libraries;
use crate::postgresql;
use crate::setup::{prepare, server_environment};
use crate::steps::Steps;
use crate::tools;
use crate::workspace::{Package, Profile, Workspace, cargo, feature, select};

/// Checks formatting, lints and documentation, builds everything and runs all tests.
///
/// The libraries that PostgreSQL loads are put into a private copy of the installed PostgreSQL, which is removed at
/// the end; the installed one is not touched. The first step that fails ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Major version of PostgreSQL to build for and to test in
    #[arg(long, default_value_t = 15, value_name = "MAJOR")]
    pg: u32,
    /// Go straight to building and testing, without formatting, lints and documentation
    #[arg(long)]
    only_tests: bool,
    /// Which tests to run: parts of their names, or after `--` any arguments of `cargo nextest run`
    #[arg(value_name = "NEXTEST FILTER")]
    filters: Vec<OsString>,
}

/// `cargo xtask test`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = Steps::default();
    let outcome = take(&mut steps, arguments);
    eprintln!("\n{}", steps.summary());
    outcome
}

fn take(steps: &mut Steps, arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::load()?;
    let (installation, nextest) = steps.take("setup", || {
        tools::rustfmt()?;
        tools::clippy()?;
        let installation = prepare(arguments.pg)?;
        postgresql::provide_all()?;
        Ok((installation, tools::nextest()?))
    })?;
    eprintln!("{} at {}", installation.version(), installation.binary_directory()?.display());
    let plain = workspace.plain_packages();
    let server = workspace.server_packages(arguments.pg);
    if !arguments.only_tests {
        check(steps, &workspace, &installation, &plain, &server)?;
    }
    let libraries = steps.take("build the libraries for PostgreSQL", || {
        libraries::build(&workspace, &installation, &server, Profile::Dev)
    })?;
    steps
        .take("build the command", || run_command(cargo_in(&workspace)?.args(["build", "--package", "walker-cli"])))?;
    let directory = temporary_directory()?;
    steps.take("private copy of PostgreSQL", || {
        libraries::install_all(&workspace, &installation, &libraries, directory.path())
    })?;
    steps.take("tests", || {
        let mut nextest = nextest;
        nextest
            .arg("run")
            .args(select(&plain))
            .args(&arguments.filters)
            .env(INSTALLATION_VARIABLE, directory.path())
            .env(COMMAND_VARIABLE, workspace.built(Profile::Dev).join("walker"))
            .current_dir(workspace.root());
        run_command(&mut nextest)
    })
}

/// What is not a test of behaviour.
fn check(
    steps: &mut Steps,
    workspace: &Workspace,
    installation: &Installation,
    plain: &[&Package],
    server: &[&Package],
) -> Result<()> {
    let feature = feature(installation.version().major);
    // Built for PostgreSQL, with the same arguments for each of cargo's commands.
    let for_server = |command: &str| -> Result<Command> {
        let mut cargo = cargo_in(workspace)?;
        cargo.arg(command).args(select(server)).args(["--features", &feature]).envs(server_environment(installation)?);
        Ok(cargo)
    };
    let for_plain = |command: &str| -> Result<Command> {
        let mut cargo = cargo_in(workspace)?;
        cargo.arg(command).args(select(plain));
        Ok(cargo)
    };
    let clippy = ["--all-targets", "--", "-D", "warnings"];
    let documentation = |mut cargo: Command| run_command(cargo.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"));
    steps.take("formatting", || run_command(cargo_in(workspace)?.args(["fmt", "--all", "--check"])))?;
    steps.take("clippy", || run_command(for_plain("clippy")?.args(clippy)))?;
    steps.take("clippy for PostgreSQL", || run_command(for_server("clippy")?.args(clippy)))?;
    steps.take("documentation", || documentation(for_plain("doc")?))?;
    steps.take("documentation for PostgreSQL", || documentation(for_server("doc")?))?;
    steps.take("examples in the documentation", || run_command(for_plain("test")?.arg("--doc")))
}

fn cargo_in(workspace: &Workspace) -> Result<Command> {
    let mut cargo = cargo()?;
    cargo.current_dir(workspace.root());
    Ok(cargo)
}
