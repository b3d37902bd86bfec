//! The way of records from the log to what shows or counts them: filters, limit, waiting for more, Ctrl-C and progress.
//! Mirrors the loop in `main` of `src/bin/pg_waldump/pg_waldump.c`.

use std::ops::ControlFlow;

use anyhow::Result;
use pgwal::{RawRecord, ReadError};

use crate::arguments::FilterArguments;
use crate::interrupt::Interrupt;
use crate::output::OutputError;
use crate::progress::Progress;
use crate::selection::{Choice, Selection};
use crate::wal_input::WalInput;

/// Once a second, so often the same place is tried again before an error there is believed: a running server may have
/// been writing to it, or may not have made the next segment yet. As often as `WALDumpOpenSegment` does.
const ATTEMPTS: u32 = 5;

/// What shows or counts records.
pub(crate) trait Visitor {
    /// Takes a record that was chosen.
    ///
    /// # Errors
    /// If it cannot be decoded, or the result cannot be written.
    fn visit(&mut self, record: &RawRecord<'_>) -> Result<(), VisitError>;

    /// Writes what is still buffered: there will be no record for a while.
    ///
    /// # Errors
    /// If it cannot be written.
    fn pause(&mut self) -> Result<()>;
}

/// Why a record could not be shown or counted.
#[derive(Debug)]
pub(crate) enum VisitError {
    /// It does not hold what it must.
    Content(ReadError),
    /// Something else.
    Other(anyhow::Error),
}

impl From<ReadError> for VisitError {
    fn from(error: ReadError) -> Self {
        Self::Content(error)
    }
}

impl From<anyhow::Error> for VisitError {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<OutputError> for VisitError {
    fn from(error: OutputError) -> Self {
        Self::Other(error.into())
    }
}

/// Brings the records that are chosen to `visitor`, up to the end that was asked for, the limit, or Ctrl-C.
///
/// # Errors
/// If the log cannot be read or ends too early, or the visitor fails.
pub(crate) fn scan(input: &mut WalInput, filter: &FilterArguments, visitor: &mut impl Visitor) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    let mut selection = Selection::new(filter);
    let mut progress = if filter.follow { Progress::none() } else { Progress::new(input) };
    let directory = input.directory().to_owned();
    let explain = |error| WalInput::explain_content(error, &directory);
    let mut attempts = 0;
    loop {
        let mut failure = None;
        let before = input.position();
        let read = input.for_each(|record| {
            if interrupt.is_requested() {
                return ControlFlow::Break(());
            }
            progress.at(record.lsn);
            let visited = match selection.choose(record) {
                Ok(Choice::Take) => visitor.visit(record),
                Ok(Choice::Skip) => return ControlFlow::Continue(()),
                Ok(Choice::Stop) => return ControlFlow::Break(()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = visited {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            if selection.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match failure {
            Some(VisitError::Content(error)) => return Err(explain(error)),
            Some(VisitError::Other(error)) => return Err(error),
            None => {}
        }
        let error = match read {
            Ok(ControlFlow::Break(())) => return Ok(()),
            Ok(ControlFlow::Continue(())) => None,
            Err(error) => Some(error),
        };
        if !filter.follow || input.end_is_reached() {
            return error.map_or_else(|| input.check_end(), Err);
        }
        if interrupt.is_requested() {
            return Ok(());
        }
        if let Some(error) = error {
            attempts = if input.position() > before { 1 } else { attempts + 1 };
            if attempts >= ATTEMPTS {
                return Err(error);
            }
        } else {
            attempts = 0;
        }
        visitor.pause()?;
        interrupt.sleep();
    }
}
