//! The setting `walker.plugins`.

/// The value of `walker.plugins` is not a list of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePluginNamesError {
    /// A quoted name does not end.
    #[error("unterminated quoted name")]
    Unterminated,
    /// Nothing stands between two commas, or a quoted name is empty.
    #[error("a name is missing")]
    Missing,
    /// Something other than a comma stands behind a name.
    #[error("a comma is missing before \"{0}\"")]
    NoComma(String),
}

/// Takes a comma-separated list of names apart as `SplitIdentifierString` (`src/backend/utils/adt/varlena.c`) does:
/// names are folded to lower case unless quoted with `"`, a `"` within is doubled, white space around names is left
/// out, an empty list is none. Names are not cut at 63 bytes, since a name may be a path.
///
/// The plugin's first name, `heatmap`, still stands for `garbagemap`.
///
/// # Errors
/// [`ParsePluginNamesError`].
pub fn parse_plugin_names(list: &str) -> Result<Vec<String>, ParsePluginNamesError> {
    let mut names = Vec::new();
    let mut rest = list.trim_ascii();
    if rest.is_empty() {
        return Ok(names);
    }
    loop {
        let (name, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_name(quoted).ok_or(ParsePluginNamesError::Unterminated)?,
            None => {
                let end = rest.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(rest.len());
                (rest[..end].to_ascii_lowercase(), &rest[end..])
            }
        };
        if name.is_empty() {
            return Err(ParsePluginNamesError::Missing);
        }
        names.push(if name == "heatmap" { "garbagemap".to_owned() } else { name });
        let behind = behind.trim_ascii_start();
        if behind.is_empty() {
            return Ok(names);
        }
        let next = behind.strip_prefix(',').ok_or_else(|| ParsePluginNamesError::NoComma(behind.to_owned()))?;
        rest = next.trim_ascii_start();
    }
}

/// A name of a list up to its closing quote, and what stands behind; a `"` within is doubled. `None` if the name does not end.
/// `SplitIdentifierString` and `SplitDirectoriesString` have it in common.
#[must_use]
pub fn quoted_name(mut rest: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(behind) => {
                name.push('"');
                rest = behind;
            }
            None => return Some((name, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        parse_plugin_names(list).unwrap()
    }

    #[test]
    fn lists_are_those_of_split_identifier_string() {
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("  "), [""; 0]);
        assert_eq!(names("garbagemap"), ["garbagemap"]);
        assert_eq!(names(" GarbageMap ,Counter"), ["garbagemap", "counter"]);
        assert_eq!(names(r#""GarbageMap", "$libdir/a,b""c""#), ["GarbageMap", r#"$libdir/a,b"c"#]);
    }

    #[test]
    fn the_first_name_of_the_plugin_is_still_valid() {
        assert_eq!(names("heatmap, x"), ["garbagemap", "x"]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in [",", "a,", "a,,b", ",a", r#""""#, r#""a"#, "a b", r#""a"b"#] {
            assert!(parse_plugin_names(list).is_err(), "{list}");
        }
    }
}
