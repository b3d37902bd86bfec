//! Numbers: small decimal ones and the bytes of hexadecimal ones out of tables, longer decimal ones by eight digits at
//! once. How many digits a number has is hard to foresee for a processor, so there is no branch for it.

use super::{Piece, Room};

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

    /// With blanks instead of leading zeroes: they differ by one bit.
    #[inline(always)]
    fn with_blanks(self) -> [u8; 6] {
        let zero_bits = 0x1010_1010_1010 & !u64::MAX.wrapping_shl(self.leading_zeroes);
        let [column @ .., _, _] = (self.characters ^ zero_bits).to_le_bytes();
        column
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

    #[inline(always)]
    const fn with_blanks(self) -> [u8; 8] {
        let behind_zeroes = u64::MAX.wrapping_shl(self.leading_zeroes());
        (self.0 | 0x2020_2020_2020_2020 | 0x1010_1010_1010_1010 & behind_zeroes).to_le_bytes()
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
    ($put:ident: $($number:ty),*) => {$(
        impl Piece for $number {
            #[inline(always)]
            fn room(&self) -> usize {
                22
            }

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
            #[inline(always)]
            fn room(&self) -> usize {
                23
            }

            #[inline(always)]
            fn put(&self, room: &mut Room<'_>) {
                if *self < 0 {
                    room.put_slice(b"-");
                }
                $put(u64::from(self.unsigned_abs()), room);
            }
        }
    )*};
}

// Counts and places within a page are small; numbers of transactions, blocks and files have any length.
unsigned!(put_small: u8, u16, usize);
unsigned!(put_any: u32, u64);
signed!(put_small: i8, i16, i32, i64);

/// A decimal number at the right end of a column of six bytes, if that is wide enough.
#[inline(always)]
pub(crate) fn column_of_6(number: u32) -> Option<[u8; 6]> {
    (number < SixDigits::LIMIT).then(|| SixDigits::of(number).with_blanks())
}

/// A decimal number at the right end of a column of ten blanks, which any has room in.
#[inline(always)]
pub(crate) fn fill_column_of_10(column: &mut [u8; 10], number: u32) {
    if let Some(digits) = column_of_6(number) {
        column[4..].copy_from_slice(&digits);
    } else if number < EightDigits::LIMIT {
        column[2..].copy_from_slice(&EightDigits::of(number).with_blanks());
    } else {
        // A number that is longer than eight digits has ten at most.
        let SixDigits { characters, leading_zeroes } = SixDigits::of(number / EightDigits::LIMIT);
        let [_, _, _, _, first, second, _, _] = characters.to_le_bytes();
        column[..2].copy_from_slice(&[if leading_zeroes == 40 { b' ' } else { first }, second]);
        column[2..].copy_from_slice(&EightDigits::of(number % EightDigits::LIMIT).with_zeroes());
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
    pub(crate) fn characters(&self) -> [u8; 8] {
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

    fn assert_columns(number: u32) {
        let column = column_of_6(number).map(|column| column.to_vec());
        assert_eq!(column, Some(format!("{number:>6}").into_bytes()).filter(|column| column.len() == 6));
        let mut column = [b' '; 10];
        fill_column_of_10(&mut column, number);
        assert_eq!(column.to_vec(), format!("{number:>10}").into_bytes());
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
            assert_columns(short);
            assert_columns(short >> (bits % 32));
            let three = short % 1000;
            let six = short % 1_000_000;
            prop_assert_eq!(six_digits(six.into()).to_vec(), format!("{six:06}").into_bytes());
            prop_assert_eq!(three_digits(three.into()).to_vec(), format!("{three:03}").into_bytes());
        }
    }
}
