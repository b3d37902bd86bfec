//! Counts by resource manager and kind of record, in the table of `pg_waldump --stats`.
//!
//! Mirrors `XLogDumpDisplayStats` (`src/bin/pg_waldump/pg_waldump.c`) and `XLogRecStoreStats`
//! (`src/backend/access/transam/xlogstats.c`).

use std::fmt::{self, Write as _};
use std::sync::Arc;

use anyhow::Result;
use pgwal::{Descriptors, RawRecord, ReadError, RecordHeader, RmgrId, Version};

use super::Counter;
use super::counts::{Counts, Share, percentage};
use super::table::{Cell, Span, Table, TableRow};
use crate::arguments::RecordFormat;
use crate::custom_rmgr;
use crate::output::Output;

/// The three bits of the info byte that tell transaction records apart (`XLOG_XACT_OPMASK`).
const TRANSACTION_OPERATION: u8 = 0x70;

/// The counts by resource manager and operation.
#[derive(Debug)]
pub(super) struct Statistics {
    /// That of the records.
    version: Version,
    /// By resource manager and operation, sixteen of each: see [`place`].
    counts: Box<[Counts; 256 << 4]>,
}

/// [`Statistics`], and how they are to be shown.
#[derive(Debug)]
pub(super) struct ByRmgr {
    statistics: Statistics,
    per_record: bool,
    top: Option<u32>,
    /// Names of custom ones.
    descriptors: Arc<Descriptors>,
}

impl ByRmgr {
    pub(super) fn new(per_record: bool, top: Option<u32>, descriptors: Arc<Descriptors>) -> Self {
        Self { statistics: Statistics::new(), per_record, top, descriptors }
    }
}

impl Counter for ByRmgr {
    #[inline(always)] // There is one loop.
    fn count(&mut self, record: &RawRecord<'_>) -> Result<(), ReadError> {
        let images = record.image_len()?;
        self.statistics.add(&record.header, images);
        self.statistics.version = record.version;
        Ok(())
    }

    fn parts(&self) -> Option<impl Fn() -> Self + Sync + use<>> {
        let Self { per_record, top, ref descriptors, .. } = *self;
        let descriptors = Arc::clone(descriptors);
        Some(move || Self::new(per_record, top, Arc::clone(&descriptors)))
    }

    fn join(&mut self, later: Self) {
        self.statistics.join(&later.statistics);
    }

    fn write(self, span: Span, format: RecordFormat, output: &mut Output) -> Result<()> {
        let Self { statistics, per_record, top, descriptors } = self;
        let rows = statistics.rows(per_record, &descriptors);
        match format {
            RecordFormat::Text if top.is_none() => output.write(&statistics.to_text(&rows, span))?,
            _ => statistics.to_table(rows, per_record, top, span).write(format, output)?,
        }
        Ok(())
    }
}

/// A row: a resource manager, or one of its operations.
#[derive(Debug)]
struct Row {
    rmgr: String,
    record: Option<String>,
    counts: Counts,
}

/// Where the counts of an operation are kept.
#[inline]
fn place(rmgr: RmgrId, operation: u8) -> usize {
    usize::from(rmgr.get()) << 4 | usize::from(operation >> 4)
}

impl Statistics {
    /// No record yet.
    fn new() -> Self {
        Self { version: Version::V15, counts: Box::new([Counts::default(); 256 << 4]) }
    }

    #[inline]
    fn add(&mut self, header: &RecordHeader, images: u32) {
        let RecordHeader { rmgr, total_len, .. } = *header;
        let mut operation = header.rmgr_info();
        if rmgr == RmgrId::TRANSACTION {
            operation &= TRANSACTION_OPERATION;
        }
        let counts = &mut self.counts[place(rmgr, operation)];
        counts.count += 1;
        counts.record_size += u64::from(total_len);
        // Most have none.
        if images > 0 {
            let images = u64::from(images.min(total_len));
            counts.record_size -= images;
            counts.fpi_size += images;
        }
    }

