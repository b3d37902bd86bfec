//! The histogram in a terminal: bars in eighths of a line, the curve as dots above them.

use super::canvas::{Canvas, Glyph, Line};
use super::{Colour, Terminal, canvas, heading};
use crate::axis::Ticks;
use crate::colour::{CURVE, FAINT, viridis};
use crate::number::{counted, grouped, short};
use crate::ranking::Ranking;
use crate::text::{broken_off, printable, width, wrapped};
use crate::{Map, words};

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const MOST_LINES: usize = 24;
/// Columns of the right axis: `100 %` and a blank.
const SHARES: usize = 6;

pub(super) fn draw(map: &Map, ranking: &Ranking, terminal: &Terminal, height: usize) -> Canvas {
    let mut canvas = canvas(terminal);
    let title = format!("{}: ranges by dead tuples, worst first", printable(&map.table));
    let fits = width(&title) <= canvas.width();
    heading(&mut canvas, map, if fits { &title } else { "Ranges by dead tuples, worst first" });
    // Axis names, axis, its labels and at least two lines of bars.
    let room = height.saturating_sub(canvas.height() + 5).max(1);
    let insight = insight(&words::insight(map, ranking), canvas.width(), height / 4, room);
    if words::nothing_to_draw(map, ranking).is_none() {
        let ticks = Ticks::covering(map.largest_dead(), 5);
        let lines = height.saturating_sub(canvas.height() + 3 + insight.len()).clamp(1, MOST_LINES);
        let plot = Plot::new(ranking, terminal, &ticks, canvas.width(), lines);
        plot.axis_names(&mut canvas);
        plot.bars(&mut canvas);
        plot.range_axis(&mut canvas);
    }
    for line in insight {
        canvas.line().text(0, &line, None, false);
    }
    canvas
}

/// The first sentence, and the others as long as they are complete on the lines they should take.
fn insight(sentences: &[String], columns: usize, wanted: usize, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for sentence in sentences {
        let more = wrapped(sentence, columns);
        if lines.is_empty() || lines.len() + more.len() <= wanted.min(room) {
            lines.extend(more);
        }
    }
    if lines.len() > room {
        lines[room - 1] = broken_off(&lines[room - 1], columns);
        lines.truncate(room);
    }
    lines
}

struct Plot<'a> {
    ranking: &'a Ranking,
    terminal: &'a Terminal,
    ticks: &'a Ticks,
    /// Columns before the left axis and after the right one.
    margins: (usize, usize),
    columns: usize,
    lines: usize,
}

