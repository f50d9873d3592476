//! Arguments and results of jobs as bytes.
//!
//! `Vec<u8>` and `Bytes` are sent as they are, all else as JSON. A single argument is the payload;
//! several come one after the other, each behind its length (32 bits, little-endian). Both ends are the
//! same component, so that nobody else has to read it.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// JSON.
///
/// # Errors
/// When the value cannot be serialized.
pub fn to_json(value: impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&value)?)
}

/// What was JSON.
///
/// # Errors
/// When it is not such a value.
pub fn from_json<T: DeserializeOwned>(bytes: Vec<u8>) -> Result<T> {
    Ok(serde_json::from_slice(&bytes)?)
}

/// Bytes.
///
/// # Errors
/// Never; it looks like [`to_json`].
pub fn to_raw(value: impl Into<Bytes>) -> Result<Vec<u8>> {
    Ok(value.into().into())
}

/// What was bytes.
///
/// # Errors
/// Never; it looks like [`from_json`].
pub fn from_raw<T: From<Vec<u8>>>(bytes: Vec<u8>) -> Result<T> {
    Ok(bytes.into())
}

/// All arguments as one payload.
///
/// # Errors
/// When one has 4 GiB.
pub fn join<const N: usize>(parts: [Vec<u8>; N]) -> Result<Vec<u8>> {
    if N == 1 {
        return Ok(parts.into_iter().next().unwrap_or_default());
    }
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        all.extend(u32::try_from(part.len())?.to_le_bytes());
        all.extend(part);
    }
    Ok(all)
}

/// The arguments of a payload.
///
/// # Errors
/// When there are not so many.
pub fn split<const N: usize>(payload: Vec<u8>) -> Result<[Vec<u8>; N]> {
    let mut parts = [const { Vec::new() }; N];
    if let [only] = &mut parts[..] {
        *only = payload;
        return Ok(parts);
    }
    let mut rest = &*payload;
    let cut = || Error::internal("failed to read a job's arguments: they are cut off");
    for part in &mut parts {
        let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (bytes, after) = after.split_at_checked(length).ok_or_else(cut)?;
        *part = bytes.to_vec();
        rest = after;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back() {
        let parts = [vec![1, 2], vec![], vec![3]];
        let payload = join(parts.clone()).expect("a payload");
        assert_eq!(split(payload.clone()).ok(), Some(parts));
        assert!(split::<4>(payload).is_err());
        assert_eq!(join([vec![7]]).expect("a payload"), [7]);
        assert_eq!(split::<1>(vec![7]).expect("an argument"), [[7]]);
        assert!(join::<0>([]).expect("a payload").is_empty());
    }
}
