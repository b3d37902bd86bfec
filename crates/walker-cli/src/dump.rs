//! `walker dump`: one line for each record, as `pg_waldump` prints it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use pgwal::{Descriptors, RawRecord, TextBuffer};

use crate::arguments::{DumpArguments, RecordFormat};
use crate::custom_rmgr;
use crate::output::Output;
use crate::page_files::PageFiles;
use crate::record_row::{RecordRow, write_csv_row};
use crate::scan::{Report, VisitError, Visitor, scan};
use crate::selection::{RmgrChoice, rmgr_list};
use crate::stats;
use crate::time;
use crate::wal_input::WalInput;

/// `walker dump`.
pub(crate) fn run(arguments: &DumpArguments) -> Result<()> {
    let mut output = Output::lock();
    if arguments.filter.rmgrs.contains(&RmgrChoice::List) {
        output.write(&rmgr_list())?;
        return Ok(output.finish()?);
    }
    let descriptors = custom_rmgr::descriptors(&arguments.filter)?;
    let mut output = output.describing(Arc::clone(&descriptors));
    let images = arguments.save_fullpage.as_deref().map(PageFiles::create).transpose()?;
    if let Some(kind) = arguments.stats {
        let form = if arguments.quiet { None } else { Some(arguments.format) };
        return stats::run_by_rmgr(arguments, kind, form, images, output);
    }
    let mut input = WalInput::open(&arguments.wal, arguments.damage)?;
    if arguments.format == RecordFormat::Text {
        input.tell_skipped(&mut output)?;
    }
    let writer = RecordWriter::new(arguments, descriptors);
    writer.heading(output.text()?)?;
    let mut dump = Dump { output, writer, images, written: Arc::default() };
    // What was shown before damage, or before Ctrl-C, is part of the answer.
    let outcome = scan(&mut input, &arguments.filter, &mut dump);
    dump.output.finish()?;
    outcome
}

/// Shows records, and saves their images if asked to.
struct Dump {
    output: Output,
    writer: RecordWriter,
    images: Option<PageFiles>,
    /// Texts of parts that were written: their memory is used again.
    written: Arc<Mutex<Vec<TextBuffer>>>,
}

impl Visitor for Dump {
    #[inline(always)] // There is one loop.
    fn visit(&mut self, record: &RawRecord<'_>) -> Result<(), VisitError> {
        self.writer.line(record, self.output.text()?)?;
        if let Some(images) = &mut self.images {
            images.save(*record)?;
        }
        Ok(())
    }
}

impl Report for Dump {
    type Part = Lines;
    // The text is about twice as long.
    const LARGEST_PART: u64 = 1 << 20;

    fn parts(&self) -> Option<impl Fn() -> Lines + Sync + use<>> {
        let RecordWriter { format, details, quiet, ref scratch } = self.writer;
        let empty = scratch.clone();
        let written = Arc::clone(&self.written);
        let text = move || written.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let lines = move || {
            let writer = RecordWriter { format, details, quiet, scratch: empty.clone() };
            Lines { writer, text: text().unwrap_or_else(|| empty.clone()) }
        };
        self.images.is_none().then_some(lines)
    }

    fn join(&mut self, part: Lines) -> Result<()> {
        let Lines { mut text, .. } = part;
        self.output.write_bytes(text.as_bytes())?;
        text.clear();
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        Ok(self.output.flush()?)
    }
}

/// The lines of some records, not yet written.
struct Lines {
    writer: RecordWriter,
    text: TextBuffer,
}

impl Visitor for Lines {
    #[inline(always)]
    fn visit(&mut self, record: &RawRecord<'_>) -> Result<(), VisitError> {
        self.writer.line(record, &mut self.text)
    }
}

/// Writes records as the arguments want them.
struct RecordWriter {
    format: RecordFormat,
    details: bool,
    quiet: bool,
    /// For a part of a row.
    scratch: TextBuffer,
}

impl RecordWriter {
    fn new(arguments: &DumpArguments, descriptors: Arc<Descriptors>) -> Self {
        let DumpArguments { format, bkp_details: details, quiet, .. } = *arguments;
        Self { format, details, quiet, scratch: time::local_text().with_descriptors(descriptors) }
    }

    /// What comes before the first record.
    fn heading(&self, text: &mut TextBuffer) -> Result<()> {
        if self.format == RecordFormat::Csv && !self.quiet {
            write_csv_row(text, RecordRow::COLUMNS)?;
        }
        Ok(())
    }

    /// The record.
    #[inline(always)]
    fn line(&mut self, record: &RawRecord<'_>, text: &mut TextBuffer) -> Result<(), VisitError> {
        if self.format == RecordFormat::Text && !self.details && !self.quiet {
            return Ok(record.append_line(text)?);
        }
        self.rare_line(*record, text)
    }

    /// As the arguments want it. Apart from [`RecordWriter::line`], and by value: so that that takes neither memory for a
    /// row nor a record out of the registers.
    #[inline(never)]
    fn rare_line(&mut self, record: RawRecord<'_>, text: &mut TextBuffer) -> Result<(), VisitError> {
        match self.format {
            _ if self.quiet => drop(record.decode()?),
            RecordFormat::Text if self.details => record.append_line_and_blocks(text)?,
            RecordFormat::Text => record.append_line(text)?,
            RecordFormat::Json => RecordRow::new(&record.decode()?, &mut self.scratch).write_json(text)?,
            RecordFormat::Csv => RecordRow::new(&record.decode()?, &mut self.scratch).write_csv(text)?,
        }
        Ok(())
    }
}
