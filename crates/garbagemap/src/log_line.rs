//! What a log says of a table: dead tuples of each range of blocks, in one line.

use std::fmt::Write as _;

use pgwal::RelFileLocator;

use crate::question::RangeSummary;

/// `(1663,5,16384) garbagemap (0:13, 1248, 7232, ?, 0:1008)`: tablespace, database and file number, then the dead tuples of each
/// range, with how many ranges follow each other that have the same. A range of which no block is known has a question
/// mark, one of which not all are known a plus sign.
pub(crate) fn log_line(locator: RelFileLocator, ranges: &[RangeSummary]) -> String {
    let RelFileLocator { tablespace, database, relation } = locator;
    let mut line = format!("({tablespace},{database},{relation}) garbagemap (");
    let texts = ranges.iter().map(|range| match range.known_blocks {
        0 if range.blocks > 0 => "?".to_owned(),
        known if known < range.blocks => format!("{}+", range.dead_tuples),
        _ => range.dead_tuples.to_string(),
    });
    let texts: Vec<String> = texts.collect();
    for (index, run) in texts.chunk_by(|one, other| one == other).enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = match run {
            [one] => write!(line, "{separator}{one}"),
            run => write!(line, "{separator}{}:{}", run[0], run.len()),
        };
    }
    line.push(')');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_are_told_once() {
        let range = |(known_blocks, dead_tuples)| RangeSummary {
            blocks: 8,
            known_blocks,
            dead_tuples,
            ..RangeSummary::default()
        };
        let ranges = [(8, 0), (8, 0), (8, 0), (8, 1248), (8, 7), (8, 7), (3, 7), (0, 0), (0, 0), (8, 0)].map(range);
        let line = log_line(RelFileLocator::new(1663, 5, 16384), &ranges);
        assert_eq!(line, "(1663,5,16384) garbagemap (0:3, 1248, 7:2, 7+, ?:2, 0)");
    }
}
