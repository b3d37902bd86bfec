//! The few shapes that the pictures are made of, as SVG text.

use std::fmt::Write;

use crate::colour::{HATCH, Paint, UNKNOWN, WARNING, viridis};
use crate::text::printable;

/// Colours of text and lines.
pub(super) const INK: &str = "#1b1f24";
pub(super) const SOFT: &str = "#57606a";
const GRID: &str = "#e3e6ea";
const AXIS: &str = "#8c959f";

/// A place in pixels from the left and the top; a size in pixels.
pub(super) type Pair = (u32, u32);

/// Which part of a text is at its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The body of the document so far.
#[derive(Default)]
pub(super) struct Writer {
    body: String,
}

impl Writer {
    pub(super) fn text(&mut self, (x, y): Pair, size: u32, anchor: Anchor, fill: &str, text: &str) {
        let anchor = anchor.name();
        let text = escaped(text);
        self.add(format_args!(
            r#"<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{text}</text>"#
        ));
    }

    /// Text from bottom to top, centred.
    pub(super) fn upright_text(&mut self, (x, y): Pair, fill: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(
            r#"<text transform="translate({x} {y}) rotate(-90)" font-size="13" text-anchor="middle" fill="{fill}">{text}</text>"#
        ));
    }

    pub(super) fn title(&mut self, text: &str) {
        let text = escaped(text);
        self.add(format_args!("<title>{text}</title>"));
    }

    pub(super) fn rect(&mut self, (x, y): Pair, (width, height): Pair, fill: &str) {
        self.add(format_args!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"/>"#));
    }

    /// A rectangle that tells something when the pointer rests on it.
    pub(super) fn telling_rect(&mut self, (x, y): Pair, (width, height): Pair, fill: &str, tooltip: &str) {
        let tooltip = escaped(tooltip);
        self.add(format_args!(
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"><title>{tooltip}</title></rect>"#
        ));
    }

    pub(super) fn path(&mut self, data: &str, fill: &str) {
        self.add(format_args!(r#"<path d="{data}" fill="{fill}"/>"#));
    }

    /// A shape that what is below shines through.
    pub(super) fn veil(&mut self, data: &str, fill: &str) {
        self.add(format_args!(r#"<path d="{data}" fill="{fill}" fill-opacity="0.45"/>"#));
    }

    /// A curve with a white edge, so that it stands out from what is below.
    pub(super) fn curve(&mut self, data: &str, stroke: &str) {
        self.add(format_args!(
            r##"<path d="{data}" fill="none" stroke="#ffffff" stroke-width="5" stroke-linejoin="round"/><path d="{data}" fill="none" stroke="{stroke}" stroke-width="2.5" stroke-linejoin="round"/>"##
        ));
    }

    /// A dashed line along the given path.
    pub(super) fn dashed(&mut self, data: &str, stroke: &str) {
        self.add(format_args!(r#"<path d="{data}" fill="none" stroke="{stroke}" stroke-dasharray="4 4"/>"#));
    }

    pub(super) fn dot(&mut self, (x, y): Pair, fill: &str) {
        self.add(format_args!(
            r##"<circle cx="{x}" cy="{y}" r="5" fill="{fill}" stroke="#ffffff" stroke-width="2"/>"##
        ));
    }

    pub(super) fn grid_line(&mut self, from: Pair, to: Pair) {
        self.line(from, to, GRID);
    }

    pub(super) fn axis_line(&mut self, from: Pair, to: Pair) {
        self.line(from, to, AXIS);
    }

    pub(super) fn frame(&mut self, (x, y): Pair, (width, height): Pair) {
        self.add(format_args!(
            r##"<rect x="{x}.5" y="{y}.5" width="{width}" height="{height}" rx="4" fill="#f6f8fa" stroke="{AXIS}" stroke-dasharray="5 5"/>"##
        ));
    }

    pub(super) fn warning_box(&mut self, (x, y): Pair, (width, height): Pair) {
        let edge = WARNING.hex();
        self.add(format_args!(
            r##"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#fff4d6"/><rect x="{x}" y="{y}" width="5" height="{height}" fill="{edge}"/>"##
        ));
    }

    /// What is written until the end of the group has sharp edges.
    pub(super) fn begin_crisp(&mut self) {
        self.body.push_str("<g shape-rendering=\"crispEdges\">\n");
    }

    pub(super) fn end_crisp(&mut self) {
        self.body.push_str("</g>\n");
    }

    pub(super) fn finish(self, width: u32, height: u32) -> String {
        let stops: String = (0..=16).map(|i| f64::from(i) / 16.0).map(stop).collect();
        let (ground, hatch) = (HATCH.hex(), UNKNOWN.hex());
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="Roboto, 'Helvetica Neue', Arial, sans-serif">
<defs>
<linearGradient id="scale">{stops}</linearGradient>
<pattern id="unknown" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="{ground}"/><path d="M-1 1L1 -1M0 6L6 0M5 7L7 5" stroke="{hatch}" stroke-width="1.2"/></pattern>
</defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{}</svg>
"##,
            self.body
        )
    }

    fn line(&mut self, from: Pair, to: Pair, stroke: &str) {
        // Half pixels put a line of one pixel onto one row or column of pixels.
        self.add(format_args!(r#"<path d="M{}.5 {}.5L{}.5 {}.5" stroke="{stroke}"/>"#, from.0, from.1, to.0, to.1));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("a String takes every text");
    }
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

fn stop(offset: f64) -> String {
    let Paint { red, green, blue, .. } = viridis(offset);
    format!(r#"<stop offset="{offset}" stop-color="rgb({red},{green},{blue})"/>"#)
}

/// Width of a text in pixels, as near as can be told without the font.
pub(super) fn estimated_width(text: &str, size: u32) -> u32 {
    let hundredths = |c: char| match c {
        'M' | 'W' | 'm' | 'w' | '@' | '%' => 88,
        'A'..='Z' => 68,
        other => 56 * crate::text::char_width(other) as u32,
    };
    text.chars().map(hundredths).sum::<u32>() * size / 100
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}
