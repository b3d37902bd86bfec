//! The libraries of `shared_preload_libraries`, and which of them register a resource manager.
//!
//! Mirrors `SplitDirectoriesString` (`src/backend/utils/adt/varlena.c`) and `load_libraries`
//! (`src/backend/utils/init/miscinit.c`).

use walker_core::quoted_name;

/// Libraries that come with PostgreSQL 15 to 18, or with this program, and register no resource manager.
const WITHOUT_RMGR: [&str; 24] = [
    "auth_delay",
    "auto_explain",
    "basebackup_to_shell",
    "basic_archive",
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "dblink",
    "hstore",
    "libpqwalreceiver",
    "ltree",
    "passwordcheck",
    "pg_overexplain",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_trgm",
    "pgcrypto",
    "pgoutput",
    "plpgsql",
    "postgres_fdw",
    "sepgsql",
    "test_decoding",
    "walker",
];

/// The libraries that a value of `shared_preload_libraries` names; `None` if a server refuses the list. It says so then and
/// loads none of them.
pub(super) fn split(value: &str) -> Option<Vec<String>> {
    let is_space = |character: char| matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}');
    let mut rest = value.trim_start_matches(is_space);
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, behind) = quoted_name(quoted)?;
            names.push(name);
            rest = behind;
        } else {
            let (name, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            let name = name.trim_end_matches(is_space);
            if name.is_empty() {
                return None;
            }
            names.push(name.to_owned());
            rest = behind;
        }
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches(is_space);
    }
}

/// The line for a configuration file that names these libraries.
pub(super) fn setting_line(names: &[String]) -> String {
    let quoted = |name: &String| {
        let plain = !name.is_empty() && !name.contains([',', '"', ' ', '\t']);
        if plain { name.clone() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    };
    let list = names.iter().map(quoted).collect::<Vec<_>>().join(", ");
    format!("shared_preload_libraries = '{}'", list.replace('\\', r"\\").replace('\'', "''"))
}

/// Whether an entry of the list means the library of that name: entries may have directory and ending.
pub(super) fn is_library(entry: &str, name: &str) -> bool {
    plain_name(entry) == plain_name(name)
}

/// Whether it is certain that the library of that entry registers no resource manager.
pub(super) fn registers_none(entry: &str) -> bool {
    WITHOUT_RMGR.binary_search(&plain_name(entry)).is_ok()
}

fn plain_name(entry: &str) -> &str {
    let file = entry.rsplit('/').next().unwrap_or(entry);
    [".so", ".dylib", ".dll"].iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_as_by_the_server() {
        for (value, expected) in [
            ("", Some(vec![])),
            ("  ", Some(vec![])),
            ("a", Some(vec!["a"])),
            (" a , b\t,c ", Some(vec!["a", "b", "c"])),
            ("\"a, b\" , \"it\"\"s\"", Some(vec!["a, b", "it\"s"])),
            ("$libdir/a.so, A", Some(vec!["$libdir/a.so", "A"])),
            ("a b", Some(vec!["a b"])),
            ("a,", None),
            (",a", None),
            ("a,,b", None),
            ("\"a", None),
            ("\"a\"b", None),
        ] {
            let expected: Option<Vec<String>> = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(split(value), expected, "{value}");
        }
    }

    #[test]
    fn the_line_names_the_same_libraries() {
        let names = ["a", "it's", "b, c", "d\"e", "$libdir/f"].map(str::to_owned);
        let line = setting_line(&names);
        assert_eq!(line, "shared_preload_libraries = 'a, it''s, \"b, c\", \"d\"\"e\", $libdir/f'");
        let (_, value) = super::super::scanner::setting_of_line(line.as_bytes()).unwrap().unwrap();
        assert_eq!(split(&value), Some(names.to_vec()));
    }

    #[test]
    fn entries_may_have_directory_and_ending() {
        assert!(is_library("$libdir/pg_tde.so", "pg_tde") && is_library("/opt/pg_tde", "pg_tde"));
        assert!(!is_library("pg_tde2", "pg_tde") && !is_library("PG_TDE", "pg_tde"));
        assert!(registers_none("$libdir/pg_stat_statements") && !registers_none("pg_tde"));
        assert!(WITHOUT_RMGR.is_sorted());
    }
}
