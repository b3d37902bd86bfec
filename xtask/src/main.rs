//! `cargo xtask`: WALker's development commands.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod apt;
mod bench;
mod book;
mod command;
mod comparison;
mod demo;
mod install;
mod libraries;
mod load;
mod package;
mod pictures;
mod postgresql;
mod setup;
mod soak;
mod steps;
mod test;
mod tools;
mod workspace;

/// WALker's development commands.
///
/// Each of them first sets up what it needs and the machine lacks, and says so: on Debian, as root, it installs
/// packages with apt-get; elsewhere it names the packages and stops. PostgreSQL 16, 17 and 18 are kept in the cache, by
/// default ~/.cache/walker.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
enum Command {
    // Their help is at their arguments.
    Test(test::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Install(install::Arguments),
    Package(package::Arguments),
    Setup(setup::Arguments),
    Soak(soak::Arguments),
    Book(book::Arguments),
    Pictures(pictures::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Test(arguments) => test::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Install(arguments) => install::run(&arguments),
        Command::Package(arguments) => package::run(&arguments),
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Book(arguments) => book::run(&arguments),
        Command::Pictures(arguments) => pictures::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
