//! The sentences of the pictures, the same for every medium.

use crate::Map;
use crate::grid::Grid;
use crate::number::{counted, grouped, percent, short, size_of_blocks};
use crate::ranking::Ranking;
use crate::text::printable;

pub(crate) fn title(map: &Map) -> String {
    format!("Dead tuples in {}", printable(&map.table))
}

/// What the numbers are about, in parts that may stand on different lines.
pub(crate) fn facts(map: &Map) -> Vec<String> {
    let ranges = format!(
        "{} of {} ({})",
        counted(map.ranges.len() as u64, "range"),
        counted(map.blocks_per_range.into(), "block"),
        size_of_blocks(map.blocks_per_range.into())
    );
    let blocks = map.total_blocks();
    let (dead, tuples) = (map.total_dead(), map.total_tuples());
    let nothing_known = !map.ranges.is_empty() && map.ranges.iter().all(crate::Range::is_unknown);
    let known = if map.ranges.iter().all(crate::Range::is_fully_known) { "" } else { "known " };
    vec![
        format!("LSN {}", printable(&map.lsn)),
        ranges,
        format!("table of {} ({})", counted(blocks, "block"), size_of_blocks(blocks)),
        if nothing_known {
            "dead tuples unknown".to_owned()
        } else {
            format!("{} of {} {known}tuples dead ({})", short(dead), short(tuples), percent(dead as f64, tuples as f64))
        },
    ]
}

pub(crate) fn inexact(map: &Map) -> Option<String> {
    let cause = map.inexact.as_deref()?;
    Some(if cause.trim().is_empty() { "Not exact".to_owned() } else { format!("Not exact: {}", printable(cause)) })
}

/// What a cell of the heat map stands for.
pub(crate) fn cell_caption(grid: &Grid) -> String {
    match grid.ranges_per_cell {
        1 => "One cell is one range".to_owned(),
        several => format!("One cell is {}, coloured by the worst", counted(several as u64, "range")),
    }
}

/// Said in place of a picture when there is nothing to draw.
pub(crate) fn nothing_to_draw(map: &Map, ranking: &Ranking) -> Option<&'static str> {
    if map.ranges.is_empty() {
        Some("The table is empty: it has no blocks.")
    } else if ranking.len() == 0 {
        Some("Nothing is known about this table yet.")
    } else if !ranking.has_dead() {
        Some("No dead tuples.")
    } else {
        None
    }
}

/// What the histogram says, in plain words: one sentence about all ranges, one about the worst.
pub(crate) fn insight(map: &Map, ranking: &Ranking) -> Vec<String> {
    let unknown = match ranking.unknown {
        0 => String::new(),
        1 => "1 range is unknown.".to_owned(),
        several => format!("{} are unknown.", counted(several as u64, "range")),
    };
    let mut sentences = match nothing_to_draw(map, ranking) {
        Some(nothing) => vec![nothing.to_owned()],
        None if ranking.len() == 1 => vec![worst(map, ranking)],
        None => vec![concentration(map, ranking), worst(map, ranking)],
    };
    if !unknown.is_empty() && ranking.len() > 0 {
        sentences.push(unknown);
    }
    sentences
}

fn concentration(map: &Map, ranking: &Ranking) -> String {
    let count = ranking.ranges_for(80);
    // With few ranges it is often more than 80 %.
    let share = percent(ranking.share_of_first(count as f64), 1.0);
    let blocks: u64 = ranking.order[..count].iter().map(|i| u64::from(map.ranges[*i].blocks)).sum();
    let share_of_table = percent(blocks as f64, map.total_blocks() as f64);
    let known = if ranking.unknown > 0 { "known range" } else { "range" };
    let all = counted(ranking.len() as u64, known);
    format!("{share} of the dead tuples are in {} of {all} ({share_of_table} of the table).", grouped(count as u64))
}

fn worst(map: &Map, ranking: &Ranking) -> String {
    let index = ranking.order[0];
    let range = &map.ranges[index];
    let (dead, tuples) = (range.dead_tuples, range.tuples);
    format!(
        "{}, {}, has {} dead of {} tuples ({}).",
        if ranking.len() == 1 { "The only known range" } else { "The worst range" },
        blocks(map.first_block(index), range.blocks.into()),
        short(dead),
        short(tuples),
        percent(dead as f64, tuples as f64)
    )
}

/// `blocks 128–255`.
pub(crate) fn blocks(first: u64, count: u64) -> String {
    match count {
        0 | 1 => format!("block {}", grouped(first)),
        _ => format!("blocks {}\u{2013}{}", grouped(first), grouped(first + count - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Range;

    fn map_of(dead: &[u64]) -> Map {
        let range = |dead_tuples: &u64| Range { blocks: 16, known_blocks: 16, tuples: 1000, dead_tuples: *dead_tuples };
        Map { blocks_per_range: 16, ranges: dead.iter().map(range).collect(), ..Map::default() }
    }

    fn insight_of(map: &Map) -> String {
        insight(map, &Ranking::of(map)).join(" ")
    }

    #[test]
    fn insight_names_the_share_and_the_worst_range() {
        let map = map_of(&[0, 80, 0, 20]);
        assert_eq!(
            insight_of(&map),
            "80 % of the dead tuples are in 1 of 4 ranges (25 % of the table). \
             The worst range, blocks 16\u{2013}31, has 80 dead of 1,000 tuples (8 %)."
        );
    }

    #[test]
    fn insight_of_nothing_is_plain() {
        assert_eq!(insight_of(&Map::default()), "The table is empty: it has no blocks.");
        assert_eq!(insight_of(&map_of(&[0, 0])), "No dead tuples.");
        let mut map = map_of(&[0, 0]);
        map.ranges[1].known_blocks = 0;
        assert_eq!(insight_of(&map), "No dead tuples. 1 range is unknown.");
        map.ranges[0].known_blocks = 0;
        assert_eq!(insight_of(&map), "Nothing is known about this table yet.");
    }

    #[test]
    fn totals_count_what_is_known() {
        let total = |map: &Map| facts(map).pop().unwrap();
        let mut map = map_of(&[30, 70]);
        assert_eq!(total(&map), "100 of 2,000 tuples dead (5 %)");
        map.ranges[0] = Range { blocks: 16, ..Range::default() };
        assert_eq!(total(&map), "70 of 1,000 known tuples dead (7 %)");
        map.ranges[1] = map.ranges[0];
        assert_eq!(total(&map), "dead tuples unknown");
    }

    #[test]
    fn the_cause_of_inexact_numbers_is_told() {
        let map = Map { inexact: Some("no page image".to_owned()), ..Map::default() };
        assert_eq!(inexact(&map).as_deref(), Some("Not exact: no page image"));
        assert_eq!(inexact(&Map::default()), None);
    }
}
