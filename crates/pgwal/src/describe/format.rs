//! How `pg_waldump` writes lists, truth values and numbers. Source: `src/backend/access/rmgrdesc/rmgrdesc_utils.c`,
//! `src/port/snprintf.c`.

use std::fmt::{self, Display, Formatter, Write};

/// A list in the manner of 16 and later, with a blank before it: ` [1, 2]`. Source: `array_desc`.
pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>, text: &mut String) -> fmt::Result {
    text.write_str(" [")?;
    for (number, item) in items.into_iter().enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        write!(text, "{separator}{item}")?;
    }
    text.write_str("]")
}

/// `T` or `F`.
pub(super) struct Letter(pub(super) bool);

impl Display for Letter {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0 { "T" } else { "F" })
    }
}

/// A number as C's `%g` writes it: six significant digits, without zeroes at the end.
pub(super) struct General(pub(super) f64);

impl Display for General {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        if number.is_nan() {
            return formatter.write_str("NaN");
        }
        if number.is_infinite() {
            return formatter.write_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
        }
        // Rounded to the wanted digits first, for that may change the exponent.
        let scientific = format!("{number:.5e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        match exponent.parse::<i16>() {
            Ok(exponent @ -4..6) => {
                let decimals = usize::from(5i16.saturating_sub(exponent).unsigned_abs());
                formatter.write_str(without_zeroes(&format!("{number:.decimals$}")))
            }
            Ok(exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                write!(formatter, "{}e{sign}{:02}", without_zeroes(mantissa), exponent.unsigned_abs())
            }
            Err(_) => formatter.write_str(&scientific),
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
            assert_eq!(General(number).to_string(), expected);
        }
    }

    #[test]
    fn a_list_is_in_brackets() {
        let mut text = String::new();
        list([1, 2, 30], &mut text).unwrap();
        list(Vec::<u8>::new(), &mut text).unwrap();
        assert_eq!(text, " [1, 2, 30] []");
    }
}
