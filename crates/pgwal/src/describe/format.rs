//! How `pg_waldump` writes lists, truth values and numbers. Source: `src/backend/access/rmgrdesc/rmgrdesc_utils.c`,
//! `src/port/snprintf.c`.

use crate::text::{Piece, Room, TextBuffer, append};

/// A list in the manner of 16 and later, with a blank before it: ` [1, 2]`. Source: `array_desc`.
pub(super) fn list(items: impl IntoIterator<Item = impl Piece>, text: &mut TextBuffer) {
    append!(text, " [");
    for (number, item) in items.into_iter().enumerate() {
        append!(text, if number == 0 { "" } else { ", " }, item);
    }
    append!(text, "]");
}

/// `T` or `F`.
pub(super) struct Letter(pub(super) bool);

impl Piece for Letter {
    const LONGEST: usize = 1;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        room.put_chunk([if self.0 { b'T' } else { b'F' }]);
    }
}

/// A number as C's `%g` writes it: six significant digits, without zeroes at the end.
pub(super) struct General(pub(super) f64);

impl Piece for General {
    const LONGEST: usize = 16;

    fn put(&self, room: &mut Room<'_>) {
        self.text().put(room);
    }
}

impl General {
    fn text(&self) -> String {
        let Self(number) = *self;
        if number.is_nan() {
            return "NaN".to_owned();
        }
        if number.is_infinite() {
            return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
        }
        // Rounded to the wanted digits first, for that may change the exponent.
        let scientific = format!("{number:.5e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        match exponent.parse::<i16>() {
            Ok(exponent @ -4..6) => {
                let decimals = usize::from(5i16.saturating_sub(exponent).unsigned_abs());
                without_zeroes(&format!("{number:.decimals$}")).to_owned()
            }
            Ok(exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{}e{sign}{:02}", without_zeroes(mantissa), exponent.unsigned_abs())
            }
            Err(_) => scientific,
        }
    }
}

fn without_zeroes(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_printf() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (10000.0, "10000"),
            (123_456.0, "123456"),
            (999_999.5, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (100_000.0, "100000"),
            (0.0001, "0.0001"),
            (0.000_012_345_678, "1.23457e-05"),
            (2.5, "2.5"),
            (-1e100, "-1e+100"),
            (f64::INFINITY, "Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (number, expected) in cases {
            assert_eq!(General(number).text(), expected);
        }
    }

    #[test]
    fn a_list_is_in_brackets() {
        let mut text = TextBuffer::new();
        list([1, 2, 30], &mut text);
        list(Vec::<u8>::new(), &mut text);
        assert_eq!(text.to_string(), " [1, 2, 30] []");
    }
}
