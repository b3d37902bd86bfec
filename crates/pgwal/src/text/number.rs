//! Numbers: decimal ones by groups of three digits, hexadecimal ones by bytes, both out of tables.

use super::{Piece, Room};

/// Three decimal digits as characters, the first in the lowest byte, with blanks instead of leading zeroes. The highest
/// byte says how many bits the blanks have.
#[derive(Clone, Copy)]
struct Group(u32);

/// The groups of 0 to 999.
#[allow(clippy::indexing_slicing)] // At compile time.
static GROUPS: [Group; 1000] = {
    let mut groups = [Group(0); 1000];
    let mut number = 0;
    while number < 1000 {
        let [first, second, third] = [number / 100, number / 10 % 10, number % 10];
        let zeroes = u32::from_le_bytes([b'0' + first as u8, b'0' + second as u8, b'0' + third as u8, 0]);
        groups[number] = Group(match number {
            0..10 => zeroes ^ 0x1000_1010,
            10..100 => zeroes ^ 0x0800_0010,
            _ => zeroes,
        });
        number += 1;
    }
    groups
};

impl Group {
    /// The lowest three digits of a number.
    #[inline(always)]
    fn of(number: u64) -> Self {
        GROUPS.get((number % 1000) as usize).copied().unwrap_or(Self(0))
    }

    /// With blanks.
    #[inline(always)]
    const fn with_blanks(self) -> [u8; 3] {
        let [first, second, third, _] = self.0.to_le_bytes();
        [first, second, third]
    }

    /// With leading zeroes: they and blanks differ by one bit.
    #[inline(always)]
    const fn with_zeroes(self) -> [u8; 3] {
        Self(self.0 | 0x10_1010).with_blanks()
    }

    /// Stores it without blanks.
    #[inline(always)]
    fn put(self, room: &mut Room<'_>) {
        let blanks = self.0 >> 24;
        room.put_part(self.0.wrapping_shr(blanks).to_le_bytes(), 3u8.wrapping_sub((blanks / 8) as u8));
    }
}

/// The lowest three digits of a number.
#[inline(always)]
pub(crate) fn three_digits(number: i64) -> [u8; 3] {
    Group::of(number.unsigned_abs()).with_zeroes()
}

#[inline(always)]
fn put_decimal(number: u64, room: &mut Room<'_>) {
    match number {
        0..1000 => Group::of(number).put(room),
        1000..1_000_000 => {
            Group::of(number / 1000).put(room);
            room.put_chunk(Group::of(number).with_zeroes());
        }
        _ => {
            // Its memory is its own, or else the room of all pieces could not be kept in registers.
            let (digits, length) = long_decimal(number);
            room.put_part(digits, length);
        }
    }
}

/// The digits of a number, and how many there are.
#[inline(never)]
fn long_decimal(number: u64) -> ([u8; 21], u8) {
    let mut digits = [0; 21];
    let length = Room::fill(&mut digits, Groups(number));
    (digits, length as u8)
}

/// Any number of groups: all but the first have all their digits.
struct Groups(u64);

impl Piece for Groups {
    fn room(&self) -> usize {
        21
    }

    fn put(&self, room: &mut Room<'_>) {
        match self.0 {
            0..1000 => Group::of(self.0).put(room),
            number => {
                Self(number / 1000).put(room);
                room.put_chunk(Group::of(number).with_zeroes());
            }
        }
    }
}

macro_rules! unsigned {
    ($($number:ty),*) => {$(
        impl Piece for $number {
            #[inline(always)]
            fn room(&self) -> usize {
                22
            }

            #[inline(always)]
            fn put(&self, room: &mut Room<'_>) {
                put_decimal(*self as u64, room);
            }
        }
    )*};
}

macro_rules! signed {
    ($($number:ty),*) => {$(
        impl Piece for $number {
            #[inline(always)]
            fn room(&self) -> usize {
                23
            }

            #[inline(always)]
            fn put(&self, room: &mut Room<'_>) {
                if *self < 0 {
                    room.put_slice(b"-");
                }
                put_decimal(u64::from(self.unsigned_abs()), room);
            }
        }
    )*};
}

unsigned!(u8, u16, u32, u64, usize);
signed!(i8, i16, i32, i64);

/// A decimal number at the right end of a column of `WIDTH` bytes; wider if it must be.
pub(crate) struct Right<const WIDTH: usize>(pub(crate) u32);

impl<const WIDTH: usize> Piece for Right<WIDTH> {
    #[inline(always)]
    fn room(&self) -> usize {
        WIDTH.saturating_add(self.0.room())
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        let number = u64::from(self.0);
        match number {
            0..1000 if WIDTH >= 3 => {
                room.put_part([b' '; WIDTH], WIDTH.saturating_sub(3) as u8);
                room.put_chunk(Group::of(number).with_blanks());
            }
            1000..1_000_000 if WIDTH >= 6 => {
                room.put_part([b' '; WIDTH], WIDTH.saturating_sub(6) as u8);
                room.put_chunk(Group::of(number / 1000).with_blanks());
                room.put_chunk(Group::of(number).with_zeroes());
            }
            _ => {
                let length = self.0.checked_ilog10().map_or(1, |exponent| exponent.saturating_add(1)) as usize;
                room.put_part([b' '; WIDTH], WIDTH.saturating_sub(length) as u8);
                self.0.put(room);
            }
        }
    }
}

