//! The heat map as one HTML file: it asks for nothing, works without a script, and follows the reader's dark or light.
//!
//! A cell's figures are in its title, which every browser shows under the pointer; the small script at the end shows them
//! in the page too, and lets arrow keys choose a cell. Text from outside goes through [`printable`] and askama's escaping.

mod poster;

use askama::Template;

use crate::axis::Ticks;
use crate::cell::{Knowledge, cells};
use crate::colour::viridis;
use crate::grid::{Area, Grid};
use crate::number::{grouped, percent, short, size};
use crate::ranking::Ranking;
use crate::text::printable;
use crate::{Map, words};

pub(crate) use poster::draw as draw_poster;

/// Where a picture comes from, for those who find the file later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The server, as it shall be written: its address and version.
    pub server: String,
    /// The database.
    pub database: String,
    /// When the server was asked, with the time zone.
    pub time: String,
}

impl Origin {
    /// One line.
    pub(crate) fn line(&self) -> String {
        let Origin { server, database, time } = self;
        printable(&format!("Database {database} on {server}, {time}"))
    }
}

/// Up to so many cells are drawn; each is some 200 bytes of the file.
const AREA: Area =
    Area { width: 1000, height: 460, smallest: (10, 10), largest: (60, 40), square: 1.0, even_height: false };
/// Rows of the table below the picture.
const WORST: usize = 10;

#[derive(Template)]
#[template(path = "heatmap.html")]
struct Page {
    title: String,
    origin: String,
    facts: String,
    is_inexact: bool,
    exactness: String,
    nothing: &'static str,
    caption: String,
    scale: Scale,
    has_unknown: bool,
    has_part: bool,
    width: u32,
    height: u32,
    columns: u32,
    cell_width: u32,
    cell_height: u32,
    cells: Vec<CellShape>,
    insight: Vec<String>,
    worst: Vec<WorstRange>,
}

/// One cell and what is said of it.
struct CellShape {
    x: u32,
    y: u32,
    fill: String,
    is_part: bool,
    words: String,
}

/// One row of the table.
struct WorstRange {
    blocks: String,
    dead_tuples: String,
    tuples: String,
    share: String,
    dead_bytes: String,
    sum: String,
}

/// The colours with their numbers.
pub(crate) struct Scale {
    pub(crate) name: &'static str,
    pub(crate) stops: String,
    pub(crate) ticks: Vec<Tick>,
}

/// A number and where it is, in per cent of the width.
pub(crate) struct Tick {
    place: f64,
    label: String,
}

impl Scale {
    pub(crate) fn of(name: &'static str, ticks: &Ticks, label: impl Fn(u64) -> String) -> Self {
        let stops: Vec<String> = (0..=16).map(|i| viridis(f64::from(i) / 16.0).hex()).collect();
        let tick = |value: &u64| Tick { place: (1000.0 * ticks.fraction(*value)).round() / 10.0, label: label(*value) };
        Scale { name, stops: stops.join(", "), ticks: ticks.values.iter().map(tick).collect() }
    }

    fn first(&self) -> &str {
        self.ticks.first().map_or("", |tick| &tick.label)
    }

    fn last(&self) -> &str {
        self.ticks.last().map_or("", |tick| &tick.label)
    }
}

