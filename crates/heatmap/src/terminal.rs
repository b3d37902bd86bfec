//! The pictures as text, with colours or with characters of different density.

mod canvas;
mod heat_map;
mod histogram;
mod poster;

use crate::axis::Ticks;
use crate::colour::{FAINT, HATCH, UNKNOWN, WARNING};
use crate::ranking::Ranking;
use crate::text::{broken_off, shortened, wrapped};
use crate::{Map, words};
use canvas::{Canvas, Glyph};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns of a line.
    pub width: u16,
    /// Lines that each of the two pictures may take.
    pub height: u16,
    /// The colours it knows.
    pub colour: Colour,
    /// Whether it shows more than ASCII: blocks, shades and lines.
    pub unicode: bool,
}

/// The colours a terminal knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// None: numbers are shown by the density of characters, without any escape sequence.
    None,
    /// The palette of 256 colours.
    Ansi256,
    /// 24 bits for each colour.
    TrueColour,
}

/// Larger pictures do not tell more, and somebody may pass the largest number for "no limit".
const MOST_COLUMNS: u16 = 320;
const MOST_LINES: u16 = 100;
const FEWEST_LINES: u16 = 8;

pub(crate) fn draw_poster(poster: &crate::Poster, terminal: &Terminal) -> String {
    if terminal.width == 0 { String::new() } else { poster::draw(poster, terminal).render(terminal) }
}

pub(crate) fn draw(map: &Map, terminal: &Terminal) -> String {
    if terminal.width == 0 {
        return String::new();
    }
    let height = usize::from(terminal.height.clamp(FEWEST_LINES, MOST_LINES));
    let ranking = Ranking::of(map);
    let mut text = String::new();
    for picture in [heat_map::draw(map, &ranking, terminal, height), histogram::draw(map, &ranking, terminal, height)] {
        text.push_str(&picture.render(terminal));
    }
    text
}

fn canvas(terminal: &Terminal) -> Canvas {
    Canvas::new(usize::from(terminal.width.min(MOST_COLUMNS)), terminal.unicode)
}

/// Title and, in each picture, the reason why the numbers are not exact.
fn heading(canvas: &mut Canvas, map: &Map, title: &str) {
    let width = canvas.width();
    canvas.line().text(0, &shortened(title, width), None, true);
    if let Some(inexact) = words::inexact(map) {
        let mut lines = wrapped(&inexact, width);
        if lines.len() > 2 {
            lines[1] = broken_off(&lines[1], width);
            lines.truncate(2);
        }
        for line in lines {
            canvas.line().text(0, &line, Some(WARNING), false);
        }
    }
}

/// Parts side by side as long as they fit, on at most so many lines.
fn paragraph(canvas: &Canvas, parts: &[String], most_lines: usize) -> Vec<String> {
    let width = canvas.width();
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if crate::text::width(line) + 2 + crate::text::width(part) <= width => {
                line.push_str("  ");
                line.push_str(part);
            }
            _ => lines.extend(wrapped(part, width)),
        }
    }
    lines.truncate(most_lines);
    lines
}

fn faint_lines(canvas: &mut Canvas, lines: &[String]) {
    for line in lines {
        canvas.line().text(0, line, Some(FAINT), false);
    }
}

/// The character for a value without colours: a dot for none, then denser and denser.
fn density(dead_tuples: u64, ticks: &Ticks, unicode: bool) -> char {
    let steps = if unicode {
        ['\u{b7}', '░', '▒', '▓', '█'].as_slice()
    } else {
        ['.', ':', '+', '*', '#', '@'].as_slice()
    };
    match dead_tuples {
        0 => steps[0],
        _ => {
            let denser = steps.len() - 1;
            steps[1 + ((ticks.fraction(dead_tuples) * denser as f64) as usize).min(denser - 1)]
        }
    }
}

