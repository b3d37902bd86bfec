//! Draws made-up maps: `cargo run --example draw [directory]` prints one to the terminal, or writes SVG, PNG and HTML of
//! several sizes into the directory.

use std::error::Error;
use std::path::Path;

use heatmap::{Colour, LeftOut, Map, Origin, Poster, PosterTable, Range, Terminal};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        None => {
            let terminal = Terminal { width: 100, height: 24, colour: Colour::TrueColour, unicode: true };
            print!("{}", table(300).to_terminal(&terminal));
        }
        Some(directory) => {
            let directory = Path::new(&directory);
            for (name, map) in cases() {
                std::fs::write(directory.join(format!("{name}.svg")), map.to_svg())?;
                std::fs::write(directory.join(format!("{name}.png")), map.to_png()?)?;
                std::fs::write(directory.join(format!("{name}.html")), map.to_html(&origin(), &[])?)?;
                for (suffix, colour, unicode) in [
                    ("ascii", Colour::None, false),
                    ("shades", Colour::None, true),
                    ("256", Colour::Ansi256, true),
                    ("colour", Colour::TrueColour, true),
                ] {
                    let terminal = Terminal { width: 100, height: 24, colour, unicode };
                    std::fs::write(directory.join(format!("{name}.{suffix}.txt")), map.to_terminal(&terminal))?;
                }
            }
            for tables in [2, 40, 1_000] {
                let poster = poster(tables);
                std::fs::write(directory.join(format!("poster-{tables}.svg")), poster.to_svg())?;
                std::fs::write(directory.join(format!("poster-{tables}.png")), poster.to_png()?)?;
                std::fs::write(directory.join(format!("poster-{tables}.html")), poster.to_html()?)?;
                let terminal = Terminal { width: 100, height: 24, colour: Colour::None, unicode: true };
                std::fs::write(directory.join(format!("poster-{tables}.txt")), poster.to_terminal(&terminal))?;
            }
        }
    }
    Ok(())
}

fn origin() -> Origin {
    Origin {
        server: "db.example.com:5432 (PostgreSQL 15.4)".to_owned(),
        database: "shop".to_owned(),
        time: "2026-01-02 03:04:05 UTC".to_owned(),
    }
}

/// Tables of very different sizes.
fn poster(tables: usize) -> Poster {
    let blocks_per_square = 128;
    let table = |i: usize| {
        let mut map = table((400.0 / (i as f64 + 1.0).powf(1.1)).ceil() as usize);
        if i == 1 {
            map.ranges[3..20].fill(Range { blocks: 128, ..Range::default() });
        }
        PosterTable {
            name: if i == 2 { "public.\"a<b>&'; --\"".to_owned() } else { format!("public.order_line_{i}") },
            dead_bytes: map.total_dead() * 100,
            lsn: map.lsn,
            inexact: None,
            ranges: map.ranges,
        }
    };
    let left_out = LeftOut { tables: 214, blocks: 90_000, dead_bytes: 1_258_291 };
    Poster { origin: origin(), blocks_per_square, tables: (0..tables).map(table).collect(), left_out }
}

fn cases() -> Vec<(String, Map)> {
    let mut cases: Vec<(String, Map)> =
        [0, 1, 7, 40, 300, 5_000, 400_000].map(|count| (format!("{count}"), table(count))).into();
    let mut partly = table(300);
    for (i, range) in partly.ranges.iter_mut().enumerate() {
        match i {
            90..130 => *range = Range { blocks: 128, ..Range::default() },
            130..150 => range.known_blocks = 77,
            _ => {}
        }
    }
    partly.inexact = Some(
        "full_page_writes was off between 0/1500000 and 0/15FFFD8, so the pages written there are not complete"
            .to_owned(),
    );
    cases.push(("partly".to_owned(), partly));
    let mut large_partly = table(400_000);
    for (i, range) in large_partly.ranges.iter_mut().enumerate() {
        match i {
            90_000..130_000 => *range = Range { blocks: 128, ..Range::default() },
            130_000..190_000 => range.known_blocks = 77,
            _ => {}
        }
    }
    cases.push(("large-partly".to_owned(), large_partly));
    let mut clean = table(300);
    clean.ranges.iter_mut().for_each(|range| range.dead_tuples = 0);
    cases.push(("clean".to_owned(), clean));
    let mut unknown = table(300);
    unknown.ranges.fill(Range { blocks: 128, ..Range::default() });
    cases.push(("unknown".to_owned(), unknown));
    let mut huge = table(60);
    huge.table = "a <very> \"long\" schema name of 63 letters at most.and_a_table_name_that_is_as_long".to_owned();
    huge.blocks_per_range = 131_072;
    for range in &mut huge.ranges {
        *range = Range {
            blocks: 131_072,
            known_blocks: 131_072,
            tuples: range.tuples * 40_000,
            dead_tuples: range.dead_tuples * 40_000,
        };
    }
    cases.push(("huge".to_owned(), huge));
    cases
}

/// A table that is appended to and updated mostly at its end, with one place that a batch job has gone over.
fn table(count: usize) -> Map {
    let mut state = 42_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let ranges = (0..count)
        .map(|i| {
            let place = (i as f64 + 0.5) / count as f64;
            let recent = (-(1.0 - place) * 5.0).exp();
            let batch = if (0.31..0.36).contains(&place) { 0.7 } else { 0.0 };
            let share = (0.9 * recent * random() + batch * random().sqrt() + 0.04 * random()).min(1.0);
            let blocks = if i + 1 == count { 57 } else { 128 };
            let tuples = u64::from(blocks) * 61;
            Range { blocks, known_blocks: blocks, tuples, dead_tuples: (tuples as f64 * share) as u64 }
        })
        .collect();
    Map {
        table: "public.order_line".to_owned(),
        lsn: "0/16B3748".to_owned(),
        blocks_per_range: 128,
        ranges,
        inexact: None,
    }
}
