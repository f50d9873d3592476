//! Values in DER (X.690), as far as certificates and keys are looked into.
//!
//! Purpose: rustls keeps to itself when a certificate expires, and does not say what is wrong
//! with one, or with a key. Invariant: whatever the bytes are, it is a value or `None`.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;
/// The version of a certificate, which the first one did not have.
pub(super) const VERSION: u8 = 0xa0;

/// Values one after the other (X.690).
pub(super) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// All that is left.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The tag of the next value.
    pub(super) fn first(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The inside of the next value, if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<Der<'a>> {
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
}
