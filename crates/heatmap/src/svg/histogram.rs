//! The histogram: ranges by dead tuples, the worst first, and the share that the first ones hold together.

use std::fmt::Write;

use super::writer::{Anchor, INK, Pair, SOFT, Writer, estimated_width};
use super::{LEFT, NAMES, RIGHT, heading, placeholder};
use crate::axis::Ticks;
use crate::colour::{CURVE, viridis};
use crate::number::{grouped, short};
use crate::ranking::Ranking;
use crate::{Map, words};

const HEADING: u32 = 54;
const AXIS: u32 = 44;
/// Height of what stands for the plot when there is nothing to draw, and of the title above.
const PLACEHOLDER: u32 = 150;
const PLAIN_HEADING: u32 = 34;

/// The rectangle between the axes.
struct Plot {
    origin: Pair,
    width: u32,
    height: u32,
}

impl Plot {
    fn x(&self, fraction: f64) -> u32 {
        self.origin.0 + (fraction * f64::from(self.width)).round() as u32
    }

    fn y(&self, fraction: f64) -> u32 {
        self.bottom() - (fraction * f64::from(self.height)).round() as u32
    }

    fn bottom(&self) -> u32 {
        self.origin.1 + self.height
    }
}

pub(super) fn draw(writer: &mut Writer, map: &Map, ranking: &Ranking, ticks: &Ticks, top: u32, height: u32) -> u32 {
    let title = "How much the worst ranges hold";
    if let Some(sentence) = words::nothing_to_draw(map, ranking) {
        heading(writer, map, top, title, "");
        placeholder(writer, top + PLAIN_HEADING, PLACEHOLDER, sentence);
        return top + PLAIN_HEADING + PLACEHOLDER;
    }
    let left_out = if ranking.unknown > 0 { " Unknown ranges are left out." } else { "" };
    let caption =
        format!("Bars: dead tuples of each range, colours as above. Line: share of all dead tuples.{left_out}");
    heading(writer, map, top, title, &caption);
    let plot = Plot { origin: (LEFT, top + HEADING), width: RIGHT - LEFT, height };
    value_axis(writer, &plot, ticks);
    share_axis(writer, &plot);
    bars(writer, &plot, ranking, ticks);
    curve(writer, &plot, ranking);
    range_axis(writer, &plot, ranking);
    plot.bottom() + AXIS
}

fn value_axis(writer: &mut Writer, plot: &Plot, ticks: &Ticks) {
    for value in &ticks.values {
        let y = plot.y(ticks.fraction(*value));
        writer.grid_line((plot.origin.0, y), (plot.x(1.0), y));
        writer.text((plot.origin.0 - 9, y + 4), 12, Anchor::End, SOFT, &short(*value));
    }
    writer.upright_text((NAMES, plot.y(0.5)), INK, "dead tuples per range");
}

fn share_axis(writer: &mut Writer, plot: &Plot) {
    for percent in (0..=100).step_by(20) {
        let y = plot.y(f64::from(percent) / 100.0);
        writer.axis_line((plot.x(1.0) + 1, y), (plot.x(1.0) + 4, y));
        writer.text((plot.x(1.0) + 9, y + 4), 12, Anchor::Start, &CURVE.hex(), &format!("{percent} %"));
    }
    writer.upright_text((RIGHT + 60, plot.y(0.5)), &CURVE.hex(), "% of all dead tuples");
}

fn bars(writer: &mut Writer, plot: &Plot, ranking: &Ranking, ticks: &Ticks) {
    let count = ranking.len();
    writer.begin_crisp();
    let mut bar = |left: u32, right: u32, dead: u64| {
        let top = plot.y(ticks.fraction(dead));
        if dead > 0 && right > left {
            // Even the smallest number of dead tuples is not none.
            let height = (plot.bottom() - top).max(1);
            let fill = viridis(ticks.fraction(dead)).hex();
            writer.rect((left, plot.bottom() - height), (right - left, height), &fill);
        }
    };
    if count as u32 <= plot.width / 5 {
        let slot = f64::from(plot.width) / count as f64;
        let gap = ((slot * 0.12) as u32).clamp(1, 12);
        let inset = ((slot - 160.0) / 2.0).max(0.0) as u32;
        for (index, dead) in ranking.dead.iter().enumerate() {
            let [left, right] = [index, index + 1].map(|i| plot.x(i as f64 / count as f64));
            bar(left + inset, right - gap - inset, *dead);
        }
    } else {
        for pixel in 0..plot.width {
            let index = count * pixel as usize / plot.width as usize;
            bar(plot.origin.0 + pixel, plot.origin.0 + pixel + 1, ranking.dead[index]);
        }
    }
    writer.end_crisp();
}

fn curve(writer: &mut Writer, plot: &Plot, ranking: &Ranking) {
    let count = ranking.len() as f64;
    let points = (ranking.len() as u32).min(plot.width / 2);
    let mut data = String::new();
    for point in 0..=points {
        let at = f64::from(point) / f64::from(points);
        let x = f64::from(plot.origin.0) + at * f64::from(plot.width);
        let y = f64::from(plot.bottom()) - ranking.share_of_first(at * count) * f64::from(plot.height);
        let command = if point == 0 { 'M' } else { 'L' };
        write!(data, "{command}{x:.1} {y:.1}").expect("a String takes every text");
    }
    let ranges = ranking.ranges_for(80) as f64;
    let at = (plot.x(ranges / count), plot.y(ranking.share_of_first(ranges)));
    writer.dashed(&format!("M{}.5 {}V{}.5H{}", at.0, plot.bottom(), at.1, plot.x(1.0)), &CURVE.hex());
    writer.curve(&data, &CURVE.hex());
    writer.dot(at, &CURVE.hex());
}

fn range_axis(writer: &mut Writer, plot: &Plot, ranking: &Ranking) {
    let bottom = plot.bottom();
    let count = ranking.len() as u64;
    writer.axis_line((plot.origin.0, bottom), (plot.x(1.0), bottom));
    let wanted = if count < 10 { count as u32 } else { 10 };
    let last_label = plot.x(1.0) - 2 * estimated_width(&grouped(count), 12);
    for value in Ticks::covering(count, wanted).values {
        // The last tick may lie beyond the last range, whose number then takes its place.
        let value = value.min(count);
        let x = plot.x(value as f64 / count as f64);
        if value < count && x > last_label && count > 10 {
            continue;
        }
        writer.axis_line((x, bottom + 1), (x, bottom + 4));
        writer.text((x, bottom + 18), 12, Anchor::Middle, SOFT, &grouped(value));
    }
    let middle = plot.x(0.5);
    writer.text((middle, bottom + 38), 13, Anchor::Middle, INK, "number of ranges, most dead tuples first");
}
