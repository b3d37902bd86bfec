//! How far the certificate of a server is believed.
//!
//! Mirrors what `sslmode` asks for (`src/interfaces/libpq/fe-secure-openssl.c`: `initialize_SSL`,
//! `src/interfaces/libpq/fe-secure-common.c`: `pq_verify_peer_name_matches_certificate`).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Believes what the connection asks to be believed.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Whose certificates are believed; `None` if every certificate is.
    trusted: Option<Trusted>,
    /// Whether the certificate must be for the server's name.
    for_its_name: bool,
}

/// What a chain of certificates must lead to.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) chain: Arc<WebPkiServerVerifier>,
    /// The same certificates: a server may have one of them as its own.
    pub(super) roots: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(provider: Arc<CryptoProvider>, trusted: Option<Trusted>, for_its_name: bool) -> Self {
        Self { provider, trusted, for_its_name }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let outcome = if trusted.roots.contains(certificate) {
            // As OpenSSL does with a certificate that a server has signed itself, whatever that says of being an authority.
            verify_period(certificate, now).and_then(|()| {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            })
        } else {
            trusted.chain.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
        };
        match outcome {
            // It comes last: the chain is right then.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.for_its_name => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the certificate is valid at this time.
fn verify_period(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = Certificate::from_der(certificate).map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let validity = parsed.tbs_certificate.validity;
    let seconds = now.as_secs();
    if seconds < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if seconds > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}