pub(crate) fn draw(map: &Map, origin: &Origin, dead_bytes: &[Option<u64>]) -> Result<String, askama::Error> {
    let ranking = Ranking::of(map);
    let ticks = Ticks::covering(map.largest_dead(), 5);
    let grid = Grid::choose(map.ranges.len(), AREA).unwrap_or(Grid {
        columns: 1,
        rows: 0,
        cell_width: 1,
        cell_height: 1,
        ranges_per_cell: 1,
    });
    let found = cells(map, &grid);
    let has = |knowledge| found.iter().any(|cell| cell.knowledge == knowledge);
    let in_rows = match grid.rows {
        0 | 1 => String::new(),
        _ => format!(
            ", row by row from the top left; a row is {} blocks",
            grouped(map.first_block(grid.ranges_per_row()))
        ),
    };
    let shape = |(index, cell): (usize, &crate::cell::Cell)| {
        let (column, row) = grid.place(index);
        let fill = match cell.knowledge {
            Knowledge::Nothing => "url(#unknown)".to_owned(),
            Knowledge::Part | Knowledge::All => viridis(ticks.fraction(cell.dead_tuples)).hex(),
        };
        let ranges = cell.first_range..(cell.first_range + grid.ranges_per_cell).min(map.ranges.len());
        CellShape {
            x: column * grid.cell_width,
            y: row * grid.cell_height,
            fill,
            is_part: cell.knowledge == Knowledge::Part,
            words: words_of(map, ranges, dead_bytes),
        }
    };
    Page {
        title: words::title(map),
        origin: origin.line(),
        facts: words::facts(map).join(" \u{b7} "),
        is_inexact: map.inexact.is_some() || !map.ranges.iter().all(crate::Range::is_fully_known),
        exactness: exactness(map),
        nothing: words::nothing_to_draw(map, &ranking).unwrap_or_default(),
        caption: format!("{}{in_rows}.", words::cell_caption(&grid)),
        scale: Scale::of("dead tuples per range", &ticks, short),
        has_unknown: has(Knowledge::Nothing),
        has_part: has(Knowledge::Part),
        width: grid.width(),
        height: grid.height(),
        columns: grid.columns,
        cell_width: grid.cell_width,
        cell_height: grid.cell_height,
        cells: found.iter().enumerate().map(shape).collect(),
        insight: words::insight(map, &ranking),
        worst: worst(map, &ranking, dead_bytes),
    }
    .render()
}

/// How far the numbers can be believed.
fn exactness(map: &Map) -> String {
    let unknown: u64 = map.ranges.iter().map(|range| u64::from(range.blocks.saturating_sub(range.known_blocks))).sum();
    let of_known =
        format!("{} of {} blocks are not known, and not counted", grouped(unknown), grouped(map.total_blocks()));
    match (words::inexact(map), unknown) {
        (Some(inexact), 0) => format!("{inexact}."),
        (Some(inexact), _) => format!("{inexact}. {of_known}."),
        (None, 0) => "Exact at this LSN: what pgstattuple would find by reading the table.".to_owned(),
        (None, _) => format!("Not complete: {of_known}. The other numbers are exact at this LSN."),
    }
}

fn bytes_of(ranges: std::ops::Range<usize>, dead_bytes: &[Option<u64>]) -> Option<u64> {
    dead_bytes.get(ranges)?.iter().try_fold(0_u64, |sum, bytes| Some(sum.saturating_add((*bytes)?)))
}

/// All of a cell, of which the colour shows only the worst range.
fn words_of(map: &Map, ranges: std::ops::Range<usize>, dead_bytes: &[Option<u64>]) -> String {
    let of_cell = &map.ranges[ranges.clone()];
    let sum =
        |number: fn(&crate::Range) -> u64| of_cell.iter().fold(0_u64, |sum, range| sum.saturating_add(number(range)));
    let blocks = sum(|range| range.blocks.into());
    let known = sum(|range| range.known_blocks.into());
    let place = words::blocks(map.first_block(ranges.start), blocks);
    if known == 0 && blocks > 0 {
        return format!("{place}: unknown");
    }
    let (dead, tuples) = (sum(|range| range.dead_tuples), sum(|range| range.tuples));
    let bytes = bytes_of(ranges, dead_bytes).map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    let share = percent(dead as f64, tuples as f64);
    let part = if known < blocks {
        format!("; {} of {} blocks known", grouped(known), grouped(blocks))
    } else {
        String::new()
    };
    let worst = of_cell.iter().map(|range| range.dead_tuples).max().unwrap_or(0);
    let worst = if of_cell.len() > 1 { format!("; worst range {}", grouped(worst)) } else { String::new() };
    format!("{place}: {} of {} tuples dead ({share}){bytes}{worst}{part}", grouped(dead), grouped(tuples))
}

