//! The way of records from the log to what shows or counts them: filters, limit, waiting for more, Ctrl-C and progress.
//! Mirrors the loop in `main` of `src/bin/pg_waldump/pg_waldump.c`.

use std::ops::ControlFlow;

use anyhow::Result;
use pgwal::{Lsn, RawRecord, ReadError, Visit};

use crate::arguments::FilterArguments;
use crate::interrupt::Interrupt;
use crate::output::OutputError;
use crate::progress::Progress;
use crate::selection::{Choice, Selection};
use crate::wal_input::WalInput;

/// Once a second, so often the same place is tried again before an error there is believed: a running server may have
/// been writing to it, or may not have made the next segment yet. As often as `WALDumpOpenSegment` does.
const ATTEMPTS: u32 = 5;

/// After so much of the log, in bytes, it is looked whether the user wants an end, and how far it is.
const STRIDE: u64 = 64 * 1024;

/// Somebody who takes records that were chosen.
pub(crate) trait Visitor {
    /// Takes a record.
    ///
    /// # Errors
    /// If it cannot be decoded, or the result cannot be written.
    fn visit(&mut self, record: &RawRecord<'_>) -> Result<(), VisitError>;
}

/// What is made of the records: they are shown or counted.
pub(crate) trait Report: Visitor {
    /// One that takes a part of the records, in a thread of its own.
    type Part: Visitor + Send;
    /// How much of the log such a part takes at most, in bytes.
    const LARGEST_PART: u64;

    /// Makes such parts; `None` if all records must be taken one after another.
    fn parts(&self) -> Option<impl Fn() -> Self::Part + Sync + use<Self>>;

    /// Adds what a part has taken. Parts come in the order of their records.
    ///
    /// # Errors
    /// If the result cannot be written.
    fn join(&mut self, part: Self::Part) -> Result<()>;

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

/// Brings the records that are chosen to `report`, up to the end that was asked for, the limit, or Ctrl-C.
///
/// # Errors
/// If the log cannot be read or ends too early, or the report fails.
pub(crate) fn scan(input: &mut WalInput, filter: &FilterArguments, report: &mut impl Report) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    let progress = if filter.follow { Progress::none() } else { Progress::new(input) };
    let directory = input.directory().to_owned();
    let selection = Selection::new(filter);
    let mut scan =
        Scan { interrupt: &interrupt, progress, next_look: Lsn::INVALID, selection, visitor: report, failure: None };
    if filter.jobs > 1 && !filter.follow && scan.selection.is_stateless() && !input.skips_damage() {
        scan.read_in_parts(input, filter)?;
    }
    let mut attempts = 0;
    loop {
        let before = input.position();
        let read = input.for_each(&mut scan);
        match scan.failure.take() {
            Some(VisitError::Content(error)) => return Err(WalInput::explain_content(error, &directory)),
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
        attempts = if input.position() > before { 0 } else { attempts };
        if let Some(error) = error {
            attempts += 1;
            if attempts >= ATTEMPTS {
                return Err(error);
            }
        }
        scan.visitor.pause()?;
        interrupt.sleep();
    }
}

/// A scan at work.
struct Scan<'a, V> {
    interrupt: &'a Interrupt,
    progress: Progress,
    /// From this record on the two above are looked at again.
    next_look: Lsn,
    selection: Selection<'a>,
    visitor: &'a mut V,
    /// Why it was broken off, unless it was enough.
    failure: Option<VisitError>,
}

impl<R: Report> Scan<'_, R> {
    /// Takes what can be taken in several threads. Errors are met again by who reads on.
    fn read_in_parts(&mut self, input: &mut WalInput, filter: &FilterArguments) -> Result<()> {
        let Self { interrupt, progress, visitor: report, .. } = self;
        let Some(parts) = report.parts() else { return Ok(()) };
        let part = || Part { selection: Selection::new(filter), visitor: parts() };
        let mut outcome = Ok(());
        input.read_in_pieces(usize::from(filter.jobs), R::LARGEST_PART, part, |part, position| {
            progress.at(position);
            outcome = report.join(part.visitor);
            if outcome.is_err() || interrupt.is_requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        outcome
    }
}

/// The chosen records of a part of the log.
struct Part<'a, V> {
    selection: Selection<'a>,
    visitor: V,
}

impl<V: Visitor> Visit for Part<'_, V> {
    #[inline(always)]
    fn visit(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        match self.selection.choose(record) {
            Ok(Choice::Take) if self.visitor.visit(record).is_ok() => ControlFlow::Continue(()),
            Ok(Choice::Skip) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

impl<V: Visitor> Visit for Scan<'_, V> {
    #[inline(always)]
    fn visit(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        if record.lsn >= self.next_look {
            self.next_look = record.lsn.advanced(STRIDE);
            self.progress.at(record.lsn);
            if self.interrupt.is_requested() {
                return ControlFlow::Break(());
            }
        }
        let visited = match self.selection.choose(record) {
            Ok(Choice::Take) => self.visitor.visit(record),
            Ok(Choice::Skip) => return ControlFlow::Continue(()),
            Ok(Choice::Stop) => return ControlFlow::Break(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = visited {
            self.failure = Some(error);
            return ControlFlow::Break(());
        }
        if self.selection.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
