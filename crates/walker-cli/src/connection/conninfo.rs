//! Connection strings: `keyword=value` pairs and URIs. Mirrors `conninfo_parse` and `conninfo_uri_parse`
//! (`src/interfaces/libpq/fe-connect.c`).

use anyhow::{Context as _, Result, bail};

use super::Parameters;
use super::keyword::check_name;

/// What `--dbname` says: a URI, pairs, or just the name of a database (`recognized_connection_string`).
pub(super) fn parse_dbname(text: &str) -> Result<Parameters> {
    let uri = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match uri {
        Some(rest) => parse_uri(rest).with_context(|| format!("could not parse URI \"{}\"", hide_password(text))),
        None if text.contains('=') => parse_pairs(text),
        None => Ok(Parameters::from([("dbname".to_owned(), text.to_owned())])),
    }
}

/// `host=db port=5433 password='a b'`: a backslash makes the next character an ordinary one.
fn parse_pairs(text: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let keyword = &rest[..end];
        let Some(value) = rest[end..].trim_start().strip_prefix('=') else {
            bail!("missing \"=\" after \"{keyword}\" in connection info string")
        };
        let (value, behind) = parse_value(value.trim_start())?;
        check_name(keyword)?;
        parameters.insert(keyword.to_owned(), value);
        rest = behind.trim_start();
    }
    Ok(parameters)
}

/// A value, and what stands behind it.
fn parse_value(text: &str) -> Result<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            _ if !quoted && character.is_ascii_whitespace() => return Ok((value, &text[at..])),
            _ => value.push(character),
        }
    }
    if quoted {
        bail!("unterminated quoted string in connection info string")
    }
    Ok((value, ""))
}

/// What stands behind `postgresql://`: `user:password@host:port,host:port/dbname?keyword=value&...`.
fn parse_uri(rest: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let mut set = |keyword: &str, value: String| {
        if !value.is_empty() {
            parameters.insert(keyword.to_owned(), value);
        }
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let hosts = match authority.split_once('@') {
        Some((login, hosts)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            set("user", decode(user)?);
            set("password", decode(password)?);
            hosts
        }
        None => authority,
    };
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = split_host(host)?;
        names.push(decode(name)?);
        ports.push(decode(port)?);
    }
    // One without a name or a port is still one of several.
    if names.iter().any(|name| !name.is_empty()) {
        set("host", names.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        set("port", ports.join(","));
    }
    set("dbname", decode(path.strip_prefix('/').unwrap_or(path))?);
    for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
        let Some((keyword, value)) = pair.split_once('=') else {
            bail!("missing key/value separator \"=\" in URI query parameter: \"{pair}\"")
        };
        let (keyword, value) = (decode(keyword)?, decode(value)?);
        if keyword == "ssl" && value == "true" {
            set("sslmode", "require".to_owned());
            continue;
        }
        if check_name(&keyword).is_err() {
            bail!("invalid URI query parameter: \"{keyword}\"")
        }
        set(&keyword, value);
    }
    Ok(parameters)
}

/// Host and port; an IPv6 address stands in brackets.
fn split_host(text: &str) -> Result<(&str, &str)> {
    let Some(bracketed) = text.strip_prefix('[') else { return Ok(text.split_once(':').unwrap_or((text, ""))) };
    let (address, behind) =
        bracketed.split_once(']').context("end of string reached when looking for matching \"]\"")?;
    if address.is_empty() {
        bail!("IPv6 host address may not be empty")
    }
    match behind.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if behind.is_empty() => Ok((address, "")),
        None => bail!("unexpected \"{behind}\" behind an IPv6 host address"),
    }
}

/// Replaces `%2F` and the like.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        match value {
            None => bail!("invalid percent-encoded token: \"{text}\""),
            Some(0) => bail!("forbidden value %00 in percent-encoded value: \"{text}\""),
            Some(value) => bytes.push(value),
        }
    }
    String::from_utf8(bytes).with_context(|| format!("percent-encoded value \"{text}\" is not UTF-8"))
}

/// A URI as it may be shown.
fn hide_password(uri: &str) -> String {
    let login = uri.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?)));
    match login {
        Some((scheme, (login, rest))) if login.contains(':') => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{rest}")
        }
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse_dbname(text).unwrap().into_iter().collect()
    }

    fn expect(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(keyword, value)| ((*keyword).into(), (*value).into())).collect();
        assert_eq!(parsed(text), expected, "{text}");
    }

    fn failure(text: &str) -> String {
        format!("{:#}", parse_dbname(text).unwrap_err())
    }

    #[test]
    fn a_name_is_a_name() {
        expect("shop", &[("dbname", "shop")]);
        expect("my shop", &[("dbname", "my shop")]);
    }

    #[test]
    fn pairs_are_libpq_s() {
        expect(" host = db  port=5433 ", &[("host", "db"), ("port", "5433")]);
        expect(r"password='it\'s \\ here' user=a\ b", &[("password", r"it's \ here"), ("user", "a b")]);
        expect("dbname='' user=x", &[("dbname", ""), ("user", "x")]);
        expect("sslmode=disable sslcert=x", &[("sslcert", "x"), ("sslmode", "disable")]);
    }

    #[test]
    fn wrong_pairs_are_refused() {
        assert_eq!(failure("a b=c"), "missing \"=\" after \"a\" in connection info string");
        assert_eq!(failure("user='x"), "unterminated quoted string in connection info string");
        assert_eq!(failure("colour=red"), "invalid connection option \"colour\"");
    }

    #[test]
    fn uris_are_libpq_s() {
        expect("postgresql://", &[]);
        expect("postgres://localhost", &[("host", "localhost")]);
        expect("postgresql:///shop", &[("dbname", "shop")]);
        expect(
            "postgresql://me:s%40cret@db.example.com:5433/shop?application_name=a%20b&connect_timeout=3",
            &[
                ("application_name", "a b"),
                ("connect_timeout", "3"),
                ("dbname", "shop"),
                ("host", "db.example.com"),
                ("password", "s@cret"),
                ("port", "5433"),
                ("user", "me"),
            ],
        );
        expect("postgresql://%2Fvar%2Frun/shop", &[("dbname", "shop"), ("host", "/var/run")]);
        expect("postgresql://[::1]:5433/", &[("host", "::1"), ("port", "5433")]);
        expect("postgresql://a:1,b:2", &[("host", "a,b"), ("port", "1,2")]);
        expect(
            "postgresql:///shop?host=/tmp&ssl=true",
            &[("dbname", "shop"), ("host", "/tmp"), ("sslmode", "require")],
        );
    }

    #[test]
    fn wrong_uris_are_refused_without_their_password() {
        assert_eq!(
            failure("postgresql://me:secret@db/?colour=red"),
            "could not parse URI \"postgresql://me:***@db/?colour=red\": invalid URI query parameter: \"colour\""
        );
        assert!(failure("postgresql://[::1").contains("matching \"]\""));
        assert!(failure("postgresql://%zz").contains("invalid percent-encoded token"));
        assert!(failure("postgresql://%00").contains("forbidden value %00"));
        assert!(failure("postgresql:///x?y").contains("missing key/value separator"));
    }
}