    /// Adds the counts of records that follow.
    fn join(&mut self, later: &Self) {
        for (counts, more) in self.counts.iter_mut().zip(&later.counts[..]) {
            *counts += *more;
        }
        if later.total().count > 0 {
            self.version = later.version;
        }
    }

    fn total(&self) -> Counts {
        sum(&self.counts[..])
    }

    /// One row for each built-in resource manager and each custom one that occurred; or else one for each operation
    /// that occurred.
    fn rows(&self, per_record: bool, names: &Descriptors) -> Vec<Row> {
        let name = |rmgr| custom_rmgr::name(names, rmgr);
        if per_record {
            let operations = (0..=u8::MAX).flat_map(|rmgr| (0..16u8).map(move |kind| (RmgrId::new(rmgr), kind << 4)));
            let row = |((rmgr, operation), counts): ((RmgrId, u8), &Counts)| {
                let record = names.identify(rmgr, operation, self.version).map(ToOwned::to_owned);
                let record = record.unwrap_or_else(|| format!("UNKNOWN ({operation:x})"));
                Row { rmgr: name(rmgr), record: Some(record), counts: *counts }
            };
            return operations.zip(&self.counts[..]).filter(|(_, counts)| counts.count > 0).map(row).collect();
        }
        let of = |rmgr: RmgrId| sum(&self.counts[place(rmgr, 0)..=place(rmgr, 0xF0)]);
        let custom = (RmgrId::MIN_CUSTOM..=u8::MAX).map(RmgrId::new).filter(|rmgr| of(*rmgr).count > 0);
        RmgrId::BUILT_IN
            .iter()
            .copied()
            .chain(custom)
            .map(|rmgr| Row { rmgr: name(rmgr), record: None, counts: of(rmgr) })
            .collect()
    }

    /// The counts for programs, or with the largest rows first.
    fn to_table(&self, rows: Vec<Row>, per_record: bool, top: Option<u32>, span: Span) -> Table {
        let fields: &[&str] = if per_record { &["rmgr", "record"] } else { &["rmgr"] };
        let row = |Row { rmgr, record, counts }: Row| {
            let names = [Some(rmgr), record];
            let labels: Vec<_> = names.into_iter().flatten().collect();
            TableRow { cells: labels.iter().cloned().map(Cell::Text).collect(), labels, share: Share::of(counts) }
        };
        let rows = rows.into_iter().map(row).collect();
        let headings: &[&str] = if per_record { &["Type", "Record"] } else { &["Type"] };
        let by = if per_record { "record" } else { "rmgr" };
        let mut table = Table::new(by, span, fields, headings, rows, Share::of(self.total()));
        // Images are summed up, not counted: the blocks of a record are not looked at.
        table.counts_images = false;
        if let Some(top) = top {
            table.keep_largest(top);
        }
        table
    }

    /// The table of `pg_waldump`; nothing if there was no record.
    fn to_text(&self, rows: &[Row], span: Span) -> String {
        let mut text = String::new();
        if span.end.is_valid() {
            // Writing to a String does not fail.
            let _ = self.write_table(&mut text, rows, span);
        }
        text
    }

    fn write_table(&self, text: &mut String, rows: &[Row], Span { start, end }: Span) -> fmt::Result {
        writeln!(text, "WAL statistics between {start} and {end}:")?;
        let columns = ["N", "(%)", "Record size", "(%)", "FPI size", "(%)", "Combined size", "(%)"];
        write_heading(text, "Type", columns)?;
        write_heading(text, "----", columns.map(|column| &"-------------"[..column.len()]))?;
        let total = self.total();
        for Row { rmgr, record, counts } in rows {
            let name = record.as_ref().map_or_else(|| rmgr.clone(), |record| format!("{rmgr}/{record}"));
            write!(text, "{name:<27}")?;
            for (part, whole) in [
                (counts.count, total.count),
                (counts.record_size, total.record_size),
                (counts.fpi_size, total.fpi_size),
                (counts.combined_size(), total.combined_size()),
            ] {
                write!(text, " {part:>20} ({:>6.2})", percentage(part, whole))?;
            }
            text.push('\n');
        }
        let line = "--------";
        writeln!(text, "{:<27} {line:>20} {:>8} {line:>20} {:>8} {line:>20} {:>8} {line:>20}", "", "", "", "")?;
        // Here the percentages are those of the row, not of the column.
        let share = |part| format!("[{:.2}%]", percentage(part, total.combined_size()));
        let Counts { count, record_size, fpi_size } = total;
        write!(text, "{:<27} {count:>20} {:<9}{record_size:>20} {:<9}", "Total", "", share(record_size))?;
        writeln!(text, "{fpi_size:>20} {:<9}{:>20} [100%]", share(fpi_size), total.combined_size())
    }
}

