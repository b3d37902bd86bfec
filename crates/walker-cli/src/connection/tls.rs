//! Encrypted connections, as `sslmode` and the keywords beside it ask for.
//!
//! Mirrors `src/interfaces/libpq/fe-connect.c` (`PQconnectPoll`) and `src/interfaces/libpq/fe-secure-openssl.c`.

use std::sync::Arc;

use anyhow::{Context as _, Error, Result, bail, ensure};
use postgres::config::{SslMode, SslNegotiation};
use postgres::{Client, Config, NoTls};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Parameters;
use super::certificates;
use super::surroundings::Surroundings;
use super::verifier::{Trusted, Verifier};

/// Whether a connection is encrypted, and what is believed of the server's certificate (`sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Never.
    Disable,
    /// If the server does not let us in otherwise.
    Allow,
    /// If the server can.
    Prefer,
    /// Always.
    Require,
    /// Always, and an authority that is believed has signed the server's certificate.
    VerifyCa,
    /// And the certificate is for the server's name.
    VerifyFull,
}

impl Mode {
    /// What the parameters ask for.
    pub(super) fn of(parameters: &Parameters) -> Result<Self> {
        let get = |keyword: &str| parameters.get(keyword).map(String::as_str);
        let is_system = get("sslrootcert") == Some("system");
        let name = get("sslmode").unwrap_or(if is_system { "verify-full" } else { "prefer" });
        let mode = match name {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => bail!("invalid sslmode value: \"{name}\""),
        };
        ensure!(
            !is_system || mode == Self::VerifyFull,
            "weak sslmode \"{name}\" may not be used with sslrootcert=system (use \"verify-full\")"
        );
        ensure!(
            !is_direct(parameters)? || mode >= Self::Require,
            "weak sslmode \"{name}\" may not be used with sslnegotiation=direct (use \"require\", \"verify-ca\", or \
             \"verify-full\")"
        );
        Ok(mode)
    }
}

/// Whether TLS begins without asking the server, which PostgreSQL 17 and later understand.
fn is_direct(parameters: &Parameters) -> Result<bool> {
    match parameters.get("sslnegotiation").map(String::as_str) {
        None | Some("postgres") => Ok(false),
        Some("direct") => Ok(true),
        Some(value) => bail!("invalid sslnegotiation value: \"{value}\""),
    }
}

/// How connections to servers on TCP are made.
pub(super) struct Tls {
    mode: Mode,
    /// `None` if nothing is encrypted.
    connector: Option<MakeRustlsConnect>,
}

impl Tls {
    /// No encryption.
    pub(super) fn none() -> Self {
        Self { mode: Mode::Disable, connector: None }
    }

    /// What the parameters ask for, with the files that it takes.
    pub(super) fn new(mode: Mode, parameters: &Parameters, surroundings: &Surroundings) -> Result<Self> {
        if mode == Mode::Disable {
            return Ok(Self::none());
        }
        let config = client_config(mode, parameters, surroundings)?;
        Ok(Self { mode, connector: Some(MakeRustlsConnect::new(config)) })
    }

    /// Makes a connection; else says why not, for each way that was tried.
    pub(super) fn connect(&self, config: &Config) -> Result<Client, Vec<postgres::Error>> {
        let plain = || config.clone().ssl_mode(SslMode::Disable).connect(NoTls);
        let Some(connector) = &self.connector else { return plain().map_err(|error| vec![error]) };
        let encrypted = || config.clone().ssl_mode(SslMode::Require).connect(connector.clone());
        let (first, second): (Result<Client, postgres::Error>, &dyn Fn() -> Result<Client, postgres::Error>) =
            match self.mode {
                Mode::Allow => (plain(), &encrypted),
                Mode::Prefer => (encrypted(), &plain),
                Mode::Disable | Mode::Require | Mode::VerifyCa | Mode::VerifyFull => {
                    return encrypted().map_err(|error| vec![error]);
                }
            };
        match first {
            Ok(client) => Ok(client),
            Err(error) if is_no_tls(&error) => second().map_err(|error| vec![error]),
            // The other way may do where the handshake failed, or the server's pg_hba.conf says so.
            Err(error) if is_of_tls(&error) || error.as_db_error().is_some() => {
                second().map_err(|second| vec![error, second])
            }
            Err(error) => Err(vec![error]),
        }
    }
}

/// What the client library says where the server has no TLS.
const NO_TLS: &str = "server does not support TLS";

/// Whether the server has no TLS.
pub(super) fn is_no_tls(error: &postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.to_string() == NO_TLS)
}

/// Whether the handshake failed.
pub(super) fn is_of_tls(error: &postgres::Error) -> bool {
    // The kind of an error is not public.
    error.to_string().starts_with("error performing TLS handshake")
}