/// What stands for blocks of which nothing is known.
fn unknown(terminal: &Terminal) -> Glyph {
    match terminal.colour {
        Colour::None => Glyph::plain('?'),
        _ => Glyph { ground: Some(UNKNOWN), ..Glyph::inked(if terminal.unicode { '╱' } else { '/' }, HATCH) },
    }
}

/// A piece of the scale in the heat map's own manner.
fn sample(fraction_in_thousands: u64, terminal: &Terminal) -> Glyph {
    let ticks = Ticks::covering(1000, 1);
    match terminal.colour {
        Colour::None => Glyph::plain(density(fraction_in_thousands, &ticks, terminal.unicode)),
        _ => Glyph::filled(crate::colour::viridis(fraction_in_thousands as f64 / 1000.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_escapes(line: &str) -> String {
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            text.push_str(before);
            rest = after.split_once('m').expect("only colours are set").1;
        }
        text + rest
    }

    fn all_terminals(width: u16, height: u16) -> impl Iterator<Item = Terminal> {
        [Colour::None, Colour::Ansi256, Colour::TrueColour]
            .into_iter()
            .flat_map(move |colour| [true, false].map(|unicode| Terminal { width, height, colour, unicode }))
    }

    #[test]
    fn nothing_is_wider_or_higher_than_the_terminal() {
        for count in [0, 1, 7, 300, 5_000] {
            let mut map = crate::samples::map(count);
            map.inexact = Some("a cause that is somewhat longer than a line of a narrow terminal".to_owned());
            map.table = "public.表表表表表表表表表表表表表表表表".to_owned();
            for width in [0, 1, 2, 5, 11, 20, 21, 40, 79, 80, 133, 200, 1000] {
                for height in [0, 8, 10, 24, 70] {
                    for terminal in all_terminals(width, height) {
                        let text = map.to_terminal(&terminal);
                        let lines: Vec<&str> = text.lines().collect();
                        assert!(lines.len() <= 2 * usize::from(height.max(8)), "{count} {terminal:?}: {}", lines.len());
                        for line in lines {
                            let columns = crate::text::width(&without_escapes(line));
                            assert!(columns <= usize::from(width), "{count} {terminal:?}: {columns} in {line:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn colours_end_with_the_line_and_no_colour_means_no_escapes() {
        let map = crate::samples::map(300);
        for terminal in all_terminals(80, 24) {
            for line in map.to_terminal(&terminal).lines() {
                match terminal.colour {
                    Colour::None => assert!(!line.contains('\u{1b}')),
                    _ => assert!(!line.contains('\u{1b}') || line.ends_with("\u{1b}[0m"), "{line:?}"),
                }
            }
        }
    }

    #[test]
    fn without_unicode_all_is_ascii() {
        let mut map = crate::samples::map(300);
        map.table = "größe".to_owned();
        map.inexact = Some("naïve".to_owned());
        for terminal in all_terminals(80, 24).filter(|terminal| !terminal.unicode) {
            assert!(map.to_terminal(&terminal).is_ascii());
        }
    }

    #[test]
    fn a_name_cannot_send_escape_sequences() {
        let mut map = crate::samples::map(7);
        map.table = "a\u{1b}]0;b\u{7}".to_owned();
        let terminal = Terminal { width: 80, height: 24, colour: Colour::None, unicode: true };
        let text = map.to_terminal(&terminal);
        assert!(!text.contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn density_separates_none_from_few() {
        let ticks = Ticks::covering(800, 4);
        let shades: String =
            [0, 1, 199, 200, 400, 600, 800].map(|dead| density(dead, &ticks, true)).into_iter().collect();
        assert_eq!(shades, "\u{b7}░░▒▓██");
    }

    #[test]
    fn each_picture_says_that_it_is_not_exact() {
        let mut map = crate::samples::map(300);
        map.inexact = Some("no images".to_owned());
        let terminal = Terminal { width: 60, height: 20, colour: Colour::None, unicode: true };
        assert_eq!(map.to_terminal(&terminal).matches("Not exact: no images").count(), 2);
    }
}
