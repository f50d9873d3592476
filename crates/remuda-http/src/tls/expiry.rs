//! When a certificate expires.
//!
//! Purpose: one field of X.509 (RFC 5280, section 4.1), which rustls keeps to itself.
//! Invariant: whatever the bytes are, it is an instant or `None`; the certificate is not
//! otherwise checked here.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which the first one did not have.
const VERSION: u8 = 0xa0;

/// `notAfter` of a certificate in DER.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let mut certificate = Der(certificate).take(SEQUENCE)?;
    let mut fields = certificate.take(SEQUENCE)?;
    // Version, serial number, signature algorithm, issuer.
    if fields.0.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?;
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let mut validity = fields.take(SEQUENCE)?;
    validity.time()?;
    validity.time()
}

/// Values one after the other (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The inside of the next value, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<Der<'a>> {
        let (&[found, length], rest) = self.0.split_first_chunk()?;
        // 0x80 and the number of bytes that hold a length which is not below 0x80.
        let (length, rest) = match length {
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ if length < 0x80 => (usize::from(length), rest),
            _ => return None,
        };
        let (inside, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(Der(inside))
    }

    /// `YYMMDDhhmmssZ` or, from 2050 on, `YYYYMMDDhhmmssZ` (RFC 5280, section 4.1.2.5).
    fn time(&mut self) -> Option<Timestamp> {
        let (year_digits, tag) = match *self.0.first()? {
            UTC_TIME => (2, UTC_TIME),
            GENERALIZED_TIME => (4, GENERALIZED_TIME),
            _ => return None,
        };
        let digits = self.take(tag)?.0.strip_suffix(b"Z")?;
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
