//! The heat map in a terminal: cells of whole characters, or of half ones where two rows fit into a line.

use super::canvas::{Canvas, Glyph, Line};
use super::{Colour, Terminal, canvas, density, faint_lines, heading, paragraph, sample, unknown};
use crate::axis::{Ticks, stride};
use crate::cell::{Cell, Knowledge, cells};
use crate::colour::{FAINT, Paint, viridis};
use crate::grid::{Area, Grid};
use crate::number::{grouped, short};
use crate::ranking::Ranking;
use crate::{Map, words};

pub(super) fn draw(map: &Map, ranking: &Ranking, terminal: &Terminal, height: usize) -> Canvas {
    let mut canvas = canvas(terminal);
    heading(&mut canvas, map, &words::title(map));
    // Column labels, scale, legend and, with room for it, a blank line to the next picture.
    let below = if height >= 12 { 4 } else { 3 };
    let room = height.saturating_sub(canvas.height() + below + 1);
    let facts = paragraph(&canvas, &words::facts(map), room.min(height / 4));
    faint_lines(&mut canvas, &facts);
    if map.ranges.is_empty() {
        canvas.line().text(0, words::nothing_to_draw(map, ranking).unwrap_or_default(), None, false);
        canvas.line();
        return canvas;
    }
    let ticks = Ticks::covering(map.largest_dead(), (canvas.width() / 20).clamp(1, 5) as u32);
    let lines = height.saturating_sub(canvas.height() + below).max(1);
    let painter = Painter::new(map, terminal, &ticks, canvas.width(), lines);
    painter.rows(&mut canvas);
    painter.column_labels(&mut canvas);
    painter.scale(&mut canvas);
    painter.legend(&mut canvas);
    if below == 4 {
        canvas.line();
    }
    canvas
}

struct Painter<'a> {
    map: &'a Map,
    terminal: &'a Terminal,
    ticks: &'a Ticks,
    grid: Grid,
    cells: Vec<Cell>,
    /// Columns of the row labels.
    margin: usize,
    /// Whether a line holds two units of height.
    half_lines: bool,
}

