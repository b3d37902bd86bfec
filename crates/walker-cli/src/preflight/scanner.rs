//! What a line of a configuration file says. Mirrors the scanner of `src/backend/utils/misc/guc-file.l`: at each place the
//! token with the longest text counts, of several the first in the list.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Space,
    Comment,
    Name,
    QualifiedName,
    String,
    Unquoted,
    Integer,
    Real,
    Equals,
}

/// The patterns of the scanner, in its order.
const PATTERNS: [(Token, &str); 9] = [
    (Token::Space, r"[ \t\r]+"),
    (Token::Comment, r"#.*"),
    (Token::Name, r"[A-Za-z_\x80-\xff][A-Za-z_0-9\x80-\xff]*"),
    (Token::QualifiedName, r"[A-Za-z_\x80-\xff][A-Za-z_0-9\x80-\xff]*\.[A-Za-z_\x80-\xff][A-Za-z_0-9\x80-\xff]*"),
    (Token::String, r"'(?:[^'\\]|\\.|'')*'"),
    (Token::Unquoted, r"[A-Za-z_\x80-\xff][A-Za-z_0-9\x80-\xff\-._:/]*"),
    (Token::Integer, r"[-+]?(?:0x[0-9a-fA-F]+|[0-9]+)[a-zA-Z]*"),
    (Token::Real, r"[-+]?[0-9]*\.[0-9]*(?:[Ee][-+]?[0-9]+)?"),
    (Token::Equals, r"="),
];

/// The patterns, ready to be used.
static SCANNER: LazyLock<Vec<(Token, Regex)>> = LazyLock::new(|| {
    let compile = |(token, pattern): (Token, &str)| {
        // A mistake in a pattern shows in the tests.
        Some((token, Regex::new(&format!("^(?-u:{pattern})")).ok()?))
    };
    PATTERNS.into_iter().filter_map(compile).collect()
});

/// Name and value that a line without its end sets; `None` if it is empty or a comment.
///
/// # Errors
/// Near what it is wrong, as a server says it.
pub(super) fn setting_of_line(line: &[u8]) -> Result<Option<(String, String)>, String> {
    let mut tokens = Tokens { rest: line };
    let Some(first) = tokens.next() else { return Ok(None) };
    let (Some(Token::Name | Token::QualifiedName), name) = first else { return Err(near(first.1)) };
    let end = || "end of line".to_owned();
    let mut value = tokens.next().ok_or_else(end)?;
    if value.0 == Some(Token::Equals) {
        value = tokens.next().ok_or_else(end)?;
    }
    let (kind, text) = value;
    let value = match kind {
        Some(Token::String) => without_quotes(text),
        Some(Token::Name | Token::Unquoted | Token::Integer | Token::Real) => text.to_vec(),
        _ => return Err(near(text)),
    };
    match tokens.next() {
        None => Ok(Some((lossy(name), lossy(&value)))),
        Some((_, more)) => Err(near(more)),
    }
}

/// The tokens of a line but for spaces and comments, each with its text; `None` is a byte that begins none.
struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (Option<Token>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let mut found = (None, 1);
            for (token, pattern) in SCANNER.iter() {
                let length = pattern.find(self.rest).map_or(0, |matched| matched.len());
                if length > found.1 || (found.0.is_none() && length == 1) {
                    found = (Some(*token), length);
                }
            }
            let (text, rest) = self.rest.split_at_checked(found.1)?;
            self.rest = rest;
            if !matches!(found.0, Some(Token::Space | Token::Comment)) {
                return Some((found.0, text));
            }
        }
    }
}

/// The content of a quoted string (`DeescapeQuotedString`).
fn without_quotes(quoted: &[u8]) -> Vec<u8> {
    let inner = quoted.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")).unwrap_or(quoted);
    let mut bytes = inner.iter().copied().peekable();
    let mut content = Vec::with_capacity(inner.len());
    while let Some(byte) = bytes.next() {
        content.push(match (byte, bytes.peek()) {
            (b'\'', Some(b'\'')) => bytes.next().unwrap_or(byte),
            (b'\\', Some(b'0'..=b'7')) => {
                let mut octal = 0u32;
                for _ in 0..3 {
                    let Some(digit) = bytes.next_if(|digit| (b'0'..=b'7').contains(digit)) else { break };
                    octal = octal << 3 | u32::from(digit - b'0');
                }
                // As a `char` of C, of what is too large the lower eight bits.
                octal.to_le_bytes()[0]
            }
            (b'\\', Some(_)) => match bytes.next() {
                Some(b'b') => 0x08,
                Some(b'f') => 0x0C,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                other => other.unwrap_or(byte),
            },
            _ => byte,
        });
    }
    content
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn near(token: &[u8]) -> String {
    format!("token \"{}\"", lossy(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let (name, value) = setting_of_line(line.as_bytes()).unwrap().unwrap();
        assert_eq!(name, "x", "{line}");
        value
    }

    #[test]
    fn all_patterns_are_understood() {
        assert_eq!(SCANNER.len(), PATTERNS.len());
    }

    #[test]
    fn values_are_written_in_many_ways() {
        for (line, expected) in [
            ("x=1", "1"),
            ("  x\t1 # comment", "1"),
            ("x = on\r", "on"),
            ("x = 0x1F", "0x1F"),
            ("x = -10ms", "-10ms"),
            ("x = .5e-3", ".5e-3"),
            ("x = a-b.c:d/e", "a-b.c:d/e"),
            ("x = ''", ""),
            ("x = 'a, b'#comment", "a, b"),
            ("x='it''s'", "it's"),
            (r"x = 'it\'s'", "it's"),
            (r"x = '\\ \t \101 \60'", "\\ \t A 0"),
            (r"x = '\q'", "q"),
            ("x = 'ä'", "ä"),
        ] {
            assert_eq!(value(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_without_a_setting() {
        for line in ["", "   \r", "# x = 1", "\t#"] {
            assert_eq!(setting_of_line(line.as_bytes()), Ok(None), "{line}");
        }
        assert_eq!(setting_of_line(b"a.b = 1"), Ok(Some(("a.b".to_owned(), "1".to_owned()))));
    }

    #[test]
    fn mistakes_are_near_a_token() {
        for (line, near) in [
            ("x", "end of line"),
            ("x = # 1", "end of line"),
            ("1 = x", "token \"1\""),
            ("x = = 1", "token \"=\""),
            ("x = 1 2", "token \"2\""),
            ("x = a, b", "token \",\""),
            ("x = a.b", "token \"a.b\""),
            ("x = 'a", "token \"'\""),
            ("x = 'a'b'", "token \"b\""),
            ("x = $libdir", "token \"$\""),
            ("a.b.c = 1", "token \"a.b.c\""),
        ] {
            assert_eq!(setting_of_line(line.as_bytes()), Err(near.to_owned()), "{line}");
        }
    }
}
