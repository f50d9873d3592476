//! The server's certificate, ready for handshakes.
//!
//! Purpose: PEM to what rustls needs, with every mistake that can be told without a client.
//! Owner: whoever loads the configuration builds one to check it, and each worker one to
//! use. Invariant: what was built once can be built again, for it depends on nothing but the
//! configuration.

mod der;
mod expiry;
mod problem;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use jiff::{SignedDuration, Timestamp};
use rustls::{
    Error, InconsistentKeys, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

/// Protocols that are offered (ALPN, RFC 7301), in order of preference.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How long before its end a certificate should have a successor.
const RENEWAL: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "http.tls_cert: failed to find a certificate in {0}; it must be in PEM, with the line \
         -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate(PathBuf),
    #[error(
        "http.tls_cert: failed to understand {file}: {problem}; it must hold the server's own \
         certificate and then those that have signed it, in PEM"
    )]
    Certificate { file: PathBuf, problem: String },
    #[error(
        "http.tls_key: failed to find a private key in {0}; it must be in PEM, as PKCS#8, PKCS#1 \
         or SEC1"
    )]
    NoKey(PathBuf),
    #[error(
        "http.tls_key: failed to use {0}: it is encrypted; decrypt it, such as with openssl pkey \
         -in KEY -out PLAIN_KEY"
    )]
    EncryptedKey(PathBuf),
    #[error(
        "http.tls_key: failed to use {file}: {problem}; it must be an RSA key of 2048 to 8192 \
         bits, an ECDSA key on P-256 or P-384, or an Ed25519 key"
    )]
    Key { file: PathBuf, problem: String },
    #[error(
        "http.tls_key: failed to use {key}: it is not the key of the first certificate in {cert}; \
         put the server's own certificate first, or name its own key"
    )]
    Mismatch { key: PathBuf, cert: PathBuf },
    #[error("http.tls_cert: failed to set up TLS: {0}; try another certificate")]
    Setup(#[source] Error),
}

/// Everything that handshakes need.
#[derive(Clone)]
pub struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    expires: Option<Timestamp>,
}

impl Tls {
    /// Checks what was read from the files and makes it ready.
    ///
    /// # Errors
    /// When it is not a certificate chain and the private key of its first certificate.
    pub fn build(config: &remuda_config::Tls) -> Result<Self, TlsError> {
        let chain = chain(config)?;
        let expires = expiry::not_after(&chain[0]);
        let key = key(config)?;
        let provider = Arc::new(ring::default_provider());
        check(config, &chain, &key)?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Setup)?;
        server.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), expires })
    }

    /// Says that clients refuse the server's own certificate, or will soon.
    #[must_use]
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let (expires, now) = (self.expires?, Timestamp::try_from(now).ok()?);
        let verb = match expires.duration_since(now) {
            left if left.is_negative() => "has expired",
            left if left < RENEWAL => "expires",
            _ => return None,
        };
        let date = expires.strftime("%F");
        Some(format!(
            "http.tls_cert: the certificate {verb} on {date}; put a new one in its place, and reload"
        ))
    }
}

/// At least one certificate.
fn chain(config: &remuda_config::Tls) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = || config.cert.clone();
    let wrong = |problem: String| TlsError::Certificate { file: file(), problem };
    let chain = CertificateDer::pem_slice_iter(config.identity.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(problem::of_pem(&error).to_owned()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(file()));
    }
    for (index, certificate) in chain.iter().enumerate() {
        let parsed = ParsedCertificate::try_from(certificate);
        parsed.map_err(|error| {
            let problem = problem::of_certificate(certificate, &error);
            wrong(format!("certificate {}: {problem}", index + 1))
        })?;
    }
    Ok(chain)
}

fn key(config: &remuda_config::Tls) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = &config.identity.key;
    // In PKCS#8, and in the notation of OpenSSL for the older ones.
    let is_encrypted = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|sign| text.contains(sign));
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        _ if is_encrypted => TlsError::EncryptedKey(config.key.clone()),
        pem::Error::NoItemsFound => TlsError::NoKey(config.key.clone()),
        _ => {
            TlsError::Key { file: config.key.clone(), problem: problem::of_pem(&error).to_owned() }
        }
    })
}

/// Whether the key is one, and that of the first certificate.
fn check(
    config: &remuda_config::Tls,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), TlsError> {
    let key = ring::sign::any_supported_type(key)
        .map_err(|_| TlsError::Key { file: config.key.clone(), problem: problem::of_key(key) })?;
    match CertifiedKey::new(chain.to_vec(), key).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { key: config.key.clone(), cert: config.cert.clone() })
        }
        Err(error) => Err(TlsError::Setup(error)),
    }
}

#[cfg(test)]
mod tests;