/// The two hexadecimal digits of each byte.
#[allow(clippy::indexing_slicing)] // At compile time.
static BYTES: [[u8; 2]; 256] = {
    let digits = *b"0123456789ABCDEF";
    let mut bytes = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = [digits[byte / 16], digits[byte % 16]];
        byte += 1;
    }
    bytes
};

#[inline(always)]
fn two_digits(byte: u8) -> [u8; 2] {
    BYTES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A byte as C's `%02X`.
pub(crate) struct Hex2(pub(crate) u8);

impl Piece for Hex2 {
    #[inline(always)]
    fn room(&self) -> usize {
        2
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk(two_digits(self.0));
    }
}

/// A number as C's `%08X`.
pub(crate) struct Hex8(pub(crate) u32);

impl Hex8 {
    #[inline(always)]
    fn characters(&self) -> [u8; 8] {
        let [[a, b], [c, d], [e, f], [g, h]] = self.0.to_be_bytes().map(two_digits);
        [a, b, c, d, e, f, g, h]
    }
}

impl Piece for Hex8 {
    #[inline(always)]
    fn room(&self) -> usize {
        8
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk(self.characters());
    }
}

/// A number as C's `%X`.
pub(crate) struct Hex(pub(crate) u32);

impl Piece for Hex {
    #[inline(always)]
    fn room(&self) -> usize {
        8
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        // The upper half of most LSNs.
        if let [digit @ 0..10, 0, 0, 0] = self.0.to_le_bytes() {
            return room.put_chunk([b'0' | digit]);
        }
        let zeroes = (self.0 | 1).leading_zeros() / 4;
        let digits = u64::from_le_bytes(Hex8(self.0).characters()) >> zeroes.wrapping_mul(8);
        room.put_part(digits.to_le_bytes(), 8u8.wrapping_sub(zeroes as u8));
    }
}

/// A byte as C's `%x`: lower case.
pub(crate) struct LowerHex(pub(crate) u8);

impl Piece for LowerHex {
    fn room(&self) -> usize {
        2
    }

    fn put(&self, room: &mut Room<'_>) {
        let [first, second] = two_digits(self.0).map(|digit| digit.to_ascii_lowercase());
        match self.0 {
            0..16 => room.put_chunk([second]),
            _ => room.put_chunk([first, second]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(piece: impl Piece) -> String {
        let mut bytes = vec![b'#'; piece.room()];
        let length = Room::fill(&mut bytes, piece);
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn numbers_of_each_length_have_their_digits() {
        let powers = std::iter::successors(Some(1u64), |power| power.checked_mul(10));
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX, u64::MAX / 10]) {
            assert_eq!(text(number), number.to_string());
            let Ok(short) = u32::try_from(number) else { continue };
            assert_eq!(text(short), short.to_string());
            assert_eq!(text(Right::<6>(short)), format!("{short:>6}"));
            assert_eq!(text(Right::<10>(short)), format!("{short:>10}"));
        }
        assert_eq!([text(i8::MIN), text(i16::MIN), text(i32::MIN)], ["-128", "-32768", "-2147483648"]);
        assert_eq!([text(i64::MIN), text(i64::MAX)], [i64::MIN.to_string(), i64::MAX.to_string()]);
    }

    #[test]
    fn small_numbers_are_all_right() {
        for number in 0..=u16::MAX {
            assert_eq!(text(number), number.to_string());
            assert_eq!(text(Right::<6>(number.into())), format!("{number:>6}"));
            assert_eq!(text(Hex(number.into())), format!("{number:X}"));
        }
        for byte in 0..=u8::MAX {
            assert_eq!(text(byte), byte.to_string());
            assert_eq!(text(Hex2(byte)), format!("{byte:02X}"));
            assert_eq!(text(LowerHex(byte)), format!("{byte:x}"));
        }
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_format(short: u32, long: u64, bits in 0..64u32) {
            let long = long >> bits;
            prop_assert_eq!(text(short), short.to_string());
            prop_assert_eq!(text(long), long.to_string());
            prop_assert_eq!(text(long.cast_signed()), long.cast_signed().to_string());
            prop_assert_eq!(text(Hex(short)), format!("{short:X}"));
            prop_assert_eq!(text(Hex8(short)), format!("{short:08X}"));
            prop_assert_eq!(text(Right::<10>(short)), format!("{short:>10}"));
            let three = short % 1000;
            prop_assert_eq!(three_digits(three.into()).to_vec(), format!("{three:03}").into_bytes());
        }
    }
}