impl<'a> Plot<'a> {
    fn new(ranking: &'a Ranking, terminal: &'a Terminal, ticks: &'a Ticks, width: usize, lines: usize) -> Plot<'a> {
        let widest = ticks.values.iter().map(|value| short(*value).len()).max().unwrap_or(0);
        let margins = if width >= widest + SHARES + 20 { (widest + 1, SHARES) } else { (0, 0) };
        let room = width.saturating_sub(margins.0 + margins.1 + 2).max(1);
        // Bars of equal width when there is a column for each range.
        let columns = if ranking.len() <= room { room - room % ranking.len() } else { room };
        Plot { ranking, terminal, ticks, margins, columns, lines }
    }

    fn axis_names(&self, canvas: &mut Canvas) {
        let end = self.margins.0 + self.columns + 2 + self.margins.1;
        let line = canvas.line();
        let names =
            [("dead tuples per range", "share of all dead tuples"), ("dead per range", "% of all dead"), ("dead", "%")];
        let Some((left, right)) = names.into_iter().find(|(left, right)| left.len() + right.len() + 2 < end) else {
            return;
        };
        line.text(0, left, Some(FAINT), false);
        line.text(end - right.len(), right, Some(CURVE), false);
    }

    fn bars(&self, canvas: &mut Canvas) {
        for number in 0..self.lines {
            let line = canvas.line();
            self.labels(line, number);
            for column in 0..self.columns {
                if let Some(glyph) = self.bar(column, number) {
                    line.put(self.first_column() + column, glyph);
                }
            }
            for column in 0..self.columns {
                if self.curve_line(column) == number {
                    let place = self.first_column() + column;
                    line.put(place, self.dot_on(line.at(place)));
                }
            }
        }
    }

    fn first_column(&self) -> usize {
        self.margins.0 + 1
    }

    /// The line of a height between 0 and 1, counted from above.
    fn line_of(&self, fraction: f64) -> usize {
        let from_below = (fraction * self.lines as f64) as usize;
        self.lines - 1 - from_below.min(self.lines - 1)
    }

    fn labels(&self, line: &mut Line, number: usize) {
        let (left, right) = if self.terminal.unicode { ("│", "│") } else { ("|", "|") };
        line.text(self.margins.0, left, Some(FAINT), false);
        line.text(self.first_column() + self.columns, right, Some(FAINT), false);
        if self.margins.0 == 0 {
            return;
        }
        let here = |fraction: f64| self.line_of(fraction) == number;
        // Of two ticks on one line the larger one stands, so that the end of the axis is always named.
        if let Some(value) = self.ticks.values.iter().rev().find(|value| here(self.ticks.fraction(**value))) {
            let label = short(*value);
            line.text(self.margins.0 - 1 - label.len(), &label, Some(FAINT), false);
        }
        let step = if self.lines >= 10 { 20 } else { 50 };
        if let Some(share) = (0..=100).rev().step_by(step).find(|share| here(f64::from(*share) / 100.0)) {
            let label = format!("{share} %");
            line.text(self.first_column() + self.columns + 2, &label, Some(CURVE), false);
        }
    }

    /// Part of the bar of a column that lies on a line.
    fn bar(&self, column: usize, number: usize) -> Option<Glyph> {
        let count = self.ranking.len();
        let slot = self.columns / count;
        if slot >= 4 && column % slot == slot - 1 {
            return None;
        }
        let dead = self.ranking.dead[column * count / self.columns];
        let fraction = self.ticks.fraction(dead);
        let eighths = (fraction * self.lines as f64 * 8.0).round() as usize;
        // Even the smallest number of dead tuples is not none.
        let eighths = if dead > 0 { eighths.max(1) } else { 0 };
        let here = eighths.saturating_sub((self.lines - 1 - number) * 8).min(8);
        let character = match (self.terminal.unicode, here) {
            (_, 0) => return None,
            (true, _) => EIGHTHS[here],
            (false, 4..) => '#',
            (false, _) if number + 1 == self.lines => '.',
            (false, _) => return None,
        };
        Some(Glyph::inked(character, viridis(fraction)))
    }

    fn curve_line(&self, column: usize) -> usize {
        let ranges = (column + 1) as f64 * self.ranking.len() as f64 / self.columns as f64;
        self.line_of(self.ranking.share_of_first(ranges))
    }

    fn dot_on(&self, below: Glyph) -> Glyph {
        let character = if self.terminal.unicode { '•' } else { 'o' };
        let on_bar = matches!(below.character, '▄'..='█' | '#') && self.terminal.colour != Colour::None;
        Glyph { ground: if on_bar { below.ink } else { None }, ..Glyph::inked(character, CURVE) }
    }

    fn range_axis(&self, canvas: &mut Canvas) {
        let (left, middle, right) = if self.terminal.unicode { ("└", "─", "┘") } else { ("+", "-", "+") };
        let line = canvas.line();
        let column = line.text(self.margins.0, left, Some(FAINT), false);
        let column = line.text(column, &middle.repeat(self.columns), Some(FAINT), false);
        line.text(column, right, Some(FAINT), false);

        let count = self.ranking.len() as u64;
        let line = canvas.line();
        let last = counted(count, "range");
        let end = (self.first_column() + self.columns + self.margins.1).min(usize::from(self.terminal.width));
        let last_column = end.saturating_sub(last.len());
        let mut free = 0;
        for value in Ticks::covering(count, (self.columns / 12).clamp(1, 10) as u32).values {
            let label = grouped(value);
            let place = self.first_column() + (value as f64 / count as f64 * self.columns as f64) as usize;
            let place = place.saturating_sub(label.len().div_ceil(2));
            if value < count && place >= free && place + label.len() + 1 < last_column {
                free = line.text(place, &label, Some(FAINT), false) + 2;
            }
        }
        line.text(last_column, &last, Some(FAINT), false);
    }
}
