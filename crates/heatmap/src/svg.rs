//! The SVG document: header, heat map, histogram, one below the other.

mod heat_map;
mod histogram;
mod poster;
mod writer;

use crate::axis::Ticks;
use crate::number::grouped;
use crate::ranking::Ranking;
use crate::text::{printable, shortened, wrapped};
use crate::{Map, words};
use writer::{Anchor, INK, SOFT, Writer, estimated_width};

pub(crate) use poster::draw as draw_poster;

const WIDTH: u32 = 1200;
/// Where both pictures begin and end, between the axes.
const LEFT: u32 = 124;
const RIGHT: u32 = LEFT + 1000;
/// Where the names of the left axes are.
const NAMES: u32 = 30;

pub(crate) fn draw(map: &Map) -> String {
    let ranking = Ranking::of(map);
    let ticks = Ticks::covering(map.largest_dead(), 5);
    let mut writer = Writer::default();
    let below_header = header(&mut writer, map);
    let below_heat_map = heat_map::draw(&mut writer, map, &ticks, below_header);
    // What a small table saves above goes to the histogram in part, so that pages stay of similar height.
    let saved = (below_header + heat_map::MOST_HEIGHT).saturating_sub(below_heat_map);
    let below_histogram = histogram::draw(&mut writer, map, &ranking, &ticks, below_heat_map + 26, 226 + saved / 2);
    let height = insight(&mut writer, map, &ranking, below_histogram + 34);
    writer.finish(WIDTH, height)
}

fn header(writer: &mut Writer, map: &Map) -> u32 {
    writer.title(&words::title(map));
    let title = shortened(&words::title(map), 75);
    let fits = |size: &u32| estimated_width(&title, *size) <= WIDTH - LEFT - 40;
    let size = [25, 19].into_iter().find(fits).unwrap_or(15);
    writer.text((LEFT, 46), size, Anchor::Start, INK, &title);
    let facts = words::facts(map).join("  \u{b7}  ");
    writer.text((LEFT, 72), 15, Anchor::Start, SOFT, &shortened(&facts, 150));
    let Some(inexact) = words::inexact(map) else { return 98 };
    let mut lines = wrapped(&inexact, 130);
    if lines.len() > 3 {
        lines.truncate(3);
        lines[2].push_str("...");
    }
    let height = 14 + 20 * lines.len() as u32;
    writer.warning_box((LEFT, 88), (RIGHT - LEFT, height));
    for (line, text) in (0..).zip(&lines) {
        writer.text((LEFT + 18, 88 + 22 + 20 * line), 15, Anchor::Start, INK, text);
    }
    88 + height + 24
}

/// The title of one of the pictures, with what must be known when only this picture is looked at.
fn heading(writer: &mut Writer, map: &Map, top: u32, title: &str, caption: &str) {
    let inexact = if map.inexact.is_some() { " (not exact)" } else { "" };
    writer.text((LEFT, top + 16), 18, Anchor::Start, INK, &format!("{title}{inexact}"));
    writer.text((LEFT, top + 36), 13, Anchor::Start, SOFT, caption);
}

/// A frame with a sentence in place of a picture.
fn placeholder(writer: &mut Writer, top: u32, height: u32, sentence: &str) {
    writer.frame((LEFT, top), (RIGHT - LEFT, height));
    writer.text(((LEFT + RIGHT) / 2, top + height / 2 + 6), 17, Anchor::Middle, SOFT, sentence);
}

fn insight(writer: &mut Writer, map: &Map, ranking: &Ranking, top: u32) -> u32 {
    let mut sentences = words::insight(map, ranking);
    if words::nothing_to_draw(map, ranking).is_some() {
        // It is already said in place of the histogram.
        sentences.remove(0);
    }
    let (first, rest) = sentences.split_at(1.min(sentences.len()));
    let lines: Vec<String> = [first.join(" "), rest.join(" ")].iter().flat_map(|text| wrapped(text, 130)).collect();
    for (line, text) in (0..).zip(&lines) {
        writer.text((LEFT, top + 22 * line), 16, Anchor::Start, INK, text);
    }
    top + 22 * lines.len() as u32 + 8
}

