//! When a certificate expires.
//!
//! Purpose: one field of X.509 (RFC 5280, section 4.1), which rustls keeps to itself.
//! Invariant: whatever the bytes are, it is an instant or `None`; the certificate is not
//! otherwise checked here.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::der::{Der, INTEGER, SEQUENCE, VERSION};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate in DER.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let mut certificate = Der::new(certificate).take(SEQUENCE)?;
    let mut fields = certificate.take(SEQUENCE)?;
    // Version, serial number, signature algorithm, issuer.
    if fields.first() == Some(VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?;
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let mut validity = fields.take(SEQUENCE)?;
    time(&mut validity)?;
    time(&mut validity)
}

/// `YYMMDDhhmmssZ` or, from 2050 on, `YYYYMMDDhhmmssZ` (RFC 5280, section 4.1.2.5).
fn time(validity: &mut Der<'_>) -> Option<Timestamp> {
    let (year_digits, tag) = match validity.first()? {
        UTC_TIME => (2, UTC_TIME),
        GENERALIZED_TIME => (4, GENERALIZED_TIME),
        _ => return None,
    };
    let digits = validity.take(tag)?.bytes().strip_suffix(b"Z")?;
    if digits.len() != year_digits + 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| {
        digits[from..to].iter().fold(0, |sum: i16, digit| sum * 10 + i16::from(digit - b'0'))
    };
    let year = match (tag, number(0, year_digits)) {
        (UTC_TIME, year @ 50..) => 1900 + year,
        (UTC_TIME, year) => 2000 + year,
        (_, year) => year,
    };
    let part = |index: usize| {
        let from = year_digits + 2 * index;
        number(from, from + 2) as i8
    };
    let time = DateTime::new(year, part(0), part(1), part(2), part(3), part(4), 0).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::not_after;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 3, 4);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn both_notations_of_time_are_read() {
        for (year, expected) in [(2031, "2031-03-04T00:00:00Z"), (2051, "2051-03-04T00:00:00Z")] {
            let expires = not_after(&certificate(year)).expect("an instant");
            assert_eq!(expires.to_string(), expected);
        }
    }

    #[test]
    fn bytes_that_are_cut_or_broken_are_no_certificate() {
        let whole = certificate(2031);
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None, "{end}");
        }
        for index in 0..whole.len() {
            let mut broken = whole.clone();
            broken[index] ^= 0xff;
            let _ = not_after(&broken);
        }
    }
}
