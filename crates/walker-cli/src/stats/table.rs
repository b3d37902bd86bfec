//! A table of counts: as text, JSON or CSV.

use std::fmt::{self, Write as _};

use anyhow::Result;
use pgwal::Lsn;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::counts::{Share, percentage};
use crate::arguments::RecordFormat;
use crate::output::Output;

/// The part of the log that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Beginning of the first record that was read.
    pub(super) start: Lsn,
    /// End of the last record that was counted; invalid if there was none.
    pub(super) end: Lsn,
}

/// What a row says of its subject, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Cell {
    Text(String),
    Number(u64),
    Missing(()),
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => number.fmt(formatter),
            Self::Missing(()) => Ok(()),
        }
    }
}

/// One subject and its share of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableRow {
    /// One for each of [`Table::fields`].
    pub(super) cells: Vec<Cell>,
    /// The same for people: one for each of [`Table::headings`].
    pub(super) labels: Vec<String>,
    pub(super) share: Share,
}

/// Rows with their sum.
#[derive(Debug)]
pub(super) struct Table {
    by: &'static str,
    span: Span,
    fields: &'static [&'static str],
    headings: &'static [&'static str],
    rows: Vec<TableRow>,
    /// How many rows are not shown, and their sum.
    pub(super) others: Option<(u64, Share)>,
    total: Share,
    /// Whether the number of images is known.
    pub(super) counts_images: bool,
}

