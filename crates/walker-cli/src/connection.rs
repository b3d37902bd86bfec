//! Connecting to a server by libpq's conventions, as psql does: connection strings, environment, service file and
//! password file.
//!
//! Mirrors `src/interfaces/libpq/fe-connect.c`. As with psql, a connection string wins over the command's other
//! options, these win over the service, and that over the environment.

mod certificates;
mod conninfo;
mod keyword;
mod password_file;
mod server;
mod service;
mod session_attributes;
mod surroundings;
mod tls;
mod verifier;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Error, Result, bail};
use postgres::config::ChannelBinding;
use postgres::error::SqlState;
use postgres::{Client, Config};

use crate::arguments::ConnectionArguments;
use crate::exit::{Hinted, warn};
use server::Server;
use session_attributes::SessionAttributes;
use surroundings::Surroundings;
use tls::{Mode, Tls};

/// Port of a server that was not told another (`DEF_PGPORT`).
const DEFAULT_PORT: &str = "5432";

/// Puts a text into a configuration.
type SetText = fn(&mut Config, &str);

/// Values by libpq's keywords.
type Parameters = BTreeMap<String, String>;

/// Connects to the server that the options, the connection string, the service and the environment name; of several, to the first
/// that lets us in.
pub(crate) fn connect(arguments: &ConnectionArguments) -> Result<Client> {
    let surroundings = Surroundings::of_process();
    let parameters = resolve(arguments, &surroundings)?;
    let servers = server::list(&parameters)?;
    let config = to_config(&parameters)?;
    let mode = Mode::of(&parameters)?;
    let plain = Tls::none();
    // Without a server on TCP nobody asks for the files that it takes.
    let on_tcp =
        if servers.iter().all(Server::is_socket) { Tls::none() } else { Tls::new(mode, &parameters, &surroundings)? };
    let (passwords, warning) = match parameters.contains_key("password") {
        true => Default::default(),
        false => password_file::read(&parameters, &surroundings),
    };
    if let Some(warning) = warning {
        warn(&warning);
    }
    let mut failures = Vec::new();
    for attributes in SessionAttributes::of(&parameters)?.rounds() {
        for server in &servers {
            let mut config = config.clone();
            server.set(&mut config);
            attributes.set(&mut config);
            if let Some(password) = passwords.password(server, &parameters) {
                config.password(password);
            }
            let tls = if server.is_socket() { &plain } else { &on_tcp };
            match tls.connect(&config) {
                Ok(client) => return Ok(client),
                Err(errors) => failures.extend(errors.iter().map(|error| explain(error, server))),
            }
        }
    }
    Err(all(failures))
}

/// Several failures as one, each on its own line, with the hints of all.
fn all(failures: Vec<Failure>) -> Error {
    let mut texts: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for Failure { text, hint } in failures {
        if !texts.contains(&text) {
            texts.push(text);
        }
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
    }
    let text = texts.join("\n");
    if hints.is_empty() { Error::msg(text) } else { Hinted::error(text, hints.join("\n")) }
}

/// Why a connection was not made, and what can be done.
struct Failure {
    text: String,
    hint: Option<String>,
}

