//! Lines of characters with colours that cannot become wider than the terminal.

use std::fmt::Write;

use super::{Colour, Terminal};
use crate::colour::Paint;
use crate::text::{ascii, char_width};

/// One character of the terminal and its colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) character: char,
    pub(super) ink: Option<Paint>,
    pub(super) ground: Option<Paint>,
    pub(super) bold: bool,
}

impl Glyph {
    pub(super) const BLANK: Glyph = Glyph::plain(' ');

    pub(super) const fn plain(character: char) -> Glyph {
        Glyph { character, ink: None, ground: None, bold: false }
    }

    pub(super) fn filled(paint: Paint) -> Glyph {
        Glyph { ground: Some(paint), ..Glyph::BLANK }
    }

    pub(super) fn inked(character: char, paint: Paint) -> Glyph {
        Glyph { ink: Some(paint), ..Glyph::plain(character) }
    }

    fn same_colours(&self, other: &Glyph) -> bool {
        (self.ink, self.ground, self.bold) == (other.ink, other.ground, other.bold)
    }
}

/// Lines from top to bottom.
#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    unicode: bool,
    lines: Vec<Line>,
}

/// One line; what is put beyond its width is lost.
#[derive(Clone, Debug)]
pub(super) struct Line {
    unicode: bool,
    /// `None` is the second column of a character that takes two.
    glyphs: Vec<Option<Glyph>>,
}

impl Canvas {
    pub(super) fn new(width: usize, unicode: bool) -> Canvas {
        Canvas { width, unicode, lines: Vec::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A new line at the bottom.
    pub(super) fn line(&mut self) -> &mut Line {
        let line = Line { unicode: self.unicode, glyphs: vec![Some(Glyph::BLANK); self.width] };
        self.lines.push(line);
        self.lines.last_mut().expect("a line has just been added")
    }

    pub(super) fn height(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn render(&self, terminal: &Terminal) -> String {
        self.lines.iter().map(|line| line.render(terminal.colour) + "\n").collect()
    }
}

impl Line {
    pub(super) fn put(&mut self, column: usize, glyph: Glyph) {
        if let Some(place) = self.glyphs.get_mut(column) {
            *place = Some(glyph);
        }
    }

    pub(super) fn at(&self, column: usize) -> Glyph {
        self.glyphs.get(column).copied().flatten().unwrap_or(Glyph::BLANK)
    }

    /// Puts a text and returns the column after it.
    pub(super) fn text(&mut self, mut column: usize, text: &str, ink: Option<Paint>, bold: bool) -> usize {
        let text = if self.unicode { text.to_owned() } else { ascii(text) };
        for character in text.chars() {
            let columns = char_width(character);
            if column + columns > self.glyphs.len() {
                break;
            }
            self.put(column, Glyph { character, ink, ground: None, bold });
            if columns == 2 {
                self.glyphs[column + 1] = None;
            }
            column += columns;
        }
        column
    }

    fn render(&self, colour: Colour) -> String {
        let used = self.glyphs.iter().rposition(|glyph| *glyph != Some(Glyph::BLANK)).map_or(0, |last| last + 1);
        let mut text = String::new();
        let mut current = Glyph::BLANK;
        for glyph in self.glyphs[..used].iter().flatten() {
            if colour != Colour::None && !glyph.same_colours(&current) {
                text.push_str(&escape(glyph, colour));
                current = *glyph;
            }
            text.push(glyph.character);
        }
        if text.contains('\u{1b}') && !text.ends_with("\u{1b}[0m") {
            text.push_str("\u{1b}[0m");
        }
        text
    }
}

fn escape(glyph: &Glyph, colour: Colour) -> String {
    let mut codes = "\u{1b}[0".to_owned();
    if glyph.bold {
        codes.push_str(";1");
    }
    for (layer, paint) in [(38, glyph.ink), (48, glyph.ground)] {
        let Some(paint) = paint else { continue };
        match colour {
            Colour::TrueColour => write!(codes, ";{layer};2;{};{};{}", paint.red, paint.green, paint.blue),
            _ => write!(codes, ";{layer};5;{}", paint.palette),
        }
        .expect("a String takes every text");
    }
    codes.push('m');
    codes
}
