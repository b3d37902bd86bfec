//! Text from outside, made fit for a line: harmless, short enough, wrapped.

/// What may not go to a terminal or into XML is replaced: a quoted identifier can hold escape sequences.
pub fn printable(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The same in ASCII, for terminals without more.
pub(crate) fn ascii(text: &str) -> String {
    let replace = |c: char| match c {
        c if c.is_ascii() => c,
        '\u{2013}' => '-',
        _ => '?',
    };
    text.chars().map(replace).collect()
}

/// At most `columns` columns, the middle left out: both ends of a name tell more than its middle.
pub fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(3);
    let head = take_columns(text.chars(), room.div_ceil(2));
    let tail: String = take_columns(text.chars().rev(), room / 2).chars().rev().collect();
    let dots = ".".repeat(columns.min(3));
    format!("{head}{dots}{tail}")
}

/// At most `columns` columns with dots at the end, for a sentence that goes on.
pub(crate) fn broken_off(text: &str, columns: usize) -> String {
    let dots = ".".repeat(columns.min(3));
    format!("{}{dots}", take_columns(text.chars(), columns.saturating_sub(3)).trim_end())
}

/// Lines of at most `columns` columns, broken between words; words longer than a line are cut.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shortened(word, columns);
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Columns that a text takes in a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// East Asian letters and emoji take two columns, combining marks are counted as one to be on the safe side.
pub(crate) fn char_width(c: char) -> usize {
    match c {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f000}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += char_width(*c);
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_direction_marks_do_not_survive() {
        assert_eq!(printable("a\u{1b}[31m\nb\u{202e}c"), "a\u{fffd}[31m\u{fffd}b\u{fffd}c");
        assert_eq!(ascii("naïve–x"), "na?ve-x");
    }

    #[test]
    fn shortened_text_fits_and_keeps_both_ends() {
        assert_eq!(shortened("public.order_line", 11), "publ...line");
        for columns in 0..30 {
            for text in ["public.order_line", "表表表表表表表表表表"] {
                assert!(width(&shortened(text, columns)) <= columns, "{text} {columns}");
                assert!(width(&broken_off(text, columns)) <= columns, "{text} {columns}");
            }
        }
    }

    #[test]
    fn wrapped_lines_fit() {
        assert_eq!(wrapped("the quick brown fox", 10), ["the quick", "brown fox"]);
        for columns in 1..30 {
            let lines = wrapped("a incomprehensibilities b", columns);
            assert!(lines.iter().all(|line| width(line) <= columns));
        }
    }
}
