//! The columns of the list of tables: what they say, and how they are sorted.

use std::cmp::Ordering;

use clap::ValueEnum;
use heatmap::number::{binary, percent, short, size, size_of_blocks};

use crate::observation::{Change, Table};

/// A column, and what tables can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// Name of the table
    Name,
    /// Size of its file
    Size,
    /// Bytes of dead tuples
    DeadBytes,
    /// Share of its tuples that are dead
    DeadRatio,
    /// Number of dead tuples
    DeadTuples,
    /// Share of the dead tuples that a vacuum could remove now
    Removable,
    /// Tuples that die in a minute, over the last minutes
    Deaths,
    /// Bytes of dead tuples that came since the last look, in a minute
    Growth,
    /// Time since the last vacuum
    Vacuum,
}

impl Column {
    /// In the order in which they are shown.
    pub(super) const ALL: [Self; 9] = [
        Self::Name,
        Self::Size,
        Self::DeadBytes,
        Self::DeadRatio,
        Self::DeadTuples,
        Self::Removable,
        Self::Deaths,
        Self::Growth,
        Self::Vacuum,
    ];

    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Name => "TABLE",
            Self::Size => "SIZE",
            Self::DeadBytes => "DEAD",
            Self::DeadRatio => "DEAD%",
            Self::DeadTuples => "TUPLES",
            Self::Removable => "REMOV%",
            Self::Deaths => "DIE/MIN",
            Self::Growth => "GROW/MIN",
            Self::Vacuum => "VACUUM",
        }
    }

    /// Columns of the terminal, the mark of the sorted one included; the name takes what the others leave.
    pub(super) const fn width(self) -> u16 {
        match self {
            Self::Name => 0,
            Self::Size | Self::DeadBytes => 8,
            Self::DeadRatio => 6,
            Self::DeadTuples | Self::Removable | Self::Vacuum => 7,
            Self::Deaths => 8,
            Self::Growth => 10,
        }
    }

    /// What it says of a table; nothing where nothing is known.
    pub(super) fn text(self, table: &Table, change: &Change) -> String {
        let count = |number: Option<i64>| number.map(|number| short(number.unsigned_abs()));
        let text = match self {
            Self::Name => Some(name(table)),
            Self::Size => table.blocks.map(|blocks| size_of_blocks(blocks.unsigned_abs())),
            Self::DeadBytes => table.dead_bytes.map(|bytes| size(bytes.unsigned_abs())),
            Self::DeadRatio => table.dead_ratio().map(|ratio| percent(ratio, 1.0)),
            Self::DeadTuples => count(table.dead_tuples),
            Self::Removable => table.removable_ratio().map(|ratio| percent(ratio, 1.0)),
            Self::Deaths => table.dead_per_minute.map(|deaths| short(deaths.round() as u64)),
            Self::Growth => change.dead_bytes.get(&table.id).filter(|growth| **growth != 0.0).map(|growth| {
                let sign = if *growth < 0.0 { '-' } else { '+' };
                format!("{sign}{}", binary(growth.abs() * 60.0))
            }),
            Self::Vacuum => table.seconds_since_vacuum.map(age),
        };
        text.unwrap_or_default()
    }

    /// The order of two tables: where most is to be done comes first.
    #[allow(clippy::cast_precision_loss, reason = "for an order")]
    pub(super) fn compare(self, a: &Table, b: &Table, change: &Change) -> Ordering {
        let number = |table: &Table| match self {
            Self::Name => None,
            Self::Size => table.blocks.map(|blocks| blocks as f64),
            Self::DeadBytes => table.dead_bytes.map(|bytes| bytes as f64),
            Self::DeadRatio => table.dead_ratio(),
            Self::DeadTuples => table.dead_tuples.map(|tuples| tuples as f64),
            Self::Removable => table.removable_ratio(),
            Self::Deaths => table.dead_per_minute,
            Self::Growth => change.dead_bytes.get(&table.id).copied(),
            Self::Vacuum => table.seconds_since_vacuum,
        };
        // What is not known comes last.
        let number = |table: &Table| number(table).unwrap_or(f64::NEG_INFINITY);
        let dead_bytes = |table: &Table| if self == Self::Name { None } else { table.dead_bytes };
        let by_garbage = || dead_bytes(b).cmp(&dead_bytes(a));
        number(b).total_cmp(&number(a)).then_with(by_garbage).then_with(|| name(a).cmp(&name(b)))
    }

    /// The next one, or the one before.
    pub(super) fn neighbour(self, forward: bool) -> Self {
        let place = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        let next = if forward { place + 1 } else { place + Self::ALL.len() - 1 };
        Self::ALL.get(next % Self::ALL.len()).copied().unwrap_or(self)
    }
}

/// A table's name; of one that holds another's long values, whose.
pub(super) fn name(table: &Table) -> String {
    match &table.toast_of {
        Some(owner) => format!("{} (TOAST of {owner})", table.name),
        None => table.name.clone(),
    }
}

/// `47 s`, `12 min`, `3 h`, `5 d`.
pub(super) fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => format!("{:.0} min", (s / 60.0).floor()),
        s if s < 86_400.0 => format!("{:.0} h", (s / 3600.0).floor()),
        s => format!("{:.0} d", (s / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_take_little_room() {
        for (seconds, text) in [(0.4, "0 s"), (59.4, "59 s"), (60.0, "1 min"), (7199.0, "1 h"), (86_400.0 * 3.9, "3 d")]
        {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn unknown_numbers_come_last_and_names_decide_between_equals() {
        let table = |name: &str, dead_bytes| Table { name: name.into(), dead_bytes, ..Table::default() };
        let mut tables = [table("c", Some(1)), table("b", None), table("d", Some(7)), table("a", Some(1))];
        let change = Change::default();
        tables.sort_by(|a, b| Column::DeadBytes.compare(a, b, &change));
        assert_eq!(tables.each_ref().map(|table| table.name.as_str()), ["d", "a", "c", "b"]);
        tables.sort_by(|a, b| Column::Name.compare(a, b, &change));
        assert_eq!(tables.each_ref().map(|table| table.name.as_str()), ["a", "b", "c", "d"]);
    }

    #[test]
    fn neighbours_go_round() {
        assert_eq!(Column::Name.neighbour(false), Column::Vacuum);
        assert_eq!(Column::Vacuum.neighbour(true), Column::Name);
        assert_eq!(Column::Size.neighbour(true), Column::DeadBytes);
    }
}
