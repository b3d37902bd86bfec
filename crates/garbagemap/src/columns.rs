//! Sets of blocks and columns of numbers, in as few bits as suffice.

use crate::bits::{BitReader, BitWriter};
use crate::places::{Places, RANGE_BLOCKS};

/// How a set is written.
mod form {
    /// All places before one, which follows.
    pub(super) const BEFORE: u32 = 0;
    /// How many, and each.
    pub(super) const LIST: u32 = 1;
    /// A bit for each.
    pub(super) const BITS: u32 = 2;
}
const FORM_BITS: u32 = 2;
/// Bits of a place, and of a number of places but the greatest.
const PLACE_BITS: u32 = RANGE_BLOCKS.ilog2();

pub(crate) fn write_places(writer: &mut BitWriter, places: &Places) {
    let length = places.len();
    if *places == Places::before(length) {
        writer.write(form::BEFORE, FORM_BITS);
        writer.write(length.into(), PLACE_BITS + 1);
    } else if (u32::from(length) + 1) * PLACE_BITS < RANGE_BLOCKS.into() {
        writer.write(form::LIST, FORM_BITS);
        writer.write(length.into(), PLACE_BITS);
        places.iter().for_each(|place| writer.write(place.into(), PLACE_BITS));
    } else {
        writer.write(form::BITS, FORM_BITS);
        for word in places.words() {
            writer.write(*word as u32, 32);
            writer.write((*word >> 32) as u32, 32);
        }
    }
}

pub(crate) fn read_places(reader: &mut BitReader<'_>) -> Places {
    let mut places = Places::EMPTY;
    match reader.read(FORM_BITS) {
        form::BEFORE => places = Places::before(reader.read(PLACE_BITS + 1) as u16),
        form::LIST => {
            for _ in 0..reader.read(PLACE_BITS) {
                places.insert(reader.read(PLACE_BITS) as u16);
            }
        }
        _ => {
            for word in places.words_mut() {
                *word = u64::from(reader.read(32)) | u64::from(reader.read(32)) << 32;
            }
        }
    }
    places
}

/// Bits of how many bits the numbers of a column take: none to 16.
const WIDTH_BITS: u32 = 5;

pub(crate) fn write_column(writer: &mut BitWriter, numbers: &[u16]) {
    let (Some(least), Some(most)) = (numbers.iter().min(), numbers.iter().max()) else { return };
    let unit = numbers.iter().fold(0, |unit, number| greatest_common_divisor(unit, number - least)).max(1);
    let width = u16::BITS - ((most - least) / unit).leading_zeros();
    writer.write(width, WIDTH_BITS);
    writer.write((*least).into(), u16::BITS);
    if width > 0 {
        writer.write(unit.into(), u16::BITS);
        numbers.iter().for_each(|number| writer.write(((number - least) / unit).into(), width));
    }
}

fn greatest_common_divisor(mut one: u16, mut other: u16) -> u16 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// The beginning of a column.
pub(crate) struct Column {
    pub(crate) least: u16,
    unit: u16,
    /// Bits of each number; with none, all are `least`.
    pub(crate) width: u32,
}

impl Column {
    /// Of an empty column nothing was written.
    pub(crate) fn read(reader: &mut BitReader<'_>, any: bool) -> Self {
        if !any {
            return Self { least: 0, unit: 0, width: 0 };
        }
        let width = reader.read(WIDTH_BITS).min(u16::BITS);
        let least = reader.read(u16::BITS) as u16;
        Self { least, unit: if width > 0 { reader.read(u16::BITS) as u16 } else { 0 }, width }
    }

    pub(crate) fn next(&self, reader: &mut BitReader<'_>) -> u16 {
        self.least.wrapping_add((reader.read(self.width) as u16).wrapping_mul(self.unit))
    }
}
