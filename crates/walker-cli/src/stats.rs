//! `walker stats`: how many records of which kind, and how large, as `pg_waldump --stats` counts them.
//!
//! Mirrors `XLogDumpDisplayStats` (`src/bin/pg_waldump/pg_waldump.c`) and `XLogRecStoreStats`
//! (`src/backend/access/transam/xlogstats.c`).

use std::fmt::{self, Write as _};
use std::ops::AddAssign;

use anyhow::Result;
use pgwal::{Lsn, RecordHeader, RmgrId, Version};
use serde::Serialize;

use crate::arguments::{FilterArguments, Format, StatsArguments};
use crate::output::Output;
use crate::selection::{RmgrChoice, Selection, rmgr_list};
use crate::wal_input::WalInput;

/// The three bits of the info byte that tell transaction records apart (`XLOG_XACT_OPMASK`).
const TRANSACTION_OPERATION: u8 = 0x70;

/// `walker stats`.
pub(crate) fn run(arguments: &StatsArguments) -> Result<()> {
    let mut output = Output::lock();
    if arguments.filter.rmgrs.contains(&RmgrChoice::List) {
        output.write(&rmgr_list())?;
        return Ok(output.finish()?);
    }
    let mut input = WalInput::open(&arguments.wal, arguments.damage)?;
    if let (Some(skipped), Format::Text) = (input.skipped(), arguments.format) {
        output.write(&skipped)?;
    }
    let mut statistics = Statistics::new(input.first().unwrap_or_default());
    // What was counted before damage is shown nevertheless.
    let outcome = count(&mut input, &arguments.filter, &mut statistics);
    match arguments.format {
        Format::Text => output.write(&statistics.to_text(arguments.per_record))?,
        Format::Json => output.write_json(&statistics.to_report(arguments.per_record))?,
    }
    output.finish()?;
    outcome
}

/// Counts the records that are wanted, up to the end or the limit.
fn count(input: &mut WalInput, filter: &FilterArguments, statistics: &mut Statistics) -> Result<()> {
    let mut selection = Selection::new(filter);
    let directory = input.directory().to_owned();
    while let Some(record) = input.next()? {
        let content = |error| WalInput::explain_content(error, &directory);
        if selection.takes(&record).map_err(content)? {
            let images = record.image_len().map_err(content)?;
            statistics.count(&record.header, images);
            (statistics.end, statistics.version) = (record.end, record.version);
            if selection.is_full() {
                return Ok(());
            }
        }
    }
    input.check_end()
}

/// Number and size of some records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Counts {
    /// How many.
    count: u64,
    /// Bytes without images.
    record_size: u64,
    /// Bytes of images.
    fpi_size: u64,
}

impl Counts {
    fn combined_size(self) -> u64 {
        self.record_size + self.fpi_size
    }

    fn sizes(self) -> Sizes {
        Sizes { counts: self, combined_size: self.combined_size() }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.record_size += other.record_size;
        self.fpi_size += other.fpi_size;
    }
}

/// [`Counts`] with their sum, as it is shown.
#[derive(Debug, Serialize)]
struct Sizes {
    #[serde(flatten)]
    counts: Counts,
    combined_size: u64,
}

/// A row: a resource manager, or one of its operations.
#[derive(Debug, Serialize)]
struct Row {
    rmgr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(flatten)]
    sizes: Sizes,
}

impl Row {
    fn new(rmgr: RmgrId, record: Option<String>, counts: Counts) -> Self {
        Self { rmgr: rmgr.to_string(), record, sizes: counts.sizes() }
    }
}

/// What JSON shows.
#[derive(Debug, Serialize)]
struct Report {
    start: String,
    end: String,
    rows: Vec<Row>,
    total: Sizes,
}

/// The counts by resource manager and operation.
#[derive(Debug)]
struct Statistics {
    start: Lsn,
    /// End of the last record; invalid before the first.
    end: Lsn,
    version: Version,
    /// By resource manager and operation, sixteen of each: see [`place`].
    counts: Vec<Counts>,
}

/// Where the counts of an operation are kept.
#[inline]
fn place(rmgr: RmgrId, operation: u8) -> usize {
    usize::from(rmgr.get()) << 4 | usize::from(operation >> 4)
}

impl Statistics {
    fn new(start: Lsn) -> Self {
        Self { start, end: Lsn::INVALID, version: Version::V15, counts: vec![Counts::default(); 256 << 4] }
    }

    #[inline]
    fn count(&mut self, header: &RecordHeader, images: u32) {
        let RecordHeader { rmgr, total_len, .. } = *header;
        let mut operation = header.rmgr_info();
        if rmgr == RmgrId::TRANSACTION {
            operation &= TRANSACTION_OPERATION;
        }
        let record_size = u64::from(total_len.saturating_sub(images));
        self.counts[place(rmgr, operation)] += Counts { count: 1, record_size, fpi_size: u64::from(images) };
    }

