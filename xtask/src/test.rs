//! `cargo xtask test`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use walker_testing::{COMMAND_VARIABLE, INSTALLATION_VARIABLE, Installation, PACKAGES_VARIABLE, temporary_directory};

use crate::apt;
use crate::command::run as run_command;
use crate::libraries;
use crate::package;
use crate::postgresql;
use crate::setup::{prepare, server_environment};
use crate::steps::Steps;
use crate::tools;
use crate::workspace::{Profile, Workspace, cargo, feature, in_ci, select};

/// With this major all tests are run.
const MAJOR: u32 = 15;

/// Tests of what runs in the server, by nextest's names of their binaries.
const IN_SERVER: &[&str] = &[
    "bloom_filter",
    "bloom_filter_recovery",
    "callbacks",
    "decoded_rows",
    "garbage_outside",
    "garbagemap",
    "garbagemap_baseline",
    "garbagemap_restart",
    "garbagemap_restore",
    "garbagemap_sql",
    "garbagemap_variants",
    "/^hyperloglog/",
    "plugin_failures",
    "plugins",
    "preflight",
    "prometheus",
    "redo_outside",
    "report",
    "serve",
    "test_custom_rmgrs",
    "top",
    "wal_faults",
    "wal_faults_redo",
    "wal_object_harness",
    "wal_random_changes",
    "/^walker_/",
];

/// The package whose programs the compiler has to refuse.
const COMPILE_FAIL: &str = "compile-fail";

/// Checks formatting, lints and documentation, builds everything and runs all tests.
///
/// The libraries that PostgreSQL loads are put into a private copy of the installed PostgreSQL, which is removed at
/// the end; the installed one is not touched. All tests run with PostgreSQL 15, and those of what runs in the server
/// with 16, 17 and 18 too. The first step that fails ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Test with this major version of PostgreSQL only, all tests
    #[arg(long, value_name = "MAJOR")]
    pg: Option<u32>,
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
    let major = arguments.pg.unwrap_or(MAJOR);
    let installation = steps.take("setup", || {
        tools::rustfmt()?;
        tools::clippy()?;
        tools::nextest()?;
        if in_ci() {
            // Elsewhere the tests of packages are skipped if they cannot be made, and those of the page without a browser.
            package::set_up()?;
            apt::provide_browser()?;
        }
        let installation = prepare(major)?;
        postgresql::provide_all()?;
        Ok(installation)
    })?;
    if !arguments.only_tests {
        check(steps, &workspace, &installation, major)?;
    }
    steps
        .take("build the command", || run_command(cargo_in(&workspace)?.args(["build", "--package", "walker-cli"])))?;
    run_tests(steps, &workspace, &installation, &arguments.filters)?;
    if major == MAJOR && arguments.filters.is_empty() {
        steps.take("misuses that do not compile", || {
            let mut cargo = cargo_in(&workspace)?;
            cargo.args(["test", "--package", COMPILE_FAIL, "--features", &feature(major), "--test", "misuse"]);
            run_command(cargo.envs(server_environment(&installation)?))
        })?;
    }
    if arguments.pg.is_none() && arguments.filters.is_empty() {
        for other in postgresql::MAJORS.into_iter().filter(|other| *other != major) {
            // What could not be provided was said.
            if let Ok(installation) = Installation::find_beside(other) {
                let in_server: Vec<_> = IN_SERVER.iter().map(|binary| format!("binary({binary})")).collect();
                run_tests(steps, &workspace, &installation, &["-E".into(), in_server.join(" | ").into()])?;
            }
        }
    }
    Ok(())
}

/// Builds the libraries for a PostgreSQL, and runs the tests with a copy of it that has them.
fn run_tests(
    steps: &mut Steps,
    workspace: &Workspace,
    installation: &Installation,
    arguments: &[OsString],
) -> Result<()> {
    let major = installation.version().major;
    eprintln!("{} at {}", installation.version(), installation.binary_directory()?.display());
    let libraries = steps.take(format!("build the libraries for PostgreSQL {major}"), || {
        libraries::build(workspace, installation, &workspace.server_packages(major), Profile::Dev)
    })?;
    let directory = temporary_directory()?;
    steps.take(format!("private copy of PostgreSQL {major}"), || {
        libraries::install_all(workspace, installation, &libraries, directory.path())
    })?;
    let packages = directory.path().join("packages");
    // Made only for the tests of packages.
    let are_wanted = arguments.is_empty() || arguments.iter().any(|word| word.to_string_lossy().contains("packages"));
    if major == MAJOR && are_wanted && package::is_possible() {
        steps.take("packages", || package::for_tests(workspace, major, &libraries, &packages))?;
    }
    steps.take(format!("tests with PostgreSQL {major}"), || {
        let mut nextest = tools::nextest()?;
        nextest
            .arg("run")
            .args(select(&workspace.plain_packages()))
            .args(arguments)
            .env(INSTALLATION_VARIABLE, directory.path())
            .env(COMMAND_VARIABLE, workspace.built(Profile::Dev).join("walker"))
            .current_dir(workspace.root());
        // Without it the tests of packages are skipped.
        if packages.is_dir() {
            nextest.env(PACKAGES_VARIABLE, &packages);
        }
        run_command(&mut nextest)
    })
}

/// What is not a test of behaviour.
fn check(steps: &mut Steps, workspace: &Workspace, installation: &Installation, major: u32) -> Result<()> {
    let (plain, server) = (&workspace.plain_packages(), &workspace.server_packages(major));
    let feature = feature(major);
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
