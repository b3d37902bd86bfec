//! `walker heatmap`: where the dead tuples of a table are, or of all, as a picture or as data.

mod all;
mod data;

use ::heatmap::Map;
use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::arguments::HeatmapArguments;
use crate::connection;
use crate::origin;
use crate::output_file;
use crate::summary;
use crate::terminal;
use data::Data;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeatmapFormat {
    /// Characters and colours
    Text,
    /// A picture of pixels
    Png,
    /// A picture of shapes
    Svg,
    /// A page that asks for nothing
    Html,
    /// CSV with a heading
    Csv,
    /// JSON for programs
    Json,
}

impl HeatmapFormat {
    /// Whether there is a row for each range instead of a picture.
    fn is_data(self) -> bool {
        matches!(self, Self::Csv | Self::Json)
    }
}

const NOT_DRAWN: &str = "could not draw the picture";

/// `walker heatmap`.
pub(crate) fn run(arguments: &HeatmapArguments) -> Result<()> {
    let file = arguments.output.as_deref();
    let format = output_file::format(arguments.format, file, HeatmapFormat::Text)?;
    let mut client = connection::connect(&arguments.connection)?;
    let made = match &arguments.table {
        Some(table) => of_table(&mut client, arguments, table, format)?,
        None => all::draw(&mut client, arguments, format)?,
    };
    output_file::write(file, &made.content, format == HeatmapFormat::Png, &made.what)
}

/// What there is to write, and the words for it.
#[derive(Debug)]
struct Made {
    content: Vec<u8>,
    what: String,
}

fn of_table(
    client: &mut postgres::Client,
    arguments: &HeatmapArguments,
    table: &str,
    format: HeatmapFormat,
) -> Result<Made> {
    let what = |map: &Map| format!("heat map of {} at {}", map.table, map.lsn);
    if format.is_data() || format == HeatmapFormat::Html {
        let origin = origin::read(client)?;
        let (map, details) = summary::read_detailed(client, table, arguments.blocks_per_range)?;
        let content = match format {
            HeatmapFormat::Html => {
                let dead_bytes: Vec<Option<u64>> = details.iter().map(|detail| detail.dead_bytes).collect();
                map.to_html(&origin, &dead_bytes).context(NOT_DRAWN)?.into_bytes()
            }
            _ => Data::of_table(&origin, &map, &details).write(format)?,
        };
        return Ok(Made { content, what: what(&map) });
    }
    let map = summary::read(client, table, arguments.blocks_per_range)?;
    let content = match format {
        HeatmapFormat::Png => map.to_png().context(NOT_DRAWN)?,
        HeatmapFormat::Svg => map.to_svg().into_bytes(),
        _ => map.to_terminal(&terminal_for(arguments)).into_bytes(),
    };
    Ok(Made { content, what: what(&map) })
}

/// The terminal, or for a file one without colours.
fn terminal_for(arguments: &HeatmapArguments) -> ::heatmap::Terminal {
    let terminal = terminal::detect(arguments.terminal);
    let is_plain = arguments.output.is_some() && arguments.terminal.colour != crate::arguments::ColourChoice::Always;
    if is_plain { ::heatmap::Terminal { colour: ::heatmap::Colour::None, ..terminal } } else { terminal }
}
