//! Numbers as people read them.

/// PostgreSQL's block size unless it was built with another one.
const BLOCK_SIZE: u64 = 8192;

/// `37500` as `37,500`: block numbers are for looking up and must stay exact.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1234567` as `1.23M`: at most three significant digits, exact below 10,000.
pub fn short(number: u64) -> String {
    if number < 10_000 {
        return grouped(number);
    }
    let units = ["", "k", "M", "G", "T", "P", "E"];
    let mut value = number as f64;
    let mut unit = 0;
    // 999.5 rounds to 1000, which belongs to the next unit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", three_digits(value), units[unit])
}

/// The size of that many blocks.
pub fn size_of_blocks(blocks: u64) -> String {
    binary(blocks as f64 * BLOCK_SIZE as f64)
}

/// `1234567` bytes as `1.18 MiB`: at most three significant digits.
pub fn size(bytes: u64) -> String {
    binary(bytes as f64)
}

/// Bytes, also of a rate.
pub fn binary(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes;
    let mut unit = 0;
    // 1023.5 rounds to 1024, which belongs to the next unit.
    while value >= 1023.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = if unit == 0 { format!("{value:.0}") } else { three_digits(value) };
    format!("{text} {}", units[unit])
}

/// A share in per cent that never rounds something to nothing, nor a part to the whole.
pub fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 || part <= 0.0 {
        return "0 %".to_owned();
    }
    let value = (100.0 * part / whole).min(100.0);
    match value {
        100.0 => "100 %".to_owned(),
        v if v < 0.1 => "<0.1 %".to_owned(),
        v if v < 9.95 => format!("{} %", without_trailing_zeros(format!("{v:.1}"))),
        v if v < 99.5 => format!("{v:.0} %"),
        _ => ">99 %".to_owned(),
    }
}

/// `1 range`, `2 ranges`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    without_trailing_zeros(format!("{value:.decimals$}"))
}

fn without_trailing_zeros(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_numbers_are_grouped_and_exact() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (4_294_967_294, "4,294,967,294")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn counts_are_shortened_from_five_digits_on() {
        let cases = [(9_999, "9,999"), (10_000, "10k"), (12_340, "12.3k"), (999_499, "999k"), (999_999, "1M")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
        assert_eq!(short(1_234_567), "1.23M");
        assert_eq!(short(u64::MAX), "18.4E");
    }

    #[test]
    fn sizes_are_binary_multiples_of_blocks() {
        let cases = [(1, "8 KiB"), (128, "1 MiB"), (1000, "7.81 MiB"), (37_500, "293 MiB"), (1 << 32, "32 TiB")];
        for (blocks, text) in cases {
            assert_eq!(size_of_blocks(blocks), text);
        }
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1_048_575, "1 MiB"), (1_234_567, "1.18 MiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_part_is_never_nothing_nor_the_whole() {
        let cases = [(0.0, "0 %"), (0.01, "<0.1 %"), (0.4, "0.4 %"), (4.0, "4 %"), (22.4, "22 %"), (99.7, ">99 %")];
        for (part, text) in cases {
            assert_eq!(percent(part, 100.0), text);
        }
        assert_eq!(percent(100.0, 100.0), "100 %");
        assert_eq!(percent(1.0, 0.0), "0 %");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "range"), "1 range");
        assert_eq!(counted(5_000, "range"), "5,000 ranges");
    }
}
