//! The poster in a terminal: figures of each table and a character for each square.

use super::canvas::{Canvas, Glyph};
use super::{Colour, FAINT, WARNING, density, sample, unknown};
use crate::axis::Ticks;
use crate::colour::viridis;
use crate::number::{size, size_of_blocks};
use crate::poster::{Poster, PosterTable, label};
use crate::text::{shortened, width, wrapped};
use crate::{Range, Terminal};

/// Columns of size, dead bytes and share.
const FIGURES: [(&str, usize); 3] = [("SIZE", 9), ("DEAD", 9), ("SHARE", 7)];
const OF_FIGURES: usize = 9 + 9 + 7;
/// In a narrower terminal squares are below the figures.
const WIDE: usize = 72;

pub(super) fn draw(poster: &Poster, terminal: &Terminal) -> Canvas {
    let mut canvas = super::canvas(terminal);
    let columns = canvas.width();
    canvas.line().text(0, &shortened(&poster.title(), columns), None, true);
    for text in [poster.origin.line(), format!("{}.", poster.totals()), poster.scale()] {
        for line in wrapped(&text, columns) {
            canvas.line().text(0, &line, Some(FAINT), false);
        }
    }
    let ticks = poster.ticks(4);
    scale(&mut canvas, terminal, &ticks);
    let name = if columns >= WIDE { (columns - OF_FIGURES) * 2 / 5 } else { columns.saturating_sub(OF_FIGURES) };
    let line = canvas.line();
    line.text(0, "TABLE", Some(FAINT), false);
    figures(line, name, &FIGURES.map(|(heading, _)| heading.to_owned()), true);
    for table in &poster.tables {
        row(&mut canvas, terminal, table, &ticks, name);
    }
    for (is_warning, text) in poster
        .left_out()
        .into_iter()
        .map(|text| (false, text))
        .chain(poster.exactness().into_iter().map(|text| (text.starts_with('*'), text)))
    {
        for line in wrapped(&text, columns) {
            canvas.line().text(0, &line, Some(if is_warning { WARNING } else { FAINT }), false);
        }
    }
    canvas
}

fn figures(line: &mut super::canvas::Line, from: usize, texts: &[String; 3], is_faint: bool) {
    let mut end = from;
    for (text, (_, columns)) in texts.iter().zip(FIGURES) {
        end += columns;
        line.text(end.saturating_sub(width(text)), text, is_faint.then_some(FAINT), false);
    }
}

fn scale(canvas: &mut Canvas, terminal: &Terminal, ticks: &Ticks) {
    let steps = ticks.values.len().saturating_sub(1).max(1) as u64;
    let columns = canvas.width();
    let line = canvas.line();
    let mut column = 0;
    for (step, value) in (0..).zip(&ticks.values) {
        column = line.text(column, &label(*value), Some(FAINT), false) + 1;
        if step < steps {
            for part in 0..3 {
                line.put(column, sample((1000 * (2 * (step * 3 + part) + 1)) / (6 * steps), terminal));
                column += 1;
            }
            column += 1;
        }
    }
    for name in [Poster::COLOURS, "dead share of bytes", "dead"] {
        if column + name.len() <= columns {
            line.text(column, name, Some(FAINT), false);
            break;
        }
    }
}

fn row(canvas: &mut Canvas, terminal: &Terminal, table: &PosterTable, ticks: &Ticks, name: usize) {
    let columns = canvas.width();
    let (from, is_below) = if columns >= WIDE { (name + OF_FIGURES + 2, false) } else { (2, true) };
    let per_line = columns.saturating_sub(from).max(1);
    let texts = [size_of_blocks(table.blocks()), size(table.dead_bytes), table.share()];
    let mut chunks = table.ranges.chunks(per_line);
    let line = canvas.line();
    line.text(0, &shortened(&table.marked_name(), name.saturating_sub(1)), None, false);
    figures(line, name, &texts, false);
    let put = |line: &mut super::canvas::Line, ranges: &[Range]| {
        for (column, range) in (from..).zip(ranges) {
            line.put(column, square(terminal, table, range, ticks));
        }
    };
    if !is_below && let Some(ranges) = chunks.next() {
        put(line, ranges);
    }
    for ranges in chunks {
        put(canvas.line(), ranges);
    }
}

fn square(terminal: &Terminal, table: &PosterTable, range: &Range, ticks: &Ticks) -> Glyph {
    if range.is_unknown() {
        return unknown(terminal);
    }
    let garbage = table.garbage(range);
    match terminal.colour {
        Colour::None => Glyph::plain(density(garbage, ticks, terminal.unicode)),
        _ => Glyph::filled(viridis(ticks.fraction(garbage))),
    }
}

#[cfg(test)]
mod tests {
    use crate::poster::samples::poster;
    use crate::{Colour, Terminal};

    #[test]
    fn lines_fit_and_each_table_has_its_squares() {
        for tables in [0, 2, 40] {
            for width in [20, 40, 71, 72, 80, 200] {
                for unicode in [true, false] {
                    let terminal = Terminal { width, height: 20, colour: Colour::None, unicode };
                    let poster = poster(tables);
                    let text = poster.to_terminal(&terminal);
                    for line in text.lines() {
                        assert!(crate::text::width(line) <= width.into(), "{width}: {line}");
                    }
                    assert!(unicode || text.is_ascii());
                    assert!(width < 72 || poster.tables.iter().all(|table| text.contains(&table.name)), "{text}");
                    assert!(text.replace('\n', " ").contains("And 214 "), "{text}");
                }
            }
        }
    }
}