impl Table {
    /// A table of all rows.
    pub(super) fn new(
        by: &'static str,
        span: Span,
        fields: &'static [&'static str],
        headings: &'static [&'static str],
        rows: Vec<TableRow>,
        total: Share,
    ) -> Self {
        Self { by, span, fields, headings, rows, others: None, total, counts_images: true }
    }

    /// Puts the rows with the most bytes first.
    pub(super) fn sort(&mut self) {
        self.rows.sort_by_key(|row| std::cmp::Reverse(row.share.counts.combined_size()));
    }

    /// Sorts the rows and leaves only the first `top` of them, and the sum of the others.
    pub(super) fn keep_largest(&mut self, top: u32) {
        self.sort();
        let top = usize::try_from(top).unwrap_or(usize::MAX).min(self.rows.len());
        let others = self.rows.split_off(top);
        if !others.is_empty() {
            let mut sum = Share::default();
            others.iter().for_each(|row| sum += row.share);
            self.others = Some((others.len() as u64, sum));
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn write(&self, format: RecordFormat, output: &mut Output) -> Result<()> {
        match format {
            // As pg_waldump: nothing, if there was no record.
            RecordFormat::Text if !self.span.end.is_valid() => {}
            RecordFormat::Text => output.write(&self.to_text())?,
            RecordFormat::Json => output.write_json(self)?,
            RecordFormat::Csv => output.write(&self.to_csv()?)?,
        }
        Ok(())
    }

    /// Names of the numbers.
    fn number_names(&self) -> impl Iterator<Item = &'static str> {
        let names = [("count", true), ("record_size", true), ("fpi_count", self.counts_images)];
        let names = names.into_iter().chain([("fpi_size", true), ("combined_size", true)]);
        names.filter(|(_, known)| *known).map(|(name, _)| name)
    }

    /// The numbers of a share, as [`Table::number_names`] names them.
    fn numbers(&self, share: &Share) -> impl Iterator<Item = u64> + use<> {
        let Share { counts, fpi_count } = *share;
        let fpi_count = self.counts_images.then_some(fpi_count);
        let first = [Some(counts.count), Some(counts.record_size), fpi_count];
        first.into_iter().chain([Some(counts.fpi_size), Some(counts.combined_size())]).flatten()
    }

    fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.fields.iter().copied().chain(self.number_names()))?;
        for row in &self.rows {
            let numbers = self.numbers(&row.share).map(|number| number.to_string());
            writer.write_record(row.cells.iter().map(ToString::to_string).chain(numbers))?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    fn to_text(&self) -> String {
        let heading = |name: &str| match name {
            "count" => "N",
            "record_size" => "Record size",
            "fpi_count" => "FPIs",
            "fpi_size" => "FPI size",
            _ => "Combined size",
        };
        let total = self.total.counts.combined_size();
        let numbers = |labels: Vec<String>, share: &Share| {
            let size = share.counts.combined_size();
            let share = self.numbers(share).map(|number| number.to_string());
            labels.into_iter().chain(share).chain([format!("({:.2})", percentage(size, total))]).collect::<Vec<_>>()
        };
        let named = |label: String, share: &Share| {
            let mut labels = vec![String::new(); self.headings.len()];
            labels[0] = label;
            numbers(labels, share)
        };
        let headings = self.headings.iter().copied().chain(self.number_names().map(heading)).chain(["(%)"]);
        let headings: Vec<_> = headings.map(str::to_owned).collect();
        let mut lines = vec![headings.clone(), headings.iter().map(|heading| "-".repeat(heading.len())).collect()];
        lines.extend(self.rows.iter().map(|row| numbers(row.labels.clone(), &row.share)));
        lines.extend(self.others.map(|(rows, share)| named(format!("others ({rows})"), &share)));
        lines.push(named("Total".to_owned(), &self.total));

        let Span { start, end } = self.span;
        let mut text = format!("WAL statistics between {start} and {end}:\n");
        let mut widths = vec![0; headings.len()];
        for line in &lines {
            widths.iter_mut().zip(line).for_each(|(width, field)| *width = field.len().max(*width));
        }
        for line in &lines {
            let mut row = String::new();
            for (column, (field, width)) in line.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                // Writing to a String does not fail.
                let _ = match column < self.headings.len() {
                    true => write!(row, "{gap}{field:<width$}"),
                    false => write!(row, "{gap}{field:>width$}"),
                };
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}

/// For JSON: names and numbers of a share behind the cells of its row, or behind the number of rows it is the sum of.
struct Object<'a> {
    table: &'a Table,
    cells: &'a [Cell],
    rows: Option<u64>,
    share: Share,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { table, cells, rows, share } = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(rows) = rows {
            map.serialize_entry("rows", rows)?;
        }
        table.fields.iter().zip(*cells).try_for_each(|(name, cell)| map.serialize_entry(name, cell))?;
        table
            .number_names()
            .zip(table.numbers(share))
            .try_for_each(|(name, number)| map.serialize_entry(name, &number))?;
        map.end()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = |cells, rows, share| Object { table: self, cells, rows, share };
        let rows: Vec<_> = self.rows.iter().map(|row| object(&row.cells, None, row.share)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("start", &self.span.start.to_string())?;
        map.serialize_entry("end", &self.span.end.to_string())?;
        map.serialize_entry("by", self.by)?;
        map.serialize_entry("rows", &rows)?;
        if let Some((rows, share)) = self.others {
            map.serialize_entry("others", &object(&[], Some(rows), share))?;
        }
        map.serialize_entry("total", &object(&[], None, self.total))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::counts::Counts;

    fn share(count: u64, record_size: u64, fpi_size: u64) -> Share {
        Share { counts: Counts { count, record_size, fpi_size }, fpi_count: fpi_size / 8192 }
    }

    fn sample() -> Table {
        let row = |name: &str, number, share| TableRow {
            cells: vec![Cell::Text(name.to_owned()), Cell::Number(number)],
            labels: vec![format!("{name}/{number}")],
            share,
        };
        let rows =
            vec![row("small", 1, share(3, 50, 0)), row("large", 2, share(1, 1808, 8192)), row("b", 3, share(2, 10, 0))];
        let span = Span { start: Lsn::new(0x100), end: Lsn::new(0x200) };
        Table::new("name", span, &["name", "number"], &["Name"], rows, share(6, 1868, 8192))
    }

    #[test]
    fn the_largest_rows_come_first_and_the_others_are_added_up() {
        let mut table = sample();
        table.keep_largest(1);
        let expected = "\
WAL statistics between 0/100 and 0/200:
Name        N  Record size  FPIs  FPI size  Combined size       (%)
----        -  -----------  ----  --------  -------------       ---
large/2     1         1808     1      8192          10000   (99.40)
others (2)  5           60     0         0             60    (0.60)
Total       6         1868     1      8192          10060  (100.00)
";
        assert_eq!(table.to_text(), expected);
    }

    #[test]
    fn csv_has_the_rows_and_json_the_sums_too() {
        let mut table = sample();
        table.counts_images = false;
        table.sort();
        let csv = table.to_csv().unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[..2], ["name,number,count,record_size,fpi_size,combined_size", "large,2,1,1808,8192,10000"]);
        assert_eq!(lines.len(), 4);
        table.counts_images = true;
        table.keep_largest(2);
        let json = serde_json::to_value(&table).unwrap();
        assert_eq!((&json["by"], &json["rows"][1]["name"]), (&"name".into(), &"small".into()));
        assert_eq!((&json["others"]["rows"], &json["others"]["record_size"]), (&1.into(), &10.into()));
        assert_eq!((&json["total"]["count"], &json["total"]["fpi_count"]), (&6.into(), &1.into()));
    }
}
