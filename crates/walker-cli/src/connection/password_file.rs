//! The password file. Mirrors `passwordFromFile` (`src/interfaces/libpq/fe-connect.c`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::surroundings::Surroundings;
use super::{DEFAULT_PORT, Parameters, is_socket};

/// The password for these parameters, from the file that `passfile` or `PGPASSFILE` names or `~/.pgpass`; and a
/// warning, if the file is not used because others may read it.
///
/// With several hosts it is the password of the first that has one.
pub(super) fn find(parameters: &Parameters, surroundings: &Surroundings) -> (Option<String>, Option<String>) {
    let named = parameters.get("passfile").map(PathBuf::from);
    let Some(path) = named.or_else(|| surroundings.file("PGPASSFILE", ".pgpass")) else { return (None, None) };
    // Without such a file the server may still let us in.
    let Ok(metadata) = fs::metadata(&path) else { return (None, None) };
    if !metadata.is_file() {
        return (None, Some(format!("password file \"{}\" is not a plain file", path.display())));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let warning = format!(
            "password file \"{}\" has group or world access; permissions should be u=rw (0600) or less",
            path.display()
        );
        return (None, Some(warning));
    }
    let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let default_socket = surroundings.socket_directory();
    let get = |keyword: &str| parameters.get(keyword).map_or("", String::as_str);
    let hosts = if get("host").is_empty() { get("hostaddr") } else { get("host") };
    let ports: Vec<_> = get("port").split(',').collect();
    let found = hosts.split(',').enumerate().find_map(|(index, host)| {
        let at_home = host.is_empty() || (is_socket(host) && host == default_socket);
        let port = ports.get(index).or(ports.first()).filter(|port| !port.is_empty()).unwrap_or(&DEFAULT_PORT);
        let host = if at_home { "localhost" } else { host };
        text.lines().find_map(|line| password(line, [host, port, get("dbname"), get("user")]))
    });
    (found, None)
}

/// The password of a line `host:port:database:user:password`, if the line is for these four. A field `*` fits
/// anything; a backslash makes the next character an ordinary one.
fn password(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in wanted {
        let (field, behind) = field(rest)?;
        if field != "*" && unescape(field) != wanted {
            return None;
        }
        rest = behind;
    }
    let (password, _) = field(rest).unwrap_or((rest, ""));
    Some(unescape(password)).filter(|password| !password.is_empty())
}

/// A field up to its colon, and what stands behind; `None` if there is no colon.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b':' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescape(field: &str) -> String {
    let mut characters = field.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 4] = ["db", "5432", "shop", "me"];

    fn is(line: &str, expected: Option<&str>) {
        assert_eq!(password(line, WANTED).as_deref(), expected, "{line}");
    }

    #[test]
    fn a_line_is_for_a_host_port_database_and_user() {
        is("db:5432:shop:me:secret", Some("secret"));
        is("*:*:*:*:secret", Some("secret"));
        is("db:5432:shop:you:secret", None);
        is("db:5432:shop:me", None);
        is("db:5432:shop:me:", None);
        is("#db:5432:shop:me:secret", None);
        is(r"d\b:5432:shop:me:a\:b\\c:rest", Some(r"a:b\c"));
        is(r"db:5432:shop:m\:e:x", None);
    }

    fn parameters(host: &str) -> Parameters {
        let of = |(keyword, value): (&str, &str)| (keyword.to_owned(), value.to_owned());
        [("host", host), ("port", "5432"), ("dbname", "shop"), ("user", "me")].map(of).into()
    }

    fn home(text: &str, mode: u32) -> (tempfile::TempDir, Surroundings) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".pgpass");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let surroundings = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        (home, surroundings)
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let (_home, surroundings) = home("other:*:*:*:no\ndb:*:*:*:first\n*:*:*:*:second\n", 0o600);
        assert_eq!(find(&parameters("db"), &surroundings), (Some("first".into()), None));
        assert_eq!(find(&parameters("x,db"), &surroundings), (Some("second".into()), None));
    }

    #[test]
    fn the_default_socket_is_localhost() {
        let (_home, surroundings) = home("localhost:5432:shop:me:secret\n", 0o400);
        let socket = surroundings.socket_directory();
        assert_eq!(find(&parameters(&socket), &surroundings).0.as_deref(), Some("secret"));
        assert_eq!(find(&parameters("/elsewhere"), &surroundings).0, None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let (_home, surroundings) = home("*:*:*:*:secret\n", 0o640);
        let (password, warning) = find(&parameters("db"), &surroundings);
        assert_eq!(password, None);
        assert!(warning.unwrap().ends_with("permissions should be u=rw (0600) or less"));
    }

    #[test]
    fn a_directory_is_no_password_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut parameters = parameters("db");
        parameters.insert("passfile".into(), directory.path().display().to_string());
        let (_, warning) = find(&parameters, &Surroundings::default());
        assert!(warning.unwrap().ends_with("is not a plain file"));
        parameters.insert("passfile".into(), "/nowhere".into());
        assert_eq!(find(&parameters, &Surroundings::default()), (None, None));
    }
}