fn worst(map: &Map, ranking: &Ranking, dead_bytes: &[Option<u64>]) -> Vec<WorstRange> {
    let row = |(place, index): (usize, &usize)| {
        let range = &map.ranges[*index];
        WorstRange {
            blocks: words::blocks(map.first_block(*index), range.blocks.into()),
            dead_tuples: grouped(range.dead_tuples),
            tuples: grouped(range.tuples),
            share: percent(range.dead_tuples as f64, range.tuples as f64),
            dead_bytes: bytes_of(*index..*index + 1, dead_bytes).map_or("\u{2013}".to_owned(), size),
            sum: percent(ranking.share_of_first((place + 1) as f64), 1.0),
        }
    };
    let has_dead = |(_, index): &(usize, &usize)| map.ranges[**index].dead_tuples > 0;
    ranking.order.iter().enumerate().take(WORST).take_while(has_dead).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(map: &Map) -> String {
        draw(map, &Origin::default(), &vec![Some(1); map.ranges.len()]).unwrap()
    }

    #[test]
    fn nothing_is_asked_for_and_every_range_is_told() {
        for count in [0, 1, 7, 300, 5_000, 60_000] {
            let map = crate::samples::map(count);
            let page = page(&map);
            for outside in ["http://", "https://", "url(h", "src=", "href=", "@import"] {
                assert!(!page.contains(outside), "{count}: {outside}");
            }
            let cells = page.matches("<rect class=\"cell\"").count();
            assert_eq!(cells, page.matches("</title></rect>").count());
            assert!(cells <= 4_600 && (cells > 0) == (count > 0), "{count}: {cells}");
        }
    }

    #[test]
    fn names_from_outside_are_text() {
        let hostile = "a<b>&'; --\"</script><img src=x onerror=alert(1)>\u{202e}\u{1b}";
        let mut map = Map { table: hostile.into(), lsn: hostile.into(), ..crate::samples::map(7) };
        map.inexact = Some(hostile.into());
        let origin = Origin { server: hostile.into(), database: hostile.into(), time: hostile.into() };
        let page = draw(&map, &origin, &[]).unwrap();
        assert!(
            !page.contains("<img") && !page.contains("a<b>") && !page.contains('\u{1b}') && !page.contains('\u{202e}')
        );
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(page.contains("a&#60;b&#62;&#38;&#39;; --&#34;"), "{page}");
    }

    #[test]
    fn a_cell_tells_its_blocks_and_all_its_figures() {
        let map = crate::samples::map(300);
        let page = page(&map);
        let first = map.ranges[1];
        let expected = format!(
            "blocks 128\u{2013}255: {} of 7,000 tuples dead ({}), 1 B<",
            first.dead_tuples,
            percent(first.dead_tuples as f64, 7000.0)
        );
        assert!(page.contains(&expected), "{expected}");
        assert!(page.contains("blocks 1,664\u{2013}1,791: unknown<") && page.contains("50 of 128 blocks known<"));
    }

    #[test]
    fn cells_of_several_ranges_tell_their_sum() {
        let mut map = crate::samples::map(60_000);
        map.ranges.iter_mut().for_each(|range| range.known_blocks = range.blocks);
        let page = page(&map);
        let told: u64 = page
            .split("<title>blocks ")
            .skip(1)
            .map(|cell| {
                cell.split(": ").nth(1).unwrap().split(" of ").next().unwrap().replace(',', "").parse::<u64>().unwrap()
            })
            .sum();
        assert_eq!(told, map.total_dead());
    }

    #[test]
    fn how_exact_it_is_is_always_said() {
        let mut map = crate::samples::map(7);
        assert!(page(&map).contains("<p>Exact at this LSN"));
        map.ranges[0].known_blocks = 28;
        assert!(page(&map).contains("<p class=\"warning\">Not complete: 100 of 896 blocks are not known"));
        map.inexact = Some("no images".to_owned());
        assert!(page(&map).contains("<p class=\"warning\">Not exact: no images. 100 of 896"));
    }
}