/// Tells the client library how TLS begins.
pub(super) fn set_negotiation(parameters: &Parameters, config: &mut Config) -> Result<()> {
    config.ssl_negotiation(if is_direct(parameters)? { SslNegotiation::Direct } else { SslNegotiation::Postgres });
    Ok(())
}

fn client_config(mode: Mode, parameters: &Parameters, surroundings: &Surroundings) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions = versions(parameters)?;
    // With certificates of authorities at hand, a server's is looked at whatever the mode.
    let roots = certificates::roots(parameters, surroundings, mode >= Mode::VerifyCa)?;
    let trusted = roots.map(|roots| trust(roots, parameters, surroundings, &provider)).transpose()?;
    let verifier = Verifier::new(Arc::clone(&provider), trusted, mode == Mode::VerifyFull);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match certificates::own(parameters, surroundings)? {
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).context("could not use the client certificate")?
        }
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = parameters.get("sslsni").is_none_or(|value| value != "0");
    if is_direct(parameters)? {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

/// What chains of certificates must lead to.
fn trust(
    certificates: Vec<rustls::pki_types::CertificateDer<'static>>,
    parameters: &Parameters,
    surroundings: &Surroundings,
    provider: &Arc<CryptoProvider>,
) -> Result<Trusted> {
    let mut store = RootCertStore::empty();
    // What is no authority's can still be the server's own.
    store.add_parsable_certificates(certificates.iter().cloned());
    ensure!(!store.is_empty(), "none of the root certificates can be used");
    let lists = certificates::revocation_lists(parameters, surroundings)?;
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).with_crls(lists);
    let chain = builder
        .build()
        .map_err(|error| Error::msg(format!("could not use the certificate revocation lists: {error}")))?;
    Ok(Trusted { chain, roots: certificates })
}

/// The versions of the protocol between `ssl_min_protocol_version` and `ssl_max_protocol_version`. There are none before 1.2.
fn versions(parameters: &Parameters) -> Result<Vec<&'static SupportedProtocolVersion>> {
    let number = |keyword: &str, default: u8| match parameters.get(keyword) {
        None => Ok(default),
        Some(value) => match value.to_ascii_lowercase().as_str() {
            "tlsv1" => Ok(0),
            "tlsv1.1" => Ok(1),
            "tlsv1.2" => Ok(2),
            "tlsv1.3" => Ok(3),
            _ => Err(Error::msg(format!("invalid {keyword} value: \"{value}\""))),
        },
    };
    let least = number("ssl_min_protocol_version", 2)?;
    let most = number("ssl_max_protocol_version", 3)?;
    ensure!(least <= most, "invalid SSL protocol version range");
    ensure!(most >= 2, "ssl_max_protocol_version is below TLSv1.2, and older versions are not supported");
    let all = [(2, &TLS12), (3, &TLS13)];
    Ok(all.into_iter().filter(|(number, _)| (least..=most).contains(number)).map(|(_, version)| version).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn weak_modes_are_refused_where_libpq_refuses_them() {
        let mode = |pairs: &[(&str, &str)]| Mode::of(&parameters(pairs)).map_err(|error| error.to_string());
        assert_eq!(mode(&[]), Ok(Mode::Prefer));
        assert_eq!(mode(&[("sslrootcert", "system")]), Ok(Mode::VerifyFull));
        let weak = mode(&[("sslrootcert", "system"), ("sslmode", "require")]).unwrap_err();
        assert_eq!(weak, "weak sslmode \"require\" may not be used with sslrootcert=system (use \"verify-full\")");
        assert!(mode(&[("sslnegotiation", "direct")]).unwrap_err().starts_with("weak sslmode \"prefer\""));
        assert_eq!(mode(&[("sslnegotiation", "direct"), ("sslmode", "require")]), Ok(Mode::Require));
        assert_eq!(mode(&[("sslnegotiation", "x")]).unwrap_err(), "invalid sslnegotiation value: \"x\"");
    }

    #[test]
    fn versions_are_a_range() {
        let names = |pairs: &[(&str, &str)]| {
            let versions = versions(&parameters(pairs)).map_err(|error| error.to_string())?;
            Ok::<_, String>(versions.iter().map(|version| format!("{:?}", version.version)).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["TLSv1_2", "TLSv1_3"]);
        assert_eq!(names(&[("ssl_min_protocol_version", "TLSv1.3")]).unwrap(), ["TLSv1_3"]);
        assert_eq!(
            names(&[("ssl_min_protocol_version", "tlsv1"), ("ssl_max_protocol_version", "TLSv1.2")]).unwrap(),
            ["TLSv1_2"]
        );
        assert!(names(&[("ssl_max_protocol_version", "TLSv1.1"), ("ssl_min_protocol_version", "TLSv1")]).is_err());
        assert!(names(&[("ssl_max_protocol_version", "TLSv1.1")]).unwrap_err().contains("range"));
        assert!(names(&[("ssl_min_protocol_version", "3")]).is_err());
    }
}
