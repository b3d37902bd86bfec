//! `walker dump`: one line for each record, as `pg_waldump` prints it.

use anyhow::Result;
use pgwal::Record;

use crate::arguments::{DumpArguments, RecordFormat};
use crate::output::Output;
use crate::record_line::write_record;
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
    let mut writer = RecordWriter::new(arguments);
    output.write_bytes(writer.heading()?)?;
    let directory = input.directory().to_owned();
    while let Some(record) = input.next()? {
        let content = |error| WalInput::explain_content(error, &directory);
        if !selection.takes(&record).map_err(content)? {
            continue;
        }
        let record = record.decode().map_err(content)?;
        output.write_bytes(writer.line(&record)?)?;
        if selection.is_full() {
            return Ok(output.finish()?);
        }
    }
    output.finish()?;
    input.check_end()
}

/// Writes records as the arguments want them, into memory that is used again.
struct RecordWriter {
    format: RecordFormat,
    details: bool,
    quiet: bool,
    text: String,
    bytes: Vec<u8>,
}

impl RecordWriter {
    fn new(arguments: &DumpArguments) -> Self {
        let DumpArguments { format, bkp_details: details, quiet, .. } = *arguments;
        Self { format, details, quiet, text: String::new(), bytes: Vec::new() }
    }

    /// What comes before the first record.
    fn heading(&mut self) -> Result<&[u8]> {
        if self.format == RecordFormat::Csv && !self.quiet {
            write_csv_row(&mut self.bytes, RecordRow::COLUMNS)?;
        }
        Ok(&self.bytes)
    }

    /// The record.
    fn line(&mut self, record: &Record<'_>) -> Result<&[u8]> {
        self.text.clear();
        self.bytes.clear();
        match self.format {
            _ if self.quiet => {}
            RecordFormat::Text => {
                // Writing to a String does not fail.
                let _ = write_record(&mut self.text, record, self.details);
                return Ok(self.text.as_bytes());
            }
            RecordFormat::Json => RecordRow::new(record).write_json(&mut self.bytes)?,
            RecordFormat::Csv => RecordRow::new(record).write_csv(&mut self.bytes)?,
        }
        Ok(&self.bytes)
    }
}
