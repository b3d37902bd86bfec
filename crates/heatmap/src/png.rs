//! The SVG as PNG, with the bundled font alone: the picture is the same on every machine.

use std::sync::Arc;

use resvg::usvg::{self, fontdb};
use resvg::{render as render_tree, tiny_skia};

const FONT: &[u8] = include_bytes!("../assets/Roboto-Regular.ttf");
const FAMILY: &str = "Roboto";

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The renderer could not read the SVG.
    #[error("could not read the picture's SVG")]
    Svg(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A picture of this width and height cannot be held in memory.
    #[error("could not make a picture of {0} by {1} pixels")]
    Size(u32, u32),
    /// The encoder failed.
    #[error("could not encode the picture as PNG")]
    Png(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A page could not be written.
    #[error("could not write the page")]
    Html(#[from] askama::Error),
}

pub(crate) fn render(svg: &str) -> Result<Vec<u8>, Error> {
    let tree = parse(svg)?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width(), size.height());
    let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or(Error::Size(width, height))?;
    render_tree(&tree, tiny_skia::Transform::default(), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| Error::Png(error.into()))
}

pub(crate) fn parse(svg: &str) -> Result<usvg::Tree, Error> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let options = usvg::Options { fontdb: Arc::new(fonts), font_family: FAMILY.to_owned(), ..Default::default() };
    usvg::Tree::from_str(svg, &options).map_err(|error| Error::Svg(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Map;

    fn decoded(map: &Map) -> tiny_skia::Pixmap {
        tiny_skia::Pixmap::decode_png(&map.to_png().unwrap()).unwrap()
    }

    #[test]
    fn png_has_the_size_of_the_svg_and_the_colours_of_the_map() {
        let map = crate::samples::map(300);
        let size = parse(&map.to_svg()).unwrap().size().to_int_size();
        let pixels = decoded(&map);
        assert_eq!((pixels.width(), pixels.height()), (1200, size.height()));
        let count = |wanted: &dyn Fn(u8, u8, u8) -> bool| {
            pixels.pixels().iter().filter(|p| wanted(p.red(), p.green(), p.blue())).count()
        };
        assert!(count(&|r, g, b| (r, g, b) == (255, 255, 255)) > 100_000, "paper");
        assert!(count(&|r, g, b| r < 90 && g < 60 && b > 80) > 10_000, "few dead tuples");
        assert!(count(&|r, g, b| r > 120 && g > 200 && b < 90) > 10_000, "many dead tuples");
    }

    #[test]
    fn text_is_drawn_without_fonts_of_the_system() {
        let named = Map { table: "MMMMMMMMMM".to_owned(), ..Map::default() };
        let dark = |map: &Map| decoded(map).pixels().iter().filter(|p| p.red() < 100).count();
        assert!(dark(&named) > dark(&Map::default()) + 200);
    }
}
