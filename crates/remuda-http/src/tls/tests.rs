//! Files as operators have them.

use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use remuda_config::Identity;

use super::*;

fn made() -> (String, KeyPair) {
    let made = generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
    let CertifiedKey { cert, signing_key } = made;
    (cert.pem(), signing_key)
}

fn build(chain: impl Into<String>, key: impl Into<String>) -> Result<Tls, TlsError> {
    Tls::build(&remuda_config::Tls {
        cert: "/etc/cert.pem".into(),
        key: "/etc/key.pem".into(),
        identity: Identity { chain: chain.into(), key: key.into() },
    })
}

/// What is said of it.
fn fault(chain: impl Into<String>, key: impl Into<String>) -> String {
    build(chain, key).map(drop).expect_err("an error").to_string()
}

#[test]
fn a_chain_and_its_key_are_enough() {
    let (chain, key) = made();
    let tls = build(chain.clone(), key.serialize_pem()).expect("valid");
    assert_eq!(tls.acceptor.config().alpn_protocols, ALPN);
    // Words before and between, and a key in the same file.
    let all = format!("a comment\n{chain}\n{}{}", made().0, key.serialize_pem());
    assert!(build(all.clone(), all).is_ok());
}

#[test]
fn keys_come_in_three_notations() {
    // The same key, on P-256, made for this test.
    let (chain, pkcs8, sec1) = (
        include_str!("testdata/p256.pem"),
        include_str!("testdata/p256.key"),
        include_str!("testdata/p256.sec1.key"),
    );
    assert!(pkcs8.contains("BEGIN PRIVATE KEY") && sec1.contains("BEGIN EC PRIVATE KEY"));
    assert!(build(chain, pkcs8).is_ok());
    assert!(build(chain, sec1).is_ok());
    let (chain, pkcs1) = (include_str!("testdata/rsa.pem"), include_str!("testdata/rsa.pkcs1.key"));
    assert!(pkcs1.contains("BEGIN RSA PRIVATE KEY"));
    assert!(build(chain, pkcs1).is_ok());
}

#[test]
fn a_mistake_is_told_with_key_file_and_remedy() {
    let ((chain, key), (_, other)) = (made(), made());
    let key = key.serialize_pem();
    let half = &chain[..chain.len() / 2];
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
                         AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    // Made for this test.
    let old = include_str!("testdata/version1.pem").to_owned();
    let short = include_str!("testdata/rsa1024.key");
    let short_pkcs1 = include_str!("testdata/rsa1024.pkcs1.key");
    let p521 = include_str!("testdata/p521.key");
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (told, file, remedy) in [
        (fault("", key.clone()), "/etc/cert.pem", "BEGIN CERTIFICATE"),
        (fault(key.clone(), key.clone()), "/etc/cert.pem", "BEGIN CERTIFICATE"),
        (fault(half, key.clone()), "/etc/cert.pem: it ends before its -----END", "it must hold"),
        (fault(garbage, key.clone()), "certificate 1: it is none", "it must hold"),
        (fault(old.clone(), key.clone()), "certificate 1: it is X.509 version 1", "extensions"),
        (fault(format!("{chain}{garbage}"), key.clone()), "certificate 2", "it must hold"),
        (fault(chain.clone(), ""), "/etc/key.pem", "PKCS#8"),
        (fault(chain.clone(), chain.clone()), "/etc/key.pem", "PKCS#8"),
        (fault(chain.clone(), encrypted), "/etc/key.pem", "decrypt it"),
        (fault(chain.clone(), old_encrypted), "/etc/key.pem", "decrypt it"),
        (fault(chain.clone(), no_key), "/etc/key.pem", "must be an RSA key"),
        (fault(chain.clone(), short), "it is an RSA key of 1024 bits", "2048 to 8192 bits"),
        (fault(chain.clone(), short_pkcs1), "it is an RSA key of 1024 bits", "2048 to 8192 bits"),
        (fault(chain.clone(), p521), "it is none of the keys", "P-256 or P-384, or"),
        (fault(chain.clone(), &key[..key.len() / 2]), "/etc/key.pem", "must be an RSA key"),
        (fault(chain, other.serialize_pem()), "/etc/key.pem", "name its own key"),
    ] {
        assert!(told.starts_with("http.tls_") && told.contains(file), "{told}");
        assert!(told.contains("; ") && told.contains(remedy), "{told}");
    }
}

#[test]
fn a_certificate_that_ends_soon_is_warned_about() {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(2031, 3, 4);
    let key = KeyPair::generate().expect("a key");
    let chain = params.self_signed(&key).expect("a certificate").pem();
    let tls = build(chain, key.serialize_pem()).expect("valid");
    let warned = |now: &str| tls.warning(now.parse::<Timestamp>().expect("an instant").into());
    assert_eq!(warned("2031-02-17T23:00:00Z"), None);
    let warning = warned("2031-02-19T00:00:00Z").expect("a warning");
    assert!(warning.contains("expires on 2031-03-04;"), "{warning}");
    let warning = warned("2031-03-05T00:00:00Z").expect("a warning");
    assert!(warning.contains("has expired on 2031-03-04;"), "{warning}");
}
