//! The `walker` command: PostgreSQL's write-ahead log told, counted, walked, and its garbage drawn.
#![forbid(unsafe_code)]

mod arguments;
mod connection;
mod custom_rmgr;
mod dump;
mod exit;
mod garbage;
mod heatmap;
mod interrupt;
mod output;
mod page_files;
mod progress;
mod record_row;
mod scan;
mod segment_range;
mod selection;
mod stats;
mod summary;
mod terminal;
mod time;
mod wal_input;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return exit::refuse(&answer),
    };
    let outcome = match &arguments.command {
        Command::Dump(arguments) => dump::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
        Command::Garbage(arguments) => garbage::run(arguments),
        Command::Heatmap(arguments) => heatmap::run(arguments),
    };
    exit::finish(outcome)
}
