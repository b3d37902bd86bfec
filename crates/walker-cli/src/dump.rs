//! `walker dump`: one line for each record, as `pg_waldump` prints it.

use anyhow::{Error, Result};
use pgwal::{RawRecord, ReadError, TextBuffer};

use crate::arguments::{DumpArguments, RecordFormat};
use crate::output::Output;
use crate::record_row::{RecordRow, write_csv_row};
use crate::selection::{RmgrChoice, Selection, rmgr_list};
use crate::wal_input::WalInput;

/// `walker dump`.
pub(crate) fn run(arguments: &DumpArguments) -> Result<()> {
    let mut output = Output::lock();
    if arguments.filter.rmgrs.contains(&RmgrChoice::List) {
        output.write(&rmgr_list())?;
        return Ok(output.finish()?);
    }
    let mut input = WalInput::open(&arguments.wal, arguments.damage)?;
    let for_people = arguments.format == RecordFormat::Text && !arguments.quiet;
    if let Some(skipped) = input.skipped().filter(|_| for_people) {
        output.write(&skipped)?;
    }
    let mut selection = Selection::new(&arguments.filter);
    let writer = RecordWriter::new(arguments);
    writer.heading(output.text()?)?;
    let directory = input.directory().to_owned();
    while let Some(record) = input.next()? {
        let content = |error| WalInput::explain_content(error, &directory);
        if !selection.takes(&record).map_err(content)? {
            continue;
        }
        writer.line(&record, output.text()?, content)?;
        if selection.is_full() {
            return Ok(output.finish()?);
        }
    }
    output.finish()?;
    input.check_end()
}

/// Writes records as the arguments want them.
struct RecordWriter {
    format: RecordFormat,
    details: bool,
    quiet: bool,
}

impl RecordWriter {
    const fn new(arguments: &DumpArguments) -> Self {
        let DumpArguments { format, bkp_details: details, quiet, .. } = *arguments;
        Self { format, details, quiet }
    }

    /// What comes before the first record.
    fn heading(&self, text: &mut TextBuffer) -> Result<()> {
        if self.format == RecordFormat::Csv && !self.quiet {
            write_csv_row(text, RecordRow::COLUMNS)?;
        }
        Ok(())
    }

    /// The record. `content` explains what is wrong inside of it.
    fn line(&self, record: &RawRecord<'_>, text: &mut TextBuffer, content: impl Fn(ReadError) -> Error) -> Result<()> {
        match self.format {
            _ if self.quiet => record.decode().map(|_| ()).map_err(content),
            RecordFormat::Text if self.details => record.append_line_and_blocks(text).map_err(content),
            RecordFormat::Text => record.append_line(text).map_err(content),
            RecordFormat::Json => RecordRow::new(&record.decode().map_err(content)?).write_json(text),
            RecordFormat::Csv => RecordRow::new(&record.decode().map_err(content)?).write_csv(text),
        }
    }
}
