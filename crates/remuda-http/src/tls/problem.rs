//! What is wrong with a certificate or a key, in words for whoever has made it.
//!
//! Invariants: nothing of a key's bytes is told but how many there are; what is not
//! understood is told in the words of the library.

use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, PrivateKeyDer, pem},
};

use super::der::{Der, INTEGER, OCTET_STRING, SEQUENCE};

/// Least bits of an RSA key that is taken.
const LEAST_RSA_BITS: usize = 2048;

/// Of the text of a file. The parser's own words may quote what it read, which may be a secret.
pub(super) fn of_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends before its -----END line, as if cut short",
        pem::Error::Base64Decode(_) => "what is between its -----BEGIN and -----END is not Base64",
        _ => "its PEM is malformed",
    }
}

/// Of a certificate that is refused.
pub(super) fn of_certificate(certificate: &CertificateDer<'_>, error: &Error) -> String {
    match error {
        _ if is_version_1(certificate) == Some(true) => {
            "it is X.509 version 1, which no client takes; make one with extensions, such as a \
             subjectAltName"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadEncoding) => "it is none".to_owned(),
        Error::InvalidCertificate(error) => error.to_string(),
        _ => error.to_string(),
    }
}

/// Of a key that is refused.
pub(super) fn of_key(key: &PrivateKeyDer<'_>) -> String {
    match rsa_bits(key) {
        Some(bits) if bits < LEAST_RSA_BITS => format!("it is an RSA key of {bits} bits"),
        _ => "it is none of the keys that can be used".to_owned(),
    }
}

fn is_version_1(certificate: &CertificateDer<'_>) -> Option<bool> {
    let mut certificate = Der::new(certificate).take(SEQUENCE)?;
    let fields = certificate.take(SEQUENCE)?;
    Some(fields.first()? == INTEGER)
}

/// The size of the modulus (RFC 8017, appendix A.1.2; RFC 5958, section 2).
fn rsa_bits(key: &PrivateKeyDer<'_>) -> Option<usize> {
    const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let pkcs1 = match key {
        PrivateKeyDer::Pkcs1(key) => key.secret_pkcs1_der(),
        PrivateKeyDer::Pkcs8(key) => {
            let mut fields = Der::new(key.secret_pkcs8_der()).take(SEQUENCE)?;
            fields.take(INTEGER)?;
            if fields.take(SEQUENCE)?.take(OBJECT_IDENTIFIER)?.bytes() != RSA {
                return None;
            }
            fields.take(OCTET_STRING)?.bytes()
        }
        _ => return None,
    };
    let mut fields = Der::new(pkcs1).take(SEQUENCE)?;
    fields.take(INTEGER)?;
    let modulus = fields.take(INTEGER)?.bytes();
    let digits = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    let first = modulus.get(digits)?;
    Some((modulus.len() - digits) * 8 - first.leading_zeros() as usize)
}