    fn total(&self) -> Counts {
        sum(&self.counts)
    }

    /// One row for each built-in resource manager and each custom one that occurred; or else one for each operation
    /// that occurred.
    fn rows(&self, per_record: bool) -> Vec<Row> {
        if per_record {
            let operations = (0..=u8::MAX).flat_map(|rmgr| (0..16u8).map(move |kind| (RmgrId::new(rmgr), kind << 4)));
            let row = |((rmgr, operation), counts): ((RmgrId, u8), &Counts)| {
                Row::new(rmgr, Some(self.operation_name(rmgr, operation)), *counts)
            };
            return operations.zip(&self.counts).filter(|(_, counts)| counts.count > 0).map(row).collect();
        }
        let of = |rmgr: RmgrId| sum(&self.counts[place(rmgr, 0)..=place(rmgr, 0xF0)]);
        let custom = (RmgrId::MIN_CUSTOM..=u8::MAX).map(RmgrId::new).filter(|rmgr| of(*rmgr).count > 0);
        RmgrId::BUILT_IN.iter().copied().chain(custom).map(|rmgr| Row::new(rmgr, None, of(rmgr))).collect()
    }

    fn operation_name(&self, rmgr: RmgrId, operation: u8) -> String {
        match rmgr.identify(operation, self.version) {
            Some(name) => name.to_owned(),
            None => format!("UNKNOWN ({operation:x})"),
        }
    }

    fn to_report(&self, per_record: bool) -> Report {
        let (start, end) = (self.start.to_string(), self.end.to_string());
        Report { start, end, rows: self.rows(per_record), total: self.total().sizes() }
    }

    /// The table of `pg_waldump`; nothing if there was no record.
    fn to_text(&self, per_record: bool) -> String {
        let mut text = String::new();
        if self.end.is_valid() {
            // Writing to a String does not fail.
            let _ = self.write_table(&mut text, per_record);
        }
        text
    }

    fn write_table(&self, text: &mut String, per_record: bool) -> fmt::Result {
        writeln!(text, "WAL statistics between {} and {}:", self.start, self.end)?;
        let columns = ["N", "(%)", "Record size", "(%)", "FPI size", "(%)", "Combined size", "(%)"];
        write_heading(text, "Type", columns)?;
        write_heading(text, "----", columns.map(|column| &"-------------"[..column.len()]))?;
        let total = self.total();
        for Row { rmgr, record, sizes: Sizes { counts, combined_size } } in self.rows(per_record) {
            let name = record.map_or(rmgr.clone(), |record| format!("{rmgr}/{record}"));
            write!(text, "{name:<27}")?;
            for (part, whole) in [
                (counts.count, total.count),
                (counts.record_size, total.record_size),
                (counts.fpi_size, total.fpi_size),
                (combined_size, total.combined_size()),
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

/// Zero if there is nothing to be a part of.
#[allow(clippy::cast_precision_loss, reason = "as in PostgreSQL: the result is rounded to two digits")]
fn percentage(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
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
    use pgwal::TransactionId;

    fn header(rmgr: RmgrId, info: u8, total_len: u32) -> RecordHeader {
        RecordHeader { total_len, xid: TransactionId::INVALID, prev: Lsn::INVALID, info, rmgr, crc: 0 }
    }

    fn sample() -> Statistics {
        let mut statistics = Statistics::new(Lsn::new(0x100));
        for (rmgr, info, length) in [
            (RmgrId::HEAP, 0x00, 60),
            (RmgrId::HEAP, 0x80, 20),
            (RmgrId::TRANSACTION, 0x80, 10),
            (RmgrId::BTREE, 0x10, 5),
            (RmgrId::new(128), 0x00, 5),
        ] {
            statistics.count(&header(rmgr, info, length), 0);
        }
        statistics.end = Lsn::new(0x200);
        statistics
    }

    #[test]
    fn the_table_has_the_layout_of_pg_waldump() {
        let text = sample().to_text(false);
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
        let names: Vec<_> =
            sample().rows(true).iter().map(|row| format!("{}/{}", row.rmgr, row.record.as_ref().unwrap())).collect();
        let expected =
            ["Transaction/COMMIT", "Heap/INSERT", "Heap/INSERT+INIT", "Btree/INSERT_UPPER", "custom128/UNKNOWN (0)"];
        assert_eq!(names, expected);
    }

    #[test]
    fn without_records_there_is_no_table() {
        assert_eq!(Statistics::new(Lsn::INVALID).to_text(false), "");
    }

    #[test]
    fn json_has_the_numbers_beside_the_names() {
        let json = serde_json::to_value(sample().to_report(true)).unwrap();
        assert_eq!(json["rows"][1]["record"], "INSERT");
        assert_eq!(json["rows"][1]["combined_size"], 60);
        assert_eq!(json["total"]["count"], 5);
    }
}
