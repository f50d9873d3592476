//! Distributions as text, in the notation of all HdrHistogram tools.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer as _, V2DeflateSerializer},
};

/// HdrHistogram V2, deflated, in base64: what its log files have (`HISTFAAA…`).
pub type Encoded = String;

/// Why a distribution could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    #[error("failed to write a histogram: {0}; its counts are too large")]
    Write(String),
    #[error("failed to read a histogram: {0}; give a report as it was written")]
    Read(String),
}

pub(super) fn encode(histogram: &Histogram<u64>) -> Result<Encoded, HistogramError> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| HistogramError::Write(error.to_string()))?;
    Ok(STANDARD.encode(bytes))
}

/// The distribution that was written.
///
/// # Errors
/// When it is not one.
pub fn decode(text: &str) -> Result<Histogram<u64>, HistogramError> {
    let bytes = STANDARD.decode(text).map_err(|error| HistogramError::Read(error.to_string()))?;
    Deserializer::new()
        .deserialize(&mut &bytes[..])
        .map_err(|error| HistogramError::Read(error.to_string()))
}
