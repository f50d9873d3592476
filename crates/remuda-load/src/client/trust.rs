//! Certificates that somebody has named to be trusted.
//!
//! Owner: the scenario. Invariant: what is in here is a certificate, for all are read before
//! anything is sent; and one that is named is trusted also as a server's own: those that
//! people sign for themselves are often authorities at the same time, which no server's may be.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("it has no certificate; name one in PEM, with the line -----BEGIN CERTIFICATE-----")]
    None,
    #[error("{0}; name certificates in PEM")]
    Wrong(String),
}

/// Whom to trust instead of those whom the machine trusts.
#[derive(Clone, Debug)]
pub struct Trusted {
    roots: Arc<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Reads certificates.
    ///
    /// # Errors
    /// When there is none, or something that is none.
    pub(crate) fn parse(pem: &[u8]) -> Result<Self, TrustError> {
        let (mut roots, mut certificates) = (RootCertStore::empty(), Vec::new());
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| TrustError::Wrong(error.to_string()))?;
            let added = roots.add(certificate.clone());
            added.map_err(|error| TrustError::Wrong(error.to_string()))?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(TrustError::None);
        }
        Ok(Self { roots: Arc::new(roots), certificates })
    }

    pub(super) fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Verifier, Error> {
        let provider = Arc::clone(provider);
        let issuers =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider);
        let issuers = issuers.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Verifier { issuers, certificates: self.certificates.clone() })
    }
}

#[derive(Debug)]
pub(super) struct Verifier {
    issuers: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.issuers.verify_server_cert(certificate, others, name, ocsp, now) {
            // Neither says that it is too old, or of somebody else.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if self.certificates.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issuers.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issuers.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issuers.supported_verify_schemes()
    }
}
