//! A certificate that nobody trusts, unless told to.

use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1, signed by itself.
pub struct Certificate {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Panics
    /// Never, unless the libraries are broken.
    #[must_use]
    pub fn of_localhost() -> Self {
        let names = vec!["127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a key that fits");
        let (pem, der) = (cert.pem(), cert.der().clone());
        Self { pem, key: signing_key.serialize_pem(), der, config: Arc::new(config) }
    }

    /// What a client must know to trust it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The same in DER.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Its private key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