impl<'a> Painter<'a> {
    fn new(map: &'a Map, terminal: &'a Terminal, ticks: &'a Ticks, width: usize, lines: usize) -> Painter<'a> {
        let unclear = |range: &crate::Range| range.is_unknown() || !range.is_fully_known();
        let any_unclear = map.ranges.iter().any(unclear);
        // Marks and hatching need whole characters.
        let half_lines = terminal.unicode && terminal.colour != Colour::None && !any_unclear;
        let margin = grouped(map.first_block(map.ranges.len() - 1)).len() + 1;
        let margin = if width >= 3 * margin { margin } else { 0 };
        let units = if half_lines { 2 } else { 1 };
        let narrowest = if any_unclear && terminal.colour == Colour::None { 2 } else { 1 };
        let area = Area {
            width: (width - margin).max(1) as u32,
            height: (lines * units) as u32,
            smallest: (narrowest, 1),
            largest: (14, 2 * units as u32),
            square: 2.0 / units as f64,
            even_height: half_lines,
        };
        let grid = Grid::choose(map.ranges.len(), area).expect("a table without ranges is not drawn");
        Painter { map, terminal, ticks, cells: cells(map, &grid), grid, margin, half_lines }
    }

    fn rows(&self, canvas: &mut Canvas) {
        let units = if self.half_lines { 2 } else { 1 };
        let lines = self.grid.height().div_ceil(units);
        let line_step = units.max(self.grid.cell_height) / units;
        let step = line_step * stride(u64::from((lines / line_step).div_ceil(8))) as u32;
        for number in 0..lines {
            let line = canvas.line();
            if self.margin > 0 && self.grid.rows > 1 && number % step == 0 {
                self.row_label(line, number * units / self.grid.cell_height);
            }
            for x in 0..self.grid.width() {
                line.put(self.margin + x as usize, self.glyph(x, number * units));
            }
        }
    }

    fn row_label(&self, line: &mut Line, row: u32) {
        let label = grouped(self.map.first_block(row as usize * self.grid.ranges_per_row()));
        line.text(self.margin - 1 - label.len().min(self.margin - 1), &label, Some(FAINT), false);
    }

    fn glyph(&self, x: u32, y: u32) -> Glyph {
        let upper = self.cell_at(x, y);
        if !self.half_lines {
            return upper.map_or(Glyph::BLANK, |cell| self.whole(cell, x));
        }
        match (upper.map(|cell| self.paint(cell)), self.cell_at(x, y + 1).map(|cell| self.paint(cell))) {
            (None, None) => Glyph::BLANK,
            (Some(upper), None) => Glyph::inked('▀', upper),
            (None, Some(lower)) => Glyph::inked('▄', lower),
            (Some(upper), Some(lower)) if upper == lower => Glyph::filled(upper),
            (Some(upper), Some(lower)) => Glyph { ground: Some(lower), ..Glyph::inked('▀', upper) },
        }
    }

    /// A cell drawn with whole characters; `x` tells which of its columns.
    fn whole(&self, cell: &Cell, x: u32) -> Glyph {
        let column = x % self.grid.cell_width;
        if cell.knowledge == Knowledge::Nothing {
            return unknown(self.terminal);
        }
        let glyph = match self.terminal.colour {
            Colour::None => Glyph::plain(density(cell.dead_tuples, self.ticks, self.terminal.unicode)),
            _ => Glyph::filled(self.paint(cell)),
        };
        let marked = cell.knowledge == Knowledge::Part && (self.grid.cell_width == 1 || column == self.mark_column());
        if marked { mark(glyph, self.terminal) } else { glyph }
    }

    /// The mark is in the last column that is not the gap to the next cell.
    fn mark_column(&self) -> u32 {
        self.grid.cell_width - 1 - self.gap()
    }

    /// Wide cells are set apart by a blank column.
    fn gap(&self) -> u32 {
        u32::from(self.grid.cell_width >= 4)
    }

    fn cell_at(&self, x: u32, y: u32) -> Option<&Cell> {
        let (column, row) = (x / self.grid.cell_width, y / self.grid.cell_height);
        let in_gap = self.gap() == 1 && x % self.grid.cell_width == self.grid.cell_width - 1;
        if in_gap || row >= self.grid.rows {
            return None;
        }
        self.cells.get((row * self.grid.columns + column) as usize)
    }

    fn paint(&self, cell: &Cell) -> Paint {
        viridis(self.ticks.fraction(cell.dead_tuples))
    }

    /// How far the columns are from the first block of their row.
    fn column_labels(&self, canvas: &mut Canvas) {
        let line = canvas.line();
        let sign = if self.grid.rows > 1 { "+" } else { "" };
        let label = |column: u32| {
            format!("{sign}{}", grouped(self.map.first_block(column as usize * self.grid.ranges_per_cell)))
        };
        let step = stride(u64::from((label(self.grid.columns - 1).len() as u32 + 3).div_ceil(self.grid.cell_width)));
        let mut free = 0;
        for column in (0..self.grid.columns).step_by(step as usize) {
            let place = self.margin + (column * self.grid.cell_width) as usize;
            let label = if column == 0 { "0".to_owned() } else { label(column) };
            if place >= free && place + label.len() <= usize::from(self.terminal.width) {
                free = line.text(place, &label, Some(FAINT), false) + 1;
            }
        }
        if self.grid.rows == 1 && free + 12 <= usize::from(self.terminal.width) {
            line.text(free + 1, "first block", Some(FAINT), false);
        }
    }

    /// The ticks of the scale with pieces of it between them.
    fn scale(&self, canvas: &mut Canvas) {
        let width = canvas.width();
        let steps = self.ticks.values.len() - 1;
        let labels: Vec<String> = self.ticks.values.iter().map(|value| short(*value)).collect();
        let of_labels: usize = labels.iter().map(|label| label.len() + 2).sum();
        let name = ["dead tuples per range", "dead per range", "dead"]
            .into_iter()
            .find(|name| of_labels + name.len() + 4 * steps <= width)
            .unwrap_or("");
        let piece = (width.saturating_sub(of_labels + name.len()) / steps).clamp(1, 9) as u64;
        let line = canvas.line();
        let mut column = 0;
        for (step, label) in (0..).zip(&labels) {
            column = line.text(column, label, Some(FAINT), false) + 1;
            if step < steps as u64 {
                for part in 0..piece {
                    // The middle of each column: no piece shows the sign for no dead tuples at all.
                    let fraction = (1000 * (2 * (step * piece + part) + 1)) / (2 * piece * steps as u64);
                    line.put(column, sample(fraction, self.terminal));
                    column += 1;
                }
                column += 1;
            }
        }
        line.text(column, name, Some(FAINT), false);
    }

    /// What a cell is, and the signs that the scale does not explain.
    fn legend(&self, canvas: &mut Canvas) {
        let width = canvas.width();
        let line = canvas.line();
        let mut column = 0;
        let has = |knowledge| self.cells.iter().any(|cell| cell.knowledge == knowledge);
        let middling = sample(500, self.terminal);
        for (is_used, glyph, name) in [
            (has(Knowledge::Nothing), unknown(self.terminal), "unknown"),
            (has(Knowledge::Part), mark(middling, self.terminal), "partly known"),
            (self.terminal.colour == Colour::None, Glyph::plain(density(0, self.ticks, self.terminal.unicode)), "none"),
        ] {
            if is_used {
                line.put(column, glyph);
                column = line.text(column + 2, name, Some(FAINT), false) + 3;
            }
        }
        let caption = words::cell_caption(&self.grid);
        let mut captions = vec![caption.clone(), format!("{}/cell", self.grid.ranges_per_cell)];
        if self.grid.rows > 1 && self.margin > 0 {
            captions.insert(0, format!("{caption}; block number = left + below"));
        }
        if let Some(caption) = captions.iter().find(|caption| column + caption.len() <= width) {
            line.text(column, caption, Some(FAINT), false);
        }
    }
}

fn mark(glyph: Glyph, terminal: &Terminal) -> Glyph {
    let character = match (terminal.colour, terminal.unicode) {
        (Colour::None, _) => '\'',
        (_, true) => '•',
        (_, false) => 'o',
    };
    Glyph { character, ink: glyph.ground.map(|paint| paint.contrast()), ..glyph }
}
