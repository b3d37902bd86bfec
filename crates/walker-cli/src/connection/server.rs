//! The servers that hosts, addresses and ports name: one or several, which are tried in turn.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Error, Result, ensure};
use postgres::Config;

use super::{DEFAULT_PORT, Parameters};

/// Where one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name, or the directory of its socket; empty if there is but an address.
    pub(super) host: String,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

/// The servers in the order in which they are tried.
pub(super) fn list(parameters: &Parameters) -> Result<Vec<Server>> {
    let list = |keyword: &str| parameters.get(keyword).map(|list| list.split(',').map(str::trim).collect::<Vec<_>>());
    let hosts = list("host").unwrap_or_default();
    let addresses = list("hostaddr").unwrap_or_default();
    let servers = hosts.len().max(addresses.len());
    ensure!(
        hosts.is_empty() || addresses.is_empty() || hosts.len() == addresses.len(),
        "could not match {} host names to {} hostaddr values",
        hosts.len(),
        addresses.len()
    );
    let ports = list("port").unwrap_or_default();
    ensure!(
        ports.len() == 1 || ports.len() == servers,
        "could not match {} port numbers to {servers} hosts",
        ports.len()
    );
    let server = |index: usize| {
        let host = hosts.get(index).map_or("", |host| if host.is_empty() { "localhost" } else { host });
        let address = addresses.get(index).filter(|address| !address.is_empty());
        let port = ports.get(index).or(ports.first()).filter(|port| !port.is_empty()).unwrap_or(&DEFAULT_PORT);
        Ok(Server {
            host: host.to_owned(),
            address: address.map(|address| parse_address(address)).transpose()?,
            port: parse_port(port)?,
        })
    };
    (0..servers).map(server).collect()
}

fn parse_address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Error::msg(format!("could not parse network address \"{text}\"")))
}

fn parse_port(text: &str) -> Result<u16> {
    let number = text.parse().ok().filter(|number| *number != 0);
    number.ok_or_else(|| Error::msg(format!("invalid port number: \"{text}\"")))
}

impl Server {
    /// Whether it is reached by a Unix socket, on which nothing is encrypted (`is_unixsock_path`).
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with(['/', '@'])
    }

    /// Tells the client library.
    pub(super) fn set(&self, config: &mut Config) {
        if !self.host.is_empty() {
            config.host(&self.host);
        }
        if let Some(address) = self.address {
            config.hostaddr(address);
        }
        config.port(self.port);
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, port } = self;
        match address {
            _ if self.is_socket() => {
                let socket = Path::new(host).join(format!(".s.PGSQL.{port}"));
                write!(formatter, "server on socket \"{}\"", socket.display())
            }
            Some(address) if host.is_empty() => write!(formatter, "server at \"{address}\", port {port}"),
            Some(address) => write!(formatter, "server at \"{host}\" ({address}), port {port}"),
            None => write!(formatter, "server at \"{host}\", port {port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(pairs: &[(&str, &str)]) -> Result<Vec<String>> {
        let of = |(keyword, value): &(&str, &str)| ((*keyword).to_owned(), (*value).to_owned());
        Ok(list(&pairs.iter().map(of).collect())?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn there_may_be_several() {
        let expected =
            ["server at \"a\", port 1", "server on socket \"/tmp/.s.PGSQL.2\"", "server at \"localhost\", port 5432"];
        assert_eq!(servers(&[("host", "a,/tmp,"), ("port", "1,2,")]).unwrap(), expected);
        assert_eq!(
            servers(&[("host", "a,b"), ("hostaddr", "127.0.0.1,"), ("port", "7")]).unwrap(),
            ["server at \"a\" (127.0.0.1), port 7", "server at \"b\", port 7"]
        );
        assert_eq!(servers(&[("hostaddr", "::1"), ("port", "7")]).unwrap(), ["server at \"::1\", port 7"]);
    }

    #[test]
    fn lists_must_be_of_one_length() {
        let message = |pairs: &[(&str, &str)]| servers(pairs).unwrap_err().to_string();
        assert_eq!(message(&[("host", "a"), ("port", "1,2")]), "could not match 2 port numbers to 1 hosts");
        let pairs = [("host", "a,b"), ("hostaddr", "::1"), ("port", "1")];
        assert_eq!(message(&pairs), "could not match 2 host names to 1 hostaddr values");
    }
}
