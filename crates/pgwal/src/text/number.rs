//! Numbers: small decimal ones and the bytes of hexadecimal ones out of tables, longer decimal ones by eight digits at
//! once. How many digits a number has is hard to foresee for a processor, so there is no branch for it.

use super::{Piece, Room, Short};

/// Three decimal digits as characters, the first in the lowest byte. The highest byte says how many bits the leading
/// zeroes have; a number has one digit at least.
#[derive(Clone, Copy)]
struct Group(u32);

/// The groups of 0 to 999.
#[allow(clippy::indexing_slicing)] // At compile time.
static GROUPS: [Group; 1000] = {
    let mut groups = [Group(0); 1000];
    let mut number = 0;
    while number < 1000 {
        let [first, second, third] = [number / 100, number / 10 % 10, number % 10];
        let leading_zeroes = if number < 10 {
            16
        } else if number < 100 {
            8
        } else {
            0
        };
        let bytes = [b'0' + first as u8, b'0' + second as u8, b'0' + third as u8, leading_zeroes];
        groups[number] = Group(u32::from_le_bytes(bytes));
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

    /// How many bits the leading zeroes have.
    #[inline(always)]
    const fn leading_zeroes(self) -> u32 {
        self.0 >> 24
    }

    #[inline(always)]
    const fn with_zeroes(self) -> [u8; 3] {
        let [first, second, third, _] = self.0.to_le_bytes();
        [first, second, third]
    }

    /// Stores it with blanks instead of leading zeroes: they differ by one bit.
    #[inline(always)]
    fn put_with_blanks(self, room: &mut Room<'_>) {
        let zero_bits = 0x10_1010 & !u32::MAX.wrapping_shl(self.leading_zeroes());
        room.put_part((self.0 ^ zero_bits).to_le_bytes(), 3);
    }

    /// Stores it without leading zeroes.
    #[inline(always)]
    fn put(self, room: &mut Room<'_>) {
        let zeroes = self.leading_zeroes();
        room.put_part(self.0.wrapping_shr(zeroes).to_le_bytes(), 3u8.wrapping_sub((zeroes / 8) as u8));
    }
}

/// The lowest three digits of a number.
#[inline(always)]
pub(crate) fn three_digits(number: i64) -> [u8; 3] {
    Group::of(number.unsigned_abs()).with_zeroes()
}

/// The lowest six digits of a number.
#[inline(always)]
pub(crate) fn six_digits(number: i64) -> [u8; 6] {
    let ([a, b, c], [d, e, f]) = (three_digits(number / 1000), three_digits(number));
    [a, b, c, d, e, f]
}

/// Six decimal digits, the first in the lowest byte.
#[derive(Clone, Copy)]
struct SixDigits {
    /// With leading zeroes. The upper two bytes do not count.
    characters: u64,
    /// How many bits the leading zeroes have; a number has one digit at least.
    leading_zeroes: u32,
}

impl SixDigits {
    /// One more than the largest number that has no more digits.
    const LIMIT: u32 = 1_000_000;

    /// The digits of a number below [`SixDigits::LIMIT`].
    #[inline(always)]
    fn of(number: u32) -> Self {
        let (thousands, ones) = (number / 1000, number % 1000);
        let (first, second) = (Group::of(thousands.into()), Group::of(ones.into()));
        let leading_zeroes =
            if thousands == 0 { second.leading_zeroes().wrapping_add(24) } else { first.leading_zeroes() };
        let characters = u64::from(first.0 & 0xFF_FFFF) | u64::from(second.0) << 24;
        Self { characters, leading_zeroes }
    }

    /// Stores them with blanks instead of leading zeroes.
    #[inline(always)]
    fn put_with_blanks(self, room: &mut Room<'_>) {
        let zero_bits = 0x1010_1010_1010 & !u64::MAX.wrapping_shl(self.leading_zeroes);
        room.put_part((self.characters ^ zero_bits).to_le_bytes(), 6);
    }

    /// Stores them without leading zeroes.
    #[inline(always)]
    fn put(self, room: &mut Room<'_>) {
        let digits = self.characters.wrapping_shr(self.leading_zeroes);
        room.put_part(digits.to_le_bytes(), 6u8.wrapping_sub((self.leading_zeroes / 8) as u8));
    }
}

/// Eight decimal digits, the first in the lowest byte, each as its value.
#[derive(Clone, Copy)]
struct EightDigits(u64);

impl EightDigits {
    /// One more than the largest number that has no more digits.
    const LIMIT: u32 = 100_000_000;

    /// The digits of a number below [`EightDigits::LIMIT`]: halved three times, each time all parts at once. A product
    /// shifted to the right stands for the division; it is exact for parts that small.
    #[inline(always)]
    const fn of(number: u32) -> Self {
        let (thousands, ones) = (number / 10_000, number % 10_000);
        let halves = thousands as u64 | (ones as u64) << 32;
        let hundreds = (halves.wrapping_mul(10_486) >> 20) & 0x0000_007F_0000_007F;
        let pairs = hundreds | halves.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
        let tens = (pairs.wrapping_mul(103) >> 10) & 0x000F_000F_000F_000F;
        Self(tens | pairs.wrapping_sub(tens.wrapping_mul(10)) << 8)
    }

    /// How many bits the leading zeroes have; a number has one digit at least.
    #[inline(always)]
    const fn leading_zeroes(self) -> u32 {
        (self.0 | 1 << 56).trailing_zeros() & !7
    }

    #[inline(always)]
    const fn with_zeroes(self) -> [u8; 8] {
        (self.0 | 0x3030_3030_3030_3030).to_le_bytes()
    }

    /// Stores them without leading zeroes.
    #[inline(always)]
    fn put(self, room: &mut Room<'_>) {
        let zeroes = self.leading_zeroes();
        let digits = u64::from_le_bytes(self.with_zeroes()).wrapping_shr(zeroes);
        room.put_part(digits.to_le_bytes(), 8u8.wrapping_sub((zeroes / 8) as u8));
    }
}

/// For numbers that are mostly small.
#[inline(always)]
fn put_small(number: u64, room: &mut Room<'_>) {
    match number {
        0..1000 => Group::of(number).put(room),
        _ => put_any(number, room),
    }
}

/// For numbers of any size.
#[inline(always)]
fn put_any(number: u64, room: &mut Room<'_>) {
    match u32::try_from(number) {
        Ok(number @ 0..SixDigits::LIMIT) => SixDigits::of(number).put(room),
        Ok(number @ SixDigits::LIMIT..EightDigits::LIMIT) => EightDigits::of(number).put(room),
        Ok(number) => {
            Group::of(u64::from(number / EightDigits::LIMIT)).put(room);
            room.put_chunk(EightDigits::of(number % EightDigits::LIMIT).with_zeroes());
        }
        // Its memory is its own, or else the room of all pieces could not be kept in registers.
        _ => long_decimal(number).put(room),
    }
}

/// The digits of a number.
#[inline(never)]
fn long_decimal(number: u64) -> Short<20> {
    Short::new(number.to_string().as_bytes()).unwrap_or(Short::EMPTY)
}

/// A number that hardly ever has more than one digit: that it has one is easy to foresee.
pub(crate) struct MostlyDigit(pub(crate) u8);

impl Piece for MostlyDigit {
    const LONGEST: usize = 3;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        match self.0 {
            digit @ 0..10 => room.put_chunk([b'0' | digit]),
            number => Group::of(number.into()).put(room),
        }
    }
}

