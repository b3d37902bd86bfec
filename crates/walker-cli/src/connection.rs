//! Connecting to a server by libpq's conventions, as psql does: connection strings, environment, service file and
//! password file.
//!
//! Mirrors `src/interfaces/libpq/fe-connect.c`. As with psql, a connection string wins over the command's other
//! options, these win over the service, and that over the environment.

mod conninfo;
mod keyword;
mod password_file;
mod service;
mod surroundings;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Error, Result, bail, ensure};
use postgres::config::{SslMode, TargetSessionAttrs};
use postgres::{Client, Config, NoTls};

use crate::arguments::ConnectionArguments;
use crate::exit::Hinted;
use surroundings::Surroundings;

/// Port of a server that was not told another (`DEF_PGPORT`).
const DEFAULT_PORT: &str = "5432";

/// Puts a text into a configuration.
type SetText = fn(&mut Config, &str);

/// Values by libpq's keywords.
type Parameters = BTreeMap<String, String>;

/// Connects to the server that the options, the connection string, the service and the environment name.
pub(crate) fn connect(arguments: &ConnectionArguments) -> Result<Client> {
    let surroundings = Surroundings::of_process();
    let parameters = resolve(arguments, &surroundings)?;
    let mut config = to_config(&parameters)?;
    if !parameters.contains_key("password") {
        let (password, warning) = password_file::find(&parameters, &surroundings);
        if let Some(warning) = warning {
            eprintln!("walker: warning: {warning}");
        }
        if let Some(password) = password {
            config.password(password);
        }
    }
    config.connect(NoTls).map_err(|error| explain(&error, &parameters))
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
    for (keyword, value) in [("port", DEFAULT_PORT), ("sslmode", "prefer"), ("application_name", "walker")] {
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

/// What the client library is told.
fn to_config(parameters: &Parameters) -> Result<Config> {
    let get = |keyword: &str| parameters.get(keyword).map(String::as_str);
    let mut config = Config::new();
    let hosts = set_servers(parameters, &mut config)?;
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
    config.target_session_attrs(match get("target_session_attrs") {
        None | Some("any") => TargetSessionAttrs::Any,
        Some("read-write" | "primary") => TargetSessionAttrs::ReadWrite,
        Some("read-only" | "standby") => TargetSessionAttrs::ReadOnly,
        Some(value) => bail!("invalid target_session_attrs value: \"{value}\""),
    });
    check_sslmode(get("sslmode").unwrap_or("prefer"), &hosts)?;
    config.ssl_mode(SslMode::Disable);
    Ok(config)
}

/// Hosts, addresses and ports, of which there may be several; returns the hosts.
fn set_servers<'a>(parameters: &'a Parameters, config: &mut Config) -> Result<Vec<&'a str>> {
    let list = |keyword: &str| parameters.get(keyword).map(|list| list.split(',').map(str::trim).collect::<Vec<_>>());
    let hosts = list("host").unwrap_or_default();
    for host in &hosts {
        config.host(if host.is_empty() { "localhost" } else { host });
    }
    let addresses = list("hostaddr").unwrap_or_default();
    for address in &addresses {
        let parsed = address.parse();
        config.hostaddr(parsed.map_err(|_| Error::msg(format!("could not parse network address \"{address}\"")))?);
    }
    let servers = hosts.len().max(addresses.len());
    let ports = list("port").unwrap_or_default();
    ensure!(
        ports.len() == 1 || ports.len() == servers,
        "could not match {} port numbers to {servers} hosts",
        ports.len()
    );
    for port in ports {
        let port = if port.is_empty() { DEFAULT_PORT } else { port };
        let number = port.parse().ok().filter(|number| *number != 0);
        config.port(number.ok_or_else(|| Error::msg(format!("invalid port number: \"{port}\"")))?);
    }
    Ok(hosts)
}

/// A connection that must be encrypted cannot be had; on a Unix socket none ever is.
fn check_sslmode(sslmode: &str, hosts: &[&str]) -> Result<()> {
    match sslmode {
        "disable" | "allow" | "prefer" => Ok(()),
        "require" | "verify-ca" | "verify-full" => {
            if !hosts.is_empty() && hosts.iter().all(|host| is_socket(host)) {
                return Ok(());
            }
            Err(Hinted::error(
                format!("could not connect with sslmode \"{sslmode}\": walker does not support TLS yet"),
                "Connect through the server's Unix socket or through a tunnel, with sslmode=disable.",
            ))
        }
        _ => bail!("invalid sslmode value: \"{sslmode}\""),
    }
}

/// Whether a host is the directory of a Unix socket (`is_unixsock_path`).
fn is_socket(host: &str) -> bool {
    host.starts_with(['/', '@'])
}

/// The error of a connection that was not made, in libpq's words.
fn explain(error: &postgres::Error, parameters: &Parameters) -> Error {
    let get = |keyword: &str| parameters.get(keyword).map_or("", String::as_str);
    let host = if get("host").is_empty() { get("hostaddr") } else { get("host") };
    let port = get("port");
    let server = if is_socket(host) {
        format!("server on socket \"{}\"", Path::new(host).join(format!(".s.PGSQL.{port}")).display())
    } else {
        format!("server at \"{host}\", port {port}")
    };
    if let Some(server_error) = error.as_db_error() {
        let (severity, text) = (server_error.severity(), server_message(error));
        let message = format!("connection to {server} failed: {severity}:  {text}");
        return server_error.hint().map_or_else(|| Error::msg(message.clone()), |hint| Hinted::error(&message, hint));
    }
    let cause = chain(error);
    let cause = cause.strip_prefix("error connecting to server: ").unwrap_or(&cause);
    let cause = cause.split(" (os error").next().unwrap_or(cause);
    if cause.contains("password missing") {
        return Hinted::error(
            format!("connection to {server} failed: no password supplied"),
            "Put the password into the password file (~/.pgpass) or PGPASSWORD.",
        );
    }
    let message = format!("connection to {server} failed: {cause}");
    if is_socket(host) {
        Hinted::error(message, "Is the server running locally and accepting connections on that socket?")
    } else {
        Hinted::error(message, "Is the server running on that host and accepting TCP/IP connections?")
    }
}

#[cfg(test)]
mod tests;
