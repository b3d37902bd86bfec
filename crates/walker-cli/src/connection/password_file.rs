//! The password file. Mirrors `passwordFromFile` (`src/interfaces/libpq/fe-connect.c`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::Parameters;
use super::server::Server;
use super::surroundings::Surroundings;

/// The password file of these parameters, which `passfile` or `PGPASSFILE` names, or `~/.pgpass`; empty if there is none, and with
/// a warning if it is not used because others may read it.
pub(super) fn read(parameters: &Parameters, surroundings: &Surroundings) -> (PasswordFile, Option<String>) {
    let none = PasswordFile::default();
    let named = parameters.get("passfile").map(PathBuf::from);
    let Some(path) = named.or_else(|| surroundings.file("PGPASSFILE", ".pgpass")) else { return (none, None) };
    // Without such a file the server may still let us in.
    let Ok(metadata) = fs::metadata(&path) else { return (none, None) };
    if !metadata.is_file() {
        return (none, Some(format!("password file \"{}\" is not a plain file", path.display())));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let warning = format!(
            "password file \"{}\" has group or world access; permissions should be u=rw (0600) or less",
            path.display()
        );
        return (none, Some(warning));
    }
    let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    (PasswordFile { text, default_socket: surroundings.socket_directory() }, None)
}

/// What a password file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PasswordFile {
    text: String,
    /// A server on this socket is `localhost` in the file.
    default_socket: String,
}

impl PasswordFile {
    /// The password for this server, database and user, if there is one.
    pub(super) fn password(&self, server: &Server, parameters: &Parameters) -> Option<String> {
        let get = |keyword: &str| parameters.get(keyword).map_or("", String::as_str);
        let address = server.address.map(|address| address.to_string()).unwrap_or_default();
        let host = match server.host.as_str() {
            "" => address.as_str(),
            host if server.is_socket() && host == self.default_socket => "localhost",
            host => host,
        };
        let wanted = [host, &server.port.to_string(), get("dbname"), get("user")];
        self.text.lines().find_map(|line| password(line, wanted))
    }
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

    fn parameters() -> Parameters {
        [("dbname", "shop"), ("user", "me")].map(|(keyword, value)| (keyword.to_owned(), value.to_owned())).into()
    }

    fn server(host: &str) -> Server {
        Server { host: host.to_owned(), address: None, port: 5432 }
    }

    fn home(text: &str, mode: u32) -> (tempfile::TempDir, Surroundings) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".pgpass");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let surroundings = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        (home, surroundings)
    }

    /// The password for a server, from the file in this home directory.
    fn found(surroundings: &Surroundings, server: &Server) -> Option<String> {
        let (file, warning) = read(&parameters(), surroundings);
        assert_eq!(warning, None);
        file.password(server, &parameters())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let (_home, surroundings) = home("other:*:*:*:no\ndb:*:*:*:first\n*:*:*:*:second\n", 0o600);
        assert_eq!(found(&surroundings, &server("db")).as_deref(), Some("first"));
        assert_eq!(found(&surroundings, &server("x")).as_deref(), Some("second"));
    }

    #[test]
    fn a_server_without_a_name_has_an_address() {
        let (_home, surroundings) = home("127.0.0.1:*:*:*:first\ndb:*:*:*:second\n", 0o600);
        let address = Some([127, 0, 0, 1].into());
        assert_eq!(found(&surroundings, &Server { address, ..server("") }).as_deref(), Some("first"));
        assert_eq!(found(&surroundings, &Server { address, ..server("db") }).as_deref(), Some("second"));
    }

    #[test]
    fn the_default_socket_is_localhost() {
        let (_home, surroundings) = home("localhost:5432:shop:me:secret\n", 0o400);
        let socket = surroundings.socket_directory();
        assert_eq!(found(&surroundings, &server(&socket)).as_deref(), Some("secret"));
        assert_eq!(found(&surroundings, &server("/elsewhere")), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let (_home, surroundings) = home("*:*:*:*:secret\n", 0o640);
        let (file, warning) = read(&parameters(), &surroundings);
        assert_eq!(file, PasswordFile::default());
        assert!(warning.unwrap().ends_with("permissions should be u=rw (0600) or less"));
    }

    #[test]
    fn a_directory_is_no_password_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut parameters = parameters();
        parameters.insert("passfile".into(), directory.path().display().to_string());
        let (_, warning) = read(&parameters, &Surroundings::default());
        assert!(warning.unwrap().ends_with("is not a plain file"));
        parameters.insert("passfile".into(), "/nowhere".into());
        assert_eq!(read(&parameters, &Surroundings::default()), (PasswordFile::default(), None));
    }
}