/// Most that a number has.
const DIGITS: usize = 20;

macro_rules! unsigned {
    ($put:ident: $($number:ty),*) => {$(
        impl Piece for $number {
            const LONGEST: usize = DIGITS;

            #[inline(always)]
            fn put(&self, room: &mut Room<'_>) {
                $put(*self as u64, room);
            }
        }
    )*};
}

macro_rules! signed {
    ($put:ident: $($number:ty),*) => {$(
        impl Piece for $number {
            const LONGEST: usize = DIGITS + 1;

            #[inline(always)]
            fn put(&self, room: &mut Room<'_>) {
                room.put_part(*b"-", u8::from(*self < 0));
                $put(u64::from(self.unsigned_abs()), room);
            }
        }
    )*};
}

// Counts and places within a page are small; numbers of transactions, blocks and files have any length.
unsigned!(put_small: u8, u16, usize);
unsigned!(put_any: u32, u64);
signed!(put_small: i8, i16, i32, i64);

/// A decimal number at the right end of a column of `WIDTH` bytes, six to sixteen; wider if it must be.
pub(crate) struct Right<const WIDTH: usize>(pub(crate) u32);

impl<const WIDTH: usize> Piece for Right<WIDTH> {
    const LONGEST: usize = if WIDTH < DIGITS { DIGITS } else { WIDTH };

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        // A power of two is stored at once.
        let blanks = [b' '; 16];
        match self.0 {
            number @ 0..1000 => {
                room.put_part(blanks, const { (WIDTH - 3) as u8 });
                Group::of(number.into()).put_with_blanks(room);
            }
            number @ 1000..SixDigits::LIMIT => {
                room.put_part(blanks, const { (WIDTH - 6) as u8 });
                SixDigits::of(number).put_with_blanks(room);
            }
            number => {
                let digits = number.ilog10().saturating_add(1);
                room.put_part(blanks, (WIDTH as u8).saturating_sub(digits as u8));
                put_any(number.into(), room);
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
    const LONGEST: usize = 2;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk(two_digits(self.0));
    }
}

/// A number as C's `%X`.
pub(crate) struct Hex(pub(crate) u32);

impl Piece for Hex {
    const LONGEST: usize = 8;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        // The upper half of most LSNs.
        if let [digit @ 0..10, 0, 0, 0] = self.0.to_le_bytes() {
            return room.put_chunk([b'0' | digit]);
        }
        let zeroes = (self.0 | 1).leading_zeros() / 4;
        let [[a, b], [c, d], [e, f], [g, h]] = self.0.to_be_bytes().map(two_digits);
        let digits = u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> zeroes.wrapping_mul(8);
        room.put_part(digits.to_le_bytes(), 8u8.wrapping_sub(zeroes as u8));
    }
}

