//! The files that TLS takes: certificates of authorities, the client's own with its key, and lists of revoked ones.
//!
//! Mirrors `initialize_SSL` (`src/interfaces/libpq/fe-secure-openssl.c`).

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, bail, ensure};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::Parameters;
use super::surroundings::Surroundings;
use crate::exit::{Hinted, system_message};

/// A certificate with those that lead to its authority, and its key.
pub(super) type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates in the file `sslrootcert`, or else `~/.postgresql/root.crt`, or of the operating system; `None` if there is no
/// such file and none is `required`.
pub(super) fn roots(
    parameters: &Parameters,
    surroundings: &Surroundings,
    required: bool,
) -> Result<Option<Vec<CertificateDer<'static>>>> {
    if parameters.get("sslrootcert").is_some_and(|file| file == "system") {
        let found = rustls_native_certs::load_native_certs();
        return match found.errors.first() {
            Some(error) if found.certs.is_empty() => {
                bail!("could not load system root certificate paths: {error}")
            }
            _ => Ok(Some(found.certs)),
        };
    }
    let advice = "Provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable \
                  server certificate verification.";
    let Some(path) = file(parameters, surroundings, "sslrootcert", "root.crt") else {
        let message = "could not get home directory to locate root certificate file";
        return if required { Err(Hinted::error(message, advice)) } else { Ok(None) };
    };
    if !path.exists() {
        let message = format!("root certificate file \"{}\" does not exist", path.display());
        return if required { Err(Hinted::error(message, advice)) } else { Ok(None) };
    }
    let certificates = read_certificates(&path);
    certificates.map(Some).with_context(|| format!("could not read root certificate file \"{}\"", path.display()))
}

/// The client's own certificate, in `sslcert` or `~/.postgresql/postgresql.crt`, with its key in `sslkey` or
/// `~/.postgresql/postgresql.key`; `None` if there is none.
pub(super) fn own(parameters: &Parameters, surroundings: &Surroundings) -> Result<Option<OwnCertificate>> {
    let mode = parameters.get("sslcertmode").map_or("allow", String::as_str);
    ensure!(["disable", "allow", "require"].contains(&mode), "invalid sslcertmode value: \"{mode}\"");
    if mode == "disable" {
        return Ok(None);
    }
    let path = file(parameters, surroundings, "sslcert", "postgresql.crt").filter(|path| path.exists());
    let Some(path) = path else {
        ensure!(mode != "require", "sslcertmode value \"require\" needs a client certificate, and there is none");
        return Ok(None);
    };
    let certificates =
        read_certificates(&path).with_context(|| format!("could not read certificate file \"{}\"", path.display()))?;
    let key = file(parameters, surroundings, "sslkey", "postgresql.key");
    let key = key.context("certificate present, but not private key file")?;
    let metadata = fs::metadata(&key)
        .map_err(|_| Error::msg(format!("certificate present, but not private key file \"{}\"", key.display())))?;
    check_permissions(&key, &metadata)?;
    Ok(Some((certificates, read_key(&key)?)))
}

/// Lists of revoked certificates: in `sslcrl` or `~/.postgresql/root.crl`, and in all files of `sslcrldir`.
pub(super) fn revocation_lists(
    parameters: &Parameters,
    surroundings: &Surroundings,
) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let mut paths = Vec::new();
    if let Some(directory) = parameters.get("sslcrldir") {
        let entries = fs::read_dir(directory)
            .map_err(|error| Error::msg(system_message(&error)))
            .with_context(|| format!("could not open directory \"{directory}\""))?;
        for entry in entries {
            paths.push(entry?.path());
        }
    }
    // The default is not used beside a directory.
    if !parameters.contains_key("sslcrldir") || parameters.contains_key("sslcrl") {
        paths.extend(file(parameters, surroundings, "sslcrl", "root.crl").filter(|path| path.exists()));
    }
    let mut lists = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let read = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let context = || format!("could not read certificate revocation list \"{}\"", path.display());
        lists.extend(read.map_err(explain).with_context(context)?);
    }
    Ok(lists)
}

/// The file of a keyword, or of this name in the user's directory for PostgreSQL.
fn file(parameters: &Parameters, surroundings: &Surroundings, keyword: &str, name: &str) -> Option<PathBuf> {
    let named = parameters.get(keyword).map(PathBuf::from);
    named.or_else(|| Some(surroundings.home.as_ref()?.join(".postgresql").join(name)))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(explain)?;
    ensure!(!certificates.is_empty(), "no certificate found");
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let context = || format!("could not load private key file \"{}\"", path.display());
    let error = match PrivateKeyDer::from_pem_file(path) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let text = fs::read_to_string(path).unwrap_or_default();
    if text.contains("ENCRYPTED") {
        let advice = "Take the passphrase off the key (openssl pkey -in KEY -out NEW), and let nobody else read it.";
        return Err(Hinted::error("a private key with a passphrase is not supported", advice)).with_context(context);
    }
    Err(explain(error)).with_context(context)
}

/// Refuses a key that others may read.
fn check_permissions(path: &Path, metadata: &Metadata) -> Result<()> {
    ensure!(metadata.is_file(), "private key file \"{}\" is not a regular file", path.display());
    // Root's may be read by a group.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    ensure!(
        metadata.permissions().mode() & forbidden == 0,
        "private key file \"{}\" has group or world access; file must have permissions u=rw (0600) or less if owned by the \
         current user, or permissions u=rw,g=r (0640) or less if owned by root",
        path.display()
    );
    Ok(())
}

/// What is wrong with a file in PEM format.
fn explain(error: pem::Error) -> Error {
    match error {
        pem::Error::Io(error) => Error::msg(system_message(&error)),
        error => Error::msg(error.to_string()),
    }
}
