//! The `walker` command: PostgreSQL's write-ahead log told, counted, walked, and its garbage drawn.
#![forbid(unsafe_code)]

mod arguments;
#[cfg(test)]
mod book;
mod completion;
mod connection;
mod custom_rmgr;
mod dump;
mod exit;
mod extension;
mod garbage;
mod heatmap;
mod interrupt;
mod manual_pages;
mod observation;
mod origin;
mod output;
mod output_file;
mod page_files;
mod preflight;
mod progress;
mod record_row;
mod report;
mod scan;
mod segment_range;
mod selection;
mod serve;
mod stats;
mod summary;
mod terminal;
mod time;
mod top;
mod wal_input;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser as _;
use exit::Exit;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return exit::refuse(answer),
    };
    let outcome = match &arguments.command {
        Command::Dump(arguments) => done(dump::run(arguments)),
        Command::Stats(arguments) => done(stats::run(arguments)),
        Command::Garbage(arguments) => done(garbage::run(arguments)),
        Command::Heatmap(arguments) => done(heatmap::run(arguments)),
        Command::Report(arguments) => done(report::run(arguments)),
        Command::Preflight(arguments) => preflight::run(arguments),
        Command::Top(arguments) => done(top::run(arguments)),
        Command::Serve(arguments) => done(serve::run(arguments)),
        Command::Completion(arguments) => done(completion::run(arguments)),
        Command::ManualPages(arguments) => done(manual_pages::run(arguments)),
    };
    exit::finish(outcome)
}

/// What ends without an error was done.
fn done(outcome: anyhow::Result<()>) -> anyhow::Result<Exit> {
    outcome.map(|()| Exit::Success)
}
