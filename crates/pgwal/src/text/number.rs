//! Numbers, eight digits at a time: each digit is a byte of one machine word.

use super::{Piece, Room};

/// 10^8: a smaller number has at most eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;
/// `'0'` in each byte.
const ZEROES: u64 = 0x3030_3030_3030_3030;
/// The lowest bit of each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Decimal digits of a number below 10^8, as values, the highest in the lowest byte.
#[inline(always)]
const fn decimal_digits(number: u32) -> u64 {
    // Halves of four digits, then quarters of two, then digits: the quotient stays where the number was, and the
    // remainder comes behind it. The divisions are multiplications by 1/100 and 1/10, exact for what is divided.
    let number = number as u64;
    let halves = (number / 10_000) | (number % 10_000) << 32;
    let hundreds = (halves.wrapping_mul(5243) >> 19) & 0x0000_007F_0000_007F;
    let quarters = hundreds | halves.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (quarters.wrapping_mul(103) >> 10) & 0x000F_000F_000F_000F;
    tens | quarters.wrapping_sub(tens.wrapping_mul(10)) << 8
}

/// Hexadecimal digits, as values, the highest in the lowest byte.
#[inline(always)]
const fn hexadecimal_digits(number: u32) -> u64 {
    let bytes = number.swap_bytes() as u64;
    let pairs = (bytes | bytes << 16) & 0x0000_FFFF_0000_FFFF;
    let singles = (pairs | pairs << 8) & 0x00FF_00FF_00FF_00FF;
    (singles >> 4 & 0x000F_000F_000F_000F) | (singles & 0x000F_000F_000F_000F) << 8
}

/// Turns values up to 15 into characters. `gap` lies between the characters `9` and `A`.
#[inline(always)]
const fn hexadecimal_characters(digits: u64, gap: u64) -> u64 {
    let letters = digits.wrapping_add(ONES.wrapping_mul(6)) >> 4 & ONES;
    digits.wrapping_add(ZEROES).wrapping_add(letters.wrapping_mul(gap))
}

/// Bits of leading zeroes, in whole digits; the last digit is none.
#[inline(always)]
const fn leading_zeroes(digits: u64) -> u32 {
    (digits | 1 << 56).trailing_zeros() & !7
}

/// Stores digits without leading zeroes. `characters` are those of `digits`.
#[inline(always)]
fn put_significant(digits: u64, characters: u64, room: &mut Room<'_>) {
    let zeroes = leading_zeroes(digits);
    room.put_part((characters >> zeroes).to_le_bytes(), 8usize.wrapping_sub(zeroes as usize / 8));
}

/// The eight digits of a number below 10^8; of a greater one the lower digits.
#[inline(always)]
pub(crate) const fn eight_digits(number: u32) -> [u8; 8] {
    (decimal_digits(number % EIGHT_DIGITS as u32) | ZEROES).to_le_bytes()
}

/// The lower eight digits, and what is above them.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // A remainder below 10^8 fits.
const fn split(number: u64) -> (u64, u32) {
    (number / EIGHT_DIGITS, (number % EIGHT_DIGITS) as u32)
}

#[inline(always)]
fn put_decimal(number: u64, room: &mut Room<'_>) {
    if number < EIGHT_DIGITS {
        let digits = decimal_digits(split(number).1);
        put_significant(digits, digits | ZEROES, room);
    } else {
        put_long_decimal(number, room);
    }
}

#[cold]
fn put_long_decimal(number: u64, room: &mut Room<'_>) {
    let (upper, lower) = split(number);
    let (highest, middle) = split(upper);
    if highest > 0 {
        put_decimal(highest, room);
        room.put_chunk(eight_digits(middle));
    } else {
        put_decimal(u64::from(middle), room);
    }
    room.put_chunk(eight_digits(lower));
}

macro_rules! unsigned {
    ($($number:ty),*) => {$(
        impl Piece for $number {
            #[inline(always)]
            fn room(&self) -> usize {
                24
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
                25
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
        if WIDTH == 6 && self.0 < 1_000_000 {
            let [_, _, column @ ..] = right_aligned(self.0);
            room.put_chunk(column);
        } else if WIDTH == 10 && u64::from(self.0) < EIGHT_DIGITS {
            room.put_chunk([b' '; 2]);
            room.put_chunk(right_aligned(self.0));
        } else {
            let length = self.0.checked_ilog10().map_or(1, |exponent| exponent.saturating_add(1)) as usize;
            room.put_part([b' '; WIDTH], WIDTH.saturating_sub(length));
            self.0.put(room);
        }
    }
}

/// A number below 10^8 at the right end of a column of eight bytes.
#[inline(always)]
const fn right_aligned(number: u32) -> [u8; 8] {
    let digits = decimal_digits(number);
    // A zero and a blank differ by one bit.
    let before = (1u64 << leading_zeroes(digits)).wrapping_sub(1) & (ONES << 4);
    ((digits | ZEROES) ^ before).to_le_bytes()
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
        let digits = hexadecimal_digits(self.0);
        put_significant(digits, hexadecimal_characters(digits, 7), room);
    }
}

/// A byte as C's `%x`: lower case.
pub(crate) struct LowerHex(pub(crate) u8);

impl Piece for LowerHex {
    fn room(&self) -> usize {
        8
    }

    fn put(&self, room: &mut Room<'_>) {
        let digits = hexadecimal_digits(u32::from(self.0));
        put_significant(digits, hexadecimal_characters(digits, 39), room);
    }
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
        let [.., upper, lower] = hexadecimal_characters(hexadecimal_digits(u32::from(self.0)), 7).to_le_bytes();
        room.put_chunk([upper, lower]);
    }
}

/// A number as C's `%08X`.
pub(crate) struct Hex8(pub(crate) u32);

impl Piece for Hex8 {
    #[inline(always)]
    fn room(&self) -> usize {
        8
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk(hexadecimal_characters(hexadecimal_digits(self.0), 7).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(piece: impl Piece) -> String {
        let mut bytes = vec![b'#'; piece.room()];
        String::from_utf8(Room::fill(&mut bytes, piece).to_vec()).unwrap()
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
            let eight = short % 100_000_000;
            prop_assert_eq!(eight_digits(eight).to_vec(), format!("{eight:08}").into_bytes());
        }
    }
}
