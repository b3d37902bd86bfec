//! `walker stats`: how many records, and how large, as `pg_waldump --stats` counts them, or by what they change.

mod counts;
mod place;
mod rmgr;
mod table;
mod transaction;

use anyhow::{Result, bail};
use pgwal::{Lsn, RawRecord, ReadError};

use crate::arguments::{
    DamageArguments, DumpArguments, FilterArguments, RecordFormat, StatsArguments, StatsBy, StatsKind, WalArguments,
};
use crate::custom_rmgr;
use crate::output::Output;
use crate::page_files::PageFiles;
use crate::scan::{Report, VisitError, Visitor, scan};
use crate::selection::{RmgrChoice, rmgr_list};
use crate::wal_input::WalInput;
use place::{Detail, Places};
use rmgr::ByRmgr;
use table::Span;
use transaction::Transactions;

/// Blocks in a range if nothing else is said: as `pages_per_range` of BRIN.
const BLOCKS_PER_RANGE: u32 = 128;

/// `walker stats`.
pub(crate) fn run(arguments: &StatsArguments) -> Result<()> {
    let StatsArguments { wal, damage, filter, top, format, blocks_per_range, .. } = arguments;
    let range = (wal, *damage, filter);
    let mut output = Output::lock();
    if filter.rmgrs.contains(&RmgrChoice::List) {
        output.write(&rmgr_list())?;
        return Ok(output.finish()?);
    }
    let by = if arguments.per_record { StatsBy::Record } else { arguments.by };
    if blocks_per_range.is_some() && by != StatsBy::BlockRange {
        bail!("option --blocks-per-range requires option --by block-range to be specified");
    }
    let detail = match by {
        StatsBy::Rmgr | StatsBy::Record => {
            let per_record = by == StatsBy::Record;
            let counter = ByRmgr::new(per_record, *top, custom_rmgr::descriptors(filter)?);
            return count(range, counter, None, Some(*format), output);
        }
        StatsBy::Transaction => {
            return count(range, Transactions::new(*top), None, Some(*format), output);
        }
        StatsBy::Relation => Detail::Relation,
        StatsBy::Fork => Detail::Fork,
        StatsBy::BlockRange => Detail::BlockRange(blocks_per_range.unwrap_or(BLOCKS_PER_RANGE)),
    };
    count(range, Places::new(detail, *top), None, Some(*format), output)
}

/// `walker dump --stats`; without a `format` nothing is shown.
pub(crate) fn run_by_rmgr(
    arguments: &DumpArguments,
    kind: StatsKind,
    format: Option<RecordFormat>,
    images: Option<PageFiles>,
    output: Output,
) -> Result<()> {
    let per_record = kind == StatsKind::Record;
    let counter = ByRmgr::new(per_record, None, custom_rmgr::descriptors(&arguments.filter)?);
    let DumpArguments { wal, damage, filter, .. } = arguments;
    count((wal, *damage, filter), counter, images, format, output)
}

/// Counts the records that are wanted, and shows the result.
fn count<C: Counter>(
    (wal, damage, filter): (&WalArguments, DamageArguments, &FilterArguments),
    counter: C,
    images: Option<PageFiles>,
    format: Option<RecordFormat>,
    mut output: Output,
) -> Result<()> {
    let mut input = WalInput::open(wal, damage)?;
    if matches!(format, None | Some(RecordFormat::Text)) {
        input.tell_skipped(&mut output)?;
    }
    let span = Span { start: input.first().unwrap_or_default(), end: Lsn::INVALID };
    let mut counting = Counting { counter, span, images };
    // What was counted before damage is shown nevertheless.
    let outcome = scan(&mut input, filter, &mut counting);
    if let Some(format) = format {
        counting.counter.write(counting.span, format, &mut output)?;
    }
    output.finish()?;
    outcome
}

/// Counts by something.
trait Counter: Send + Sized {
    /// Counts one record.
    ///
    /// # Errors
    /// If its content matters and cannot be decoded.
    fn count(&mut self, record: &RawRecord<'_>) -> Result<(), ReadError>;

    /// Makes others that count parts of the log; `None` if records must be counted one after another.
    fn parts(&self) -> Option<impl Fn() -> Self + Sync + use<Self>>;

    /// Adds what another one has counted of the records that follow.
    fn join(&mut self, later: Self);

    /// Shows what was counted.
    ///
    /// # Errors
    /// If it cannot be written.
    fn write(self, span: Span, format: RecordFormat, output: &mut Output) -> Result<()>;
}

/// A [`Counter`] at work.
struct Counting<C> {
    counter: C,
    span: Span,
    images: Option<PageFiles>,
}

impl<C: Counter> Visitor for Counting<C> {
    #[inline(always)] // There is one loop.
    fn visit(&mut self, record: &RawRecord<'_>) -> Result<(), VisitError> {
        self.counter.count(record)?;
        self.span.end = record.end;
        if let Some(images) = &mut self.images {
            images.save(*record)?;
        }
        Ok(())
    }
}

impl<C: Counter> Report for Counting<C> {
    type Part = Self;
    // Counts of much take no more memory than counts of little, and there are fewer to add up.
    const LARGEST_PART: u64 = 16 << 20;

    fn parts(&self) -> Option<impl Fn() -> Self + Sync + use<C>> {
        let span = self.span;
        let parts = self.counter.parts().filter(|_| self.images.is_none());
        parts.map(|part| move || Self { counter: part(), span, images: None })
    }

    fn join(&mut self, part: Self) -> Result<()> {
        self.counter.join(part.counter);
        self.span.end = self.span.end.max(part.span.end);
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        Ok(())
    }
}