fn sum(counts: &[Counts]) -> Counts {
    counts.iter().fold(Counts::default(), |mut sum, counts| {
        sum += *counts;
        sum
    })
}

fn write_heading(text: &mut String, first: &str, columns: [&str; 8]) -> fmt::Result {
    write!(text, "{first:<27}")?;
    for pair in columns.chunks(2) {
        write!(text, " {:>20} {:>8}", pair[0], pair[1])?;
    }
    text.push('\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwal::{Lsn, TransactionId};

    const SPAN: Span = Span { start: Lsn::new(0x100), end: Lsn::new(0x200) };

    fn header(rmgr: RmgrId, info: u8, total_len: u32) -> RecordHeader {
        RecordHeader { total_len, xid: TransactionId::INVALID, prev: Lsn::INVALID, info, rmgr, crc: 0 }
    }

    fn sample() -> Statistics {
        let mut statistics = Statistics::new();
        for (rmgr, info, length) in [
            (RmgrId::HEAP, 0x00, 60),
            (RmgrId::HEAP, 0x80, 20),
            (RmgrId::TRANSACTION, 0x80, 10),
            (RmgrId::BTREE, 0x10, 5),
            (RmgrId::new(128), 0x00, 5),
        ] {
            statistics.add(&header(rmgr, info, length), 0);
        }
        statistics
    }

    #[test]
    fn the_table_has_the_layout_of_pg_waldump() {
        let sample = sample();
        let text = sample.to_text(&sample.rows(false, &Descriptors::new()), SPAN);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3 + 22 + 1 + 2);
        assert_eq!(lines[0], "WAL statistics between 0/100 and 0/200:");
        let heading = "Type                                           N      (%)          Record size      (%)     \
                       \x20       FPI size      (%)        Combined size      (%)";
        assert_eq!(lines[1], heading);
        let heap = "Heap                                           2 ( 40.00)                   80 ( 80.00)     \
                    \x20              0 (  0.00)                   80 ( 80.00)";
        assert_eq!(lines[13], heap);
        assert!(lines[25].starts_with("custom128 "));
        let total = "Total                                          5                           100 [100.00%]     \
                     \x20             0 [0.00%]                   100 [100%]";
        assert_eq!(lines[27], total);
    }

    #[test]
    fn operations_have_rows_of_their_own() {
        let names: Vec<_> = sample()
            .rows(true, &Descriptors::new())
            .into_iter()
            .map(|row| format!("{}/{}", row.rmgr, row.record.unwrap()))
            .collect();
        let expected =
            ["Transaction/COMMIT", "Heap/INSERT", "Heap/INSERT+INIT", "Btree/INSERT_UPPER", "custom128/UNKNOWN (0)"];
        assert_eq!(names, expected);
    }

    #[test]
    fn without_records_there_is_no_table() {
        assert_eq!(Statistics::new().to_text(&[], Span { end: Lsn::INVALID, ..SPAN }), "");
    }

    #[test]
    fn json_has_the_numbers_beside_the_names() {
        let sample = sample();
        let rows = sample.rows(true, &Descriptors::new());
        let json = serde_json::to_value(sample.to_table(rows, true, None, SPAN)).unwrap();
        assert_eq!(json["rows"][1]["record"], "INSERT");
        assert_eq!(json["rows"][1]["combined_size"], 60);
        assert_eq!(json["total"]["count"], 5);
    }
}