/// A byte as C's `%x`: lower case.
pub(crate) struct LowerHex(pub(crate) u8);

impl Piece for LowerHex {
    const LONGEST: usize = 2;

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
    use crate::text::{TextBuffer, append};
    use proptest::prelude::*;

    fn text(piece: impl Piece) -> String {
        let mut text = TextBuffer::new();
        append!(text, piece);
        text.to_string()
    }

    fn assert_columns(number: u32) {
        assert_eq!(text(Right::<6>(number)), format!("{number:>6}"));
        assert_eq!(text(Right::<10>(number)), format!("{number:>10}"));
    }

    #[test]
    fn numbers_of_each_length_have_their_digits() {
        let powers = std::iter::successors(Some(1u64), |power| power.checked_mul(10));
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX, u64::MAX / 10]) {
            assert_eq!(text(number), number.to_string());
            let Ok(short) = u32::try_from(number) else { continue };
            assert_eq!(text(short), short.to_string());
            assert_columns(short);
        }
        assert_eq!([text(i8::MIN), text(i16::MIN), text(i32::MIN)], ["-128", "-32768", "-2147483648"]);
        assert_eq!([text(i64::MIN), text(i64::MAX)], [i64::MIN.to_string(), i64::MAX.to_string()]);
    }

    #[test]
    fn small_numbers_are_all_right() {
        for number in 0..=u16::MAX {
            assert_eq!(text(number), number.to_string());
            assert_columns(number.into());
            assert_eq!(text(Hex(number.into())), format!("{number:X}"));
        }
        for byte in 0..=u8::MAX {
            assert_eq!([text(byte), text(MostlyDigit(byte))], [byte.to_string(), byte.to_string()]);
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
            assert_columns(short);
            assert_columns(short >> (bits % 32));
            let three = short % 1000;
            let six = short % 1_000_000;
            prop_assert_eq!(six_digits(six.into()).to_vec(), format!("{six:06}").into_bytes());
            prop_assert_eq!(three_digits(three.into()).to_vec(), format!("{three:03}").into_bytes());
        }
    }
}
