//! Bodies in which a byte that is lost, doubled or out of place shows.

use bytes::Bytes;

/// So many bytes, always the same ones (xorshift64; Marsaglia, "Xorshift RNGs", 2003).
#[must_use]
pub fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    Bytes::from(bytes)
}

/// Compares bodies that are too long to print.
///
/// # Panics
/// When they differ; the message says where.
pub fn assert_same(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(got, expected)| got != expected);
    assert_eq!(differs, None, "the bodies differ from this byte on");
    assert_eq!(got.len(), expected.len(), "the bodies have different lengths");
}
