//! Where a picture or a report goes, and in which format: what an option says, or else the ending of the file's name.

use std::fs;
use std::io::{IsTerminal as _, stdout};
use std::path::Path;

use anyhow::{Error, Result, bail};
use clap::ValueEnum;

use crate::exit::{Hinted, system_message};
use crate::output::Output;

/// The format that was asked for, that of the file's ending, or what standard output gets by default.
pub(crate) fn format<F: ValueEnum + Copy>(asked: Option<F>, file: Option<&Path>, default: F) -> Result<F> {
    let (None, Some(file)) = (asked, file) else { return Ok(asked.unwrap_or(default)) };
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let name = match ending.as_str() {
        "htm" => "html",
        "txt" => "text",
        "text" => "",
        other => other,
    };
    let formats = F::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let endings: Vec<String> = formats.map(|value| format!(".{}", value.get_name().replace("text", "txt"))).collect();
    F::from_str(name, false).map_err(|_| {
        let file = file.display();
        Hinted::error(
            format!("the ending of \"{file}\" does not tell the format"),
            format!("It is one of {}; or give --format.", endings.join(", ")),
        )
    })
}

/// Writes to the file, and says so on standard output with the words `what`; or without one to standard output.
pub(crate) fn write(file: Option<&Path>, content: &[u8], is_binary: bool, what: &str) -> Result<()> {
    let mut output = Output::lock();
    match file {
        Some(file) => {
            let path = file.display();
            fs::write(file, content)
                .map_err(|cause| Error::msg(format!("could not write file \"{path}\": {}", system_message(&cause))))?;
            output.write(&format!("{what} written to {path}\n"))?;
        }
        None if is_binary && stdout().is_terminal() => bail!("a picture cannot be shown in a terminal; use --output"),
        None => output.write_bytes(content)?,
    }
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heatmap::HeatmapFormat;

    #[test]
    fn the_ending_tells_the_format_unless_an_option_does() {
        let of = |asked, file: &str| format(asked, Some(Path::new(file)), HeatmapFormat::Text);
        for (file, expected) in [
            ("a/b.PNG", HeatmapFormat::Png),
            ("b.svg", HeatmapFormat::Svg),
            ("b.htm", HeatmapFormat::Html),
            ("b.html", HeatmapFormat::Html),
            ("b.csv", HeatmapFormat::Csv),
            ("b.json", HeatmapFormat::Json),
            ("b.txt", HeatmapFormat::Text),
        ] {
            assert_eq!(of(None, file).unwrap(), expected, "{file}");
            assert_eq!(of(Some(HeatmapFormat::Svg), file).unwrap(), HeatmapFormat::Svg);
        }
        for wrong in ["", "png", ".png", "a.gif", "a.text"] {
            assert!(of(None, wrong).is_err(), "{wrong}");
        }
        assert_eq!(format(None, None, HeatmapFormat::Text).unwrap(), HeatmapFormat::Text);
    }

    #[test]
    fn files_are_written_over_and_failures_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        for content in [&b"a longer one"[..], b"short"] {
            write(Some(&path), content, false, "it").unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        let message = write(Some(Path::new("/nowhere/a.svg")), b"", true, "it").unwrap_err().to_string();
        assert_eq!(message, "could not write file \"/nowhere/a.svg\": No such file or directory");
    }
}
