//! `walker garbage`: the garbagemap plugin, walked over files.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use std::rc::Rc;

use anyhow::{Result, bail};
use garbagemap::{GarbageMap, RelationSummary};
use pgwal::{Lsn, Record, RelFileLocator};
use serde::Serialize;
use walker_core::{Plugin, PluginError, Walk};

use crate::arguments::{DamageArguments, Format, GarbageArguments};
use crate::output::Output;
use crate::wal_input::WalInput;

const NOTE: &str = "\
Relations that existed before the first record (complete = no) are known only as\nfar as their blocks were touched: known is the number of these.\n";

/// `walker garbage`.
pub(crate) fn run(arguments: &GarbageArguments) -> Result<()> {
    let mut output = Output::lock();
    // Counting on behind a gap would be wrong without a word: damage is not skipped.
    let input = WalInput::open(&arguments.wal, DamageArguments::default())?;
    let directory = input.directory().to_owned();
    let start = input.first().unwrap_or_default();

    let map = Rc::new(RefCell::new(GarbageMap::new()));
    let mut walk = Walk::new(input, vec![Box::new(Shared(Rc::clone(&map)))]);
    // What is known before damage is shown nevertheless: it is true for the position that is told with it.
    let outcome = walk.run().map_err(|error| WalInput::explain(error, &directory));
    if let Some(failure) = walk.take_failures().first() {
        bail!("{failure}");
    }
    let report = Report::new(start, walk.position(), map.borrow().relations());
    match arguments.format {
        Format::Text => output.write(&report.to_text())?,
        Format::Json => output.write_json(&report)?,
    }
    output.finish()?;
    outcome?;
    walk.source().check_end()
}

/// A map that is still ours after the walk.
struct Shared(Rc<RefCell<GarbageMap>>);

impl Plugin for Shared {
    fn name(&self) -> &str {
        "garbagemap"
    }

    fn startup(&mut self) -> Result<(), PluginError> {
        self.0.borrow_mut().startup()
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.0.borrow_mut().record(record)
    }
}

/// A relation and what is known of it.
#[derive(Debug, Serialize)]
struct Relation {
    tablespace: u32,
    database: u32,
    filenode: u32,
    known_blocks: u64,
    complete: bool,
    tuples: u64,
    dead_tuples: u64,
    lp_dead: u64,
    all_visible_blocks: u64,
    free_space: u64,
    inexact: Option<String>,
}

impl Relation {
    fn new((locator, summary): (RelFileLocator, RelationSummary)) -> Self {
        Self {
            tablespace: locator.tablespace.get(),
            database: locator.database.get(),
            filenode: locator.relation.get(),
            known_blocks: summary.known_blocks,
            complete: summary.complete,
            tuples: summary.tuples,
            dead_tuples: summary.dead_tuples,
            lp_dead: summary.lp_dead,
            all_visible_blocks: summary.all_visible_blocks,
            free_space: summary.free_space,
            inexact: summary.inexact,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
    fn dead_percentage(&self) -> f64 {
        if self.tuples == 0 { 0.0 } else { 100.0 * self.dead_tuples as f64 / self.tuples as f64 }
    }
}

/// All relations, those with the most dead tuples first.
#[derive(Debug, Serialize)]
struct Report {
    start: String,
    end: String,
    relations: Vec<Relation>,
}

impl Report {
    fn new(start: Lsn, end: Lsn, relations: impl Iterator<Item = (RelFileLocator, RelationSummary)>) -> Self {
        let mut relations: Vec<_> = relations.map(Relation::new).collect();
        relations.sort_by_key(|relation| {
            let Relation { tablespace, database, filenode, .. } = *relation;
            (Reverse(relation.dead_tuples), tablespace, database, filenode)
        });
        Self { start: start.to_string(), end: end.to_string(), relations }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        let (shown, unknown): (Vec<_>, Vec<_>) = self.relations.iter().partition(|relation| relation.known_blocks > 0);
        if shown.is_empty() {
            return writeln!(text, "No tuples between {} and {}.", self.start, self.end);
        }
        writeln!(text, "Dead tuples at {}, by the WAL from {} on:", self.end, self.start)?;
        let heading = "relation (T/D/R)";
        let (known, complete, dead) = ("known", "complete", "dead");
        writeln!(
            text,
            "{heading:<17} {known:>8} {complete:>8} {:>10} {dead:>10} {:>6} {:>8}  exact",
            "tuples", "dead %", "lp_dead"
        )?;
        for relation in &shown {
            let Relation { tablespace, database, filenode, known_blocks, tuples, dead_tuples, lp_dead, .. } = relation;
            let name = format!("{tablespace}/{database}/{filenode}");
            let complete = if relation.complete { "yes" } else { "no" };
            write!(text, "{name:<17} {known_blocks:>8} {complete:>8} {tuples:>10} {dead_tuples:>10} ")?;
            let exact = relation.inexact.as_ref().map_or("yes".to_owned(), |reason| format!("no: {reason}"));
            writeln!(text, "{:>6.2} {lp_dead:>8}  {exact}", relation.dead_percentage())?;
        }
        if shown.iter().any(|relation| !relation.complete) {
            text.push_str(NOTE);
        }
        if !unknown.is_empty() {
            writeln!(text, "Relations of which no block is known, and which are left out: {}.", unknown.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let relations =
            [(3, 7, 100, 5, true, None), (3, 8, 50, 10, false, Some("a checksum differs")), (0, 9, 0, 0, true, None)]
                .map(|(known_blocks, filenode, tuples, dead_tuples, complete, inexact)| {
                    let inexact = inexact.map(str::to_owned);
                    let summary =
                        RelationSummary { known_blocks, complete, tuples, dead_tuples, inexact, ..Default::default() };
                    (RelFileLocator::new(1663, 5, filenode), summary)
                });
        Report::new(Lsn::new(0x100), Lsn::new(0x200), relations.into_iter())
    }

    #[test]
    fn the_relation_with_the_most_dead_tuples_is_the_first() {
        let text = report().to_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Dead tuples at 0/200, by the WAL from 0/100 on:");
        assert!(lines[2].starts_with("1663/5/8 "), "{text}");
        assert!(lines[2].ends_with("no: a checksum differs"), "{text}");
        assert!(lines[3].contains(" yes        100          5   5.00        0  yes"), "{text}");
        assert_eq!(format!("{}\n{}\n", lines[4], lines[5]), NOTE);
        assert_eq!(lines[6], "Relations of which no block is known, and which are left out: 1.");
    }

    #[test]
    fn json_has_all_numbers() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!((&json["end"], &json["relations"][0]["filenode"]), (&"0/200".into(), &8.into()));
        assert_eq!(json["relations"][1]["inexact"], serde_json::Value::Null);
    }

    #[test]
    fn an_empty_range_says_so() {
        let report = Report::new(Lsn::new(0x100), Lsn::new(0x200), std::iter::empty());
        assert_eq!(report.to_text(), "No tuples between 0/100 and 0/200.\n");
    }
}
