//! `walker report`: a page on the garbage of a database, each figure with the query that gives it.
//!
//! What the server says is in `figures` and `blocker`, what follows from it in `gain` and `autovacuum`, which ask nobody;
//! `contents` puts that into words, and `page` and `text` write the same words in two forms.

mod autovacuum;
mod blocker;
mod contents;
mod figures;
mod gain;
mod page;
mod settings;
mod text;

use anyhow::Result;
use clap::ValueEnum;

use crate::arguments::ReportArguments;
use crate::connection;
use crate::output_file;
use crate::summary;
use contents::Contents;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A page that asks for nothing
    Html,
    /// Lines to read
    Text,
    /// JSON for programs
    Json,
}

/// `walker report`.
pub(crate) fn run(arguments: &ReportArguments) -> Result<()> {
    let file = arguments.output.as_deref();
    let format = output_file::format(arguments.format, file, ReportFormat::Text)?;
    let mut client = connection::connect(&arguments.connection)?;
    // Functions are PostgreSQL's own, whatever somebody has put into another schema.
    client.batch_execute("SET search_path = pg_catalog, pg_temp").map_err(summary::explain)?;
    let rule = autovacuum::Rule::new(arguments.share);
    let contents = Contents::read(&mut client, arguments.limit as usize, &rule)?;
    let content = match format {
        ReportFormat::Html => page::write(&contents)?,
        ReportFormat::Text => text::write(&contents),
        ReportFormat::Json => serde_json::to_string_pretty(&contents)? + "\n",
    };
    let what = format!("report on database {}", contents.database);
    output_file::write(file, content.as_bytes(), false, &what)
}
