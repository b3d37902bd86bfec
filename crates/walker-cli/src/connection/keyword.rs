//! The keywords of libpq. Mirrors `PQconninfoOptions` (`src/interfaces/libpq/fe-connect.c`).

use anyhow::{Result, bail};

use super::Parameters;
use super::surroundings::Surroundings;
use crate::exit::Hinted;

/// Keywords that have an effect here, with the environment variable of each.
const KNOWN: [(&str, &str); 24] = [
    ("service", "PGSERVICE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslsni", "PGSSLSNI"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// Keywords that may be given and change nothing: they tune what is not there (GSSAPI), or how the connection is
/// kept.
const WITHOUT_EFFECT: [&str; 15] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "requirepeer",
    "require_auth",
    "sslcompression",
    "sslpassword",
    "tcp_user_timeout",
];

/// Refuses a keyword that libpq does not know either.
pub(super) fn check_name(keyword: &str) -> Result<()> {
    if KNOWN.iter().any(|(known, _)| *known == keyword) || WITHOUT_EFFECT.contains(&keyword) {
        return Ok(());
    }
    bail!("invalid connection option \"{keyword}\"")
}

/// Refuses demands on security that would silently not be met.
pub(super) fn check(parameters: &Parameters) -> Result<()> {
    for (keyword, value) in parameters {
        let demands = match keyword.as_str() {
            "gssencmode" => value == "require",
            "requirepeer" | "require_auth" => true,
            _ => false,
        };
        if demands {
            return Err(Hinted::error(
                format!("connection option \"{keyword}\" with value \"{value}\" is not supported by walker"),
                "Use a connection string or service without it.",
            ));
        }
    }
    Ok(())
}

/// What the environment says.
pub(super) fn from_environment(surroundings: &Surroundings) -> Parameters {
    let value = |(keyword, variable): (&str, &str)| Some((keyword.to_owned(), surroundings.variable(variable)?));
    let demands = [("gssencmode", "PGGSSENCMODE"), ("requirepeer", "PGREQUIREPEER"), ("require_auth", "PGREQUIREAUTH")];
    KNOWN.into_iter().chain(demands).filter_map(value).collect()
}
