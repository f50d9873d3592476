//! What servers' certificates are checked with.
//!
//! Owner: the [connector](super::Connector). Invariant: every handshake is a full one (no
//! session is resumed), so that a fresh connection costs what a new client costs.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::scenario::{Connection, Http};

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("target: failed to use {0:?} as a server's name; write a host name or an address")]
    Name(String),
    #[error("target: failed to set up TLS: {0}; try another certificate")]
    Setup(#[source] Error),
}

/// Why a handshake has failed, and what to do.
pub(super) fn explain(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let remedy = match cause {
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "write the target with a name that the certificate has, or use --insecure",
        Some(Error::InvalidCertificate(_)) => {
            "trust its issuer with connection.cacert (--cacert FILE), or anybody with --insecure"
        }
        Some(Error::InvalidMessage(_)) => "what answers there speaks no TLS; write http://",
        Some(Error::NoApplicationProtocol) => "try another connection.http (--http)",
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server has hung up; does it speak TLS there?"
        }
        _ => "check what TLS the server speaks",
    };
    format!("{error}; {remedy}")
}

pub(super) fn config(connection: &Connection) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let mut config = match &connection.cacert {
        _ if connection.insecure => {
            let anyone = Arc::new(Anyone(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        }
        Some(trusted) => {
            let named = Arc::new(trusted.verifier(&provider).map_err(TlsError::Setup)?);
            builder.dangerous().with_custom_certificate_verifier(named).with_no_client_auth()
        }
        None => builder.with_root_certificates(system()).with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = match connection.http {
        Http::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http::One => vec![b"http/1.1".to_vec()],
        Http::Two => vec![b"h2".to_vec()],
    };
    Ok(config)
}

/// Those that the machine trusts, or those of Mozilla where it has none.
fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Trusts whoever answers; signatures must still be sound.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
