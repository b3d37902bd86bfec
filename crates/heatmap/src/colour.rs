//! The colours: viridis for numbers of dead tuples, and the few others.

/// A colour as bytes of red, green, blue and as its nearest number in the palette of 256 colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    pub(crate) red: u8,
    pub(crate) green: u8,
    pub(crate) blue: u8,
    pub(crate) palette: u8,
}

/// Vermilion: differs from all of viridis in hue, for colour-blind eyes too.
pub(crate) const CURVE: Paint = paint(0xd5, 0x5e, 0x00, 166);
/// Text beside the pictures.
pub(crate) const FAINT: Paint = paint(0x80, 0x80, 0x80, 244);
/// Hatching of what is not known, and what is below it.
pub(crate) const HATCH: Paint = paint(0xd0, 0xd0, 0xd0, 252);
pub(crate) const UNKNOWN: Paint = paint(0x6c, 0x6c, 0x6c, 242);
pub(crate) const WARNING: Paint = paint(0xe6, 0x9f, 0x00, 178);
pub(crate) const DARK: Paint = paint(0x11, 0x11, 0x11, 233);
pub(crate) const LIGHT: Paint = paint(0xff, 0xff, 0xff, 231);

/// Matplotlib's viridis (by Stéfan van der Walt and Nathaniel Smith, CC0) at 17 equally distant places; between them
/// straight lines stay within 6 of 255 of the original.
const VIRIDIS: [(u8, u8, u8); 17] = [
    (68, 1, 84),
    (72, 24, 106),
    (71, 45, 123),
    (66, 64, 134),
    (59, 82, 139),
    (51, 99, 141),
    (44, 114, 142),
    (38, 130, 142),
    (33, 145, 140),
    (31, 159, 136),
    (39, 173, 129),
    (61, 188, 116),
    (92, 200, 99),
    (129, 211, 77),
    (170, 220, 50),
    (213, 226, 26),
    (253, 231, 37),
];

/// Red, green and blue at equally distant places of the scale, from nothing to the largest number.
pub(crate) fn scale() -> [[u8; 3]; VIRIDIS.len()] {
    VIRIDIS.map(|(red, green, blue)| [red, green, blue])
}

/// The same scale in the palette of 256 colours: fewer steps, but each lighter than the one before.
const VIRIDIS_PALETTE: [u8; 9] = [53, 54, 24, 30, 36, 78, 149, 184, 220];

const fn paint(red: u8, green: u8, blue: u8, palette: u8) -> Paint {
    Paint { red, green, blue, palette }
}

/// The colour of a value that lies at `fraction` between nothing (0, dark) and the end of the scale (1, light).
pub(crate) fn viridis(fraction: f64) -> Paint {
    let fraction = fraction.clamp(0.0, 1.0);
    let steps = VIRIDIS.len() - 1;
    let place = fraction * steps as f64;
    let below = (place as usize).min(steps - 1);
    let part = place - below as f64;
    let mix = |from: u8, to: u8| (f64::from(from) + part * (f64::from(to) - f64::from(from))).round() as u8;
    let (from, to) = (VIRIDIS[below], VIRIDIS[below + 1]);
    let palette = VIRIDIS_PALETTE[(fraction * (VIRIDIS_PALETTE.len() - 1) as f64).round() as usize];
    paint(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2), palette)
}

impl Paint {
    /// As SVG writes it.
    pub(crate) fn hex(&self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }

    /// The colour that can be read on this one.
    pub(crate) fn contrast(&self) -> Paint {
        if self.luma() > 120.0 { DARK } else { LIGHT }
    }

    fn luma(&self) -> f64 {
        0.299 * f64::from(self.red) + 0.587 * f64::from(self.green) + 0.114 * f64::from(self.blue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_lighter_everywhere() {
        let lumas: Vec<f64> = (0..=1000).map(|i| viridis(f64::from(i) / 1000.0).luma()).collect();
        assert!(lumas.windows(2).all(|pair| pair[0] <= pair[1] + 1.0), "rounding may cost one step, no more");
        assert!(lumas[1000] - lumas[0] > 150.0);
    }

    #[test]
    fn more_is_lighter_in_the_palette_too() {
        let luma = |index: u8| {
            let level = |digit: u8| if digit == 0 { 0 } else { 55 + 40 * digit };
            let cube = index - 16;
            paint(level(cube / 36), level(cube / 6 % 6), level(cube % 6), index).luma()
        };
        assert!(VIRIDIS_PALETTE.windows(2).all(|pair| luma(pair[0]) < luma(pair[1])));
    }

    #[test]
    fn the_ends_are_those_of_the_table_and_beyond_them_nothing_changes() {
        assert_eq!(viridis(0.0).hex(), "#440154");
        assert_eq!(viridis(1.0).hex(), "#fde725");
        assert_eq!(viridis(-1.0), viridis(0.0));
        assert_eq!(viridis(7.0), viridis(1.0));
    }
}