/// What a cell tells when the pointer rests on it.
fn tooltip(map: &Map, cell: &crate::cell::Cell) -> String {
    let place = words::blocks(map.first_block(cell.first_range), cell.blocks);
    match cell.knowledge {
        crate::cell::Knowledge::Nothing => format!("{place}: unknown"),
        knowledge => {
            let part = if knowledge == crate::cell::Knowledge::Part { ", partly known" } else { "" };
            printable(&format!("{place}: {} of {} tuples dead{part}", grouped(cell.dead_tuples), grouped(cell.tuples)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Range;

    fn texts(svg: &str) -> Vec<String> {
        svg.split("<text")
            .skip(1)
            .map(|rest| rest[rest.find('>').unwrap() + 1..rest.find("</text>").unwrap()].to_owned())
            .collect()
    }

    #[test]
    fn every_map_is_well_formed_and_stays_on_its_page() {
        for count in [0, 1, 2, 7, 300, 5_000, 60_000] {
            let drawn = draw(&crate::samples::map(count));
            let tree = crate::png::parse(&drawn).unwrap();
            let (width, height) = (tree.size().width(), tree.size().height());
            assert!(width == WIDTH as f32 && (500.0..1000.0).contains(&height), "{count}: {width} by {height}");
            let drawing = tree.root().abs_bounding_box();
            assert!(drawing.left() >= 0.0 && drawing.top() >= 0.0, "{count}: {drawing:?}");
            assert!(drawing.right() <= width && drawing.bottom() <= height, "{count}: {drawing:?}");
        }
    }

    #[test]
    fn the_longest_names_stay_on_the_page() {
        let names = [63, 300].map(|letters| format!("{}.{}", "M".repeat(letters), "W".repeat(letters)));
        for table in names {
            let map = Map { table, inexact: Some("cause ".repeat(300)), ..crate::samples::map(7) };
            let drawing = crate::png::parse(&draw(&map)).unwrap().root().abs_bounding_box();
            assert!(drawing.right() <= WIDTH as f32, "{drawing:?}");
        }
    }

    #[test]
    fn names_from_outside_are_escaped() {
        let mut map = crate::samples::map(7);
        map.table = "\"<&>'\"\u{1b}\u{0}".to_owned();
        map.lsn = "</svg>".to_owned();
        map.inexact = Some("a < b && \"c\"".to_owned());
        let drawn = draw(&map);
        crate::png::parse(&drawn).unwrap();
        assert!(drawn.contains("&quot;&lt;&amp;&gt;&apos;&quot;\u{fffd}\u{fffd}"));
        assert_eq!(drawn.matches("</svg>").count(), 1);
    }

    #[test]
    fn inexact_numbers_are_said_so_above_all_and_at_each_picture() {
        let mut map = crate::samples::map(7);
        assert!(!draw(&map).to_lowercase().contains("not exact"));
        map.inexact = Some("page images are off".to_owned());
        let found = texts(&draw(&map));
        assert_eq!(found.iter().filter(|text| text.to_lowercase().contains("not exact")).count(), 3, "{found:?}");
        assert!(found.contains(&"Not exact: page images are off".to_owned()));
    }

    #[test]
    fn legend_names_only_what_is_drawn() {
        let mut map = crate::samples::map(29);
        let drawn = draw(&map);
        assert!(texts(&drawn).contains(&"unknown".to_owned()) && texts(&drawn).contains(&"partly known".to_owned()));
        map.ranges.iter_mut().for_each(|range| range.known_blocks = range.blocks);
        let drawn = draw(&map);
        assert!(!texts(&drawn).contains(&"unknown".to_owned()) && !texts(&drawn).contains(&"partly known".to_owned()));
    }

    #[test]
    fn huge_numbers_are_shortened() {
        let range = Range { blocks: 128, known_blocks: 128, tuples: 9_000_000_000, dead_tuples: 7_000_000_000 };
        let map = Map { blocks_per_range: 128, ranges: vec![range; 50], ..Map::default() };
        let found = texts(&draw(&map));
        assert!(found.contains(&"8G".to_owned()), "{found:?}");
    }
}