/// What a server says about an error, as one line.
pub(crate) fn server_message(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => {
            let detail = error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{}{detail}", error.message())
        }
        None => chain(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    match error.source().map(chain) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

/// Collects the parameters by precedence.
fn resolve(arguments: &ConnectionArguments, surroundings: &Surroundings) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    if let Some(dbname) = &arguments.dbname {
        add_lower(&mut parameters, conninfo::parse_dbname(dbname)?);
    }
    let options = [("host", &arguments.host), ("port", &arguments.port), ("user", &arguments.username)];
    let given = |(keyword, value): (&str, &Option<String>)| {
        let value = value.as_ref().filter(|value| !value.is_empty())?;
        Some((keyword.to_owned(), value.clone()))
    };
    add_lower(&mut parameters, options.into_iter().filter_map(given).collect());
    if let Some(service) = parameters.get("service").cloned().or_else(|| surroundings.variable("PGSERVICE")) {
        add_lower(&mut parameters, service::find(&service, surroundings)?);
    }
    add_lower(&mut parameters, keyword::from_environment(surroundings));
    // An empty value is none, but it hides those of lower precedence.
    parameters.retain(|_, value| !value.is_empty());
    keyword::check(&parameters)?;
    for (keyword, value) in [("port", DEFAULT_PORT), ("application_name", "walker")] {
        parameters.entry(keyword.to_owned()).or_insert_with(|| value.to_owned());
    }
    if !parameters.contains_key("host") && !parameters.contains_key("hostaddr") {
        parameters.insert("host".to_owned(), surroundings.socket_directory());
    }
    if !parameters.contains_key("user") {
        parameters.insert("user".to_owned(), surroundings.user()?);
    }
    let user = parameters["user"].clone();
    parameters.entry("dbname".to_owned()).or_insert(user);
    Ok(parameters)
}

/// Adds what a source of lower precedence says.
fn add_lower(parameters: &mut Parameters, lower: Parameters) {
    for (keyword, value) in lower {
        parameters.entry(keyword).or_insert(value);
    }
}

/// What the client library is told, whichever the server.
fn to_config(parameters: &Parameters) -> Result<Config> {
    let get = |keyword: &str| parameters.get(keyword).map(String::as_str);
    let mut config = Config::new();
    let texts: [(&str, SetText); 5] = [
        ("user", |config, value| _ = config.user(value)),
        ("dbname", |config, value| _ = config.dbname(value)),
        ("options", |config, value| _ = config.options(value)),
        ("application_name", |config, value| _ = config.application_name(value)),
        ("password", |config, value| _ = config.password(value)),
    ];
    for (keyword, set) in texts {
        if let Some(value) = get(keyword) {
            set(&mut config, value);
        }
    }
    if let Some(value) = get("connect_timeout") {
        let seconds: i32 = value.trim().parse().map_err(|_| {
            Error::msg(format!("invalid integer value \"{value}\" for connection option \"connect_timeout\""))
        })?;
        if let Ok(seconds @ 1..) = u64::try_from(seconds) {
            config.connect_timeout(Duration::from_secs(seconds));
        }
    }
    config.channel_binding(match get("channel_binding") {
        None | Some("prefer") => ChannelBinding::Prefer,
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        Some(value) => bail!("invalid channel_binding value: \"{value}\""),
    });
    tls::set_negotiation(parameters, &mut config)?;
    Ok(config)
}

/// The error of a connection that was not made, in libpq's words.
fn explain(error: &postgres::Error, server: &Server) -> Failure {
    if let Some(server_error) = error.as_db_error() {
        let (severity, text) = (server_error.severity(), server_message(error));
        let text = format!("connection to {server} failed: {severity}:  {text}");
        let own = match *server_error.code() {
            SqlState::INVALID_CATALOG_NAME => {
                Some("Name the database by --dbname; without it the user's name is taken.")
            }
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Some("Name the user by --username."),
            _ => None,
        };
        return Failure { text, hint: server_error.hint().or(own).map(str::to_owned) };
    }
    let failure = |cause: &str, hint: Option<&str>| Failure {
        text: format!("connection to {server} failed: {cause}"),
        hint: hint.map(str::to_owned),
    };
    let cause = chain(error);
    if tls::is_no_tls(error) {
        return failure("server does not support SSL, but SSL was required", None);
    }
    if tls::is_of_tls(error) {
        let cause = cause.strip_prefix("error performing TLS handshake: ").unwrap_or(&cause);
        let of_name = cause.contains("not valid for name").then_some(
            "Connect by a name that the certificate has as a subject alternative name; its common name does not count.",
        );
        return failure(&format!("SSL error: {cause}"), of_name);
    }
    let cause = cause.strip_prefix("error connecting to server: ").unwrap_or(&cause);
    let cause = cause.split(" (os error").next().unwrap_or(cause);
    if cause.contains("password missing") {
        let hint = "Put the password into the password file (~/.pgpass) or PGPASSWORD.";
        return failure("no password supplied", Some(hint));
    }
    let hint = if server.is_socket() {
        "Is the server running locally and accepting connections on that socket?"
    } else {
        "Is the server running on that host and accepting TCP/IP connections?"
    };
    failure(cause, Some(hint))
}

#[cfg(test)]
mod tests;
