//! `walker heatmap`: where the dead tuples of a table are, as a picture in the terminal or in a file.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use ::heatmap::Map;
use anyhow::{Context as _, Error, Result};

use crate::arguments::HeatmapArguments;
use crate::connection;
use crate::exit::system_message;
use crate::output::Output;
use crate::summary;
use crate::terminal;

/// `walker heatmap`.
pub(crate) fn run(arguments: &HeatmapArguments) -> Result<()> {
    let mut client = connection::connect(&arguments.connection)?;
    let map = summary::read(&mut client, &arguments.table, arguments.blocks_per_range)?;
    let text = match &arguments.output {
        Some(file) => file.write(&map)?,
        None => map.to_terminal(&terminal::detect(arguments.terminal)),
    };
    let mut output = Output::lock();
    output.write(&text)?;
    Ok(output.finish()?)
}

/// A file that a picture is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PictureFile {
    path: PathBuf,
    kind: PictureKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PictureKind {
    Png,
    Svg,
}

impl FromStr for PictureFile {
    type Err = String;

    /// A path whose ending tells the kind of picture.
    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let kind = match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("png") => PictureKind::Png,
            Some("svg") => PictureKind::Svg,
            _ => return Err("the name of the file must end in .png or .svg".to_owned()),
        };
        Ok(Self { path, kind })
    }
}

impl PictureFile {
    /// Draws the map into the file, and says so in a line.
    fn write(&self, map: &Map) -> Result<String> {
        let picture = match self.kind {
            PictureKind::Png => map.to_png().context("could not draw the picture")?,
            PictureKind::Svg => map.to_svg().into_bytes(),
        };
        let path = self.path.display();
        fs::write(&self.path, picture)
            .map_err(|cause| Error::msg(format!("could not write file \"{path}\": {}", system_message(&cause))))?;
        Ok(format!("heat map of {} at {} written to {path}\n", map.table, map.lsn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_tells_the_kind_of_picture() {
        assert_eq!("a/b.PNG".parse::<PictureFile>().unwrap().kind, PictureKind::Png);
        assert_eq!("b.svg".parse::<PictureFile>().unwrap().kind, PictureKind::Svg);
        for wrong in ["", "png", ".png", "a.gif"] {
            assert!(wrong.parse::<PictureFile>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn pictures_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let map = Map { table: "t".into(), lsn: "0/1".into(), blocks_per_range: 1, ..Map::default() };
        for (name, beginning) in [("a.svg", &b"<svg"[..]), ("a.png", &b"\x89PNG"[..])] {
            let path = directory.path().join(name);
            let file: PictureFile = path.to_str().unwrap().parse().unwrap();
            let line = file.write(&map).unwrap();
            assert_eq!(line, format!("heat map of t at 0/1 written to {}\n", path.display()));
            assert!(fs::read(&path).unwrap().starts_with(beginning));
        }
        let file: PictureFile = "/nowhere/a.svg".parse().unwrap();
        let message = file.write(&map).unwrap_err().to_string();
        assert_eq!(message, "could not write file \"/nowhere/a.svg\": No such file or directory");
    }
}
