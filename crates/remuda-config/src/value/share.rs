//! A part of something, in per cent or in bytes.
//!
//! Purpose: memory thresholds that follow the memory they belong to. Owner: validation,
//! which knows the whole. Invariant: from 1% to 100%, or a size within its bounds.

use std::path::Path;

use crate::{
    error::quoted,
    value::{Fault, Kind, Size},
};

/// `85%`, or a size with these bounds.
pub(crate) struct Share(pub(crate) Size);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Percent(u8),
    Bytes(u64),
}

impl Part {
    /// Bytes, rounded down.
    pub(crate) fn of(self, whole: u64) -> u64 {
        match self {
            Self::Percent(percent) => (u128::from(whole) * u128::from(percent) / 100) as u64,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Kind for Share {
    type Value = Part;

    fn expected(&self) -> String {
        r#"a share such as "85%" or a size such as "512MiB""#.to_owned()
    }

    fn example(&self) -> String {
        "85%".to_owned()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<Part, Fault> {
        let Some(percent) = text.strip_suffix('%') else {
            return self.0.parse(text, base).map(Part::Bytes);
        };
        let percent = percent.trim_end();
        match percent.parse() {
            Ok(whole @ 1..=100) => Ok(Part::Percent(whole)),
            _ if percent.parse::<f64>().is_err() => Err(Fault::Malformed),
            _ => Err(Fault::refused(format!(
                "must be a whole number from 1% to 100%, got {}",
                quoted(text).trim_matches('"')
            ))),
        }
    }

    fn show(&self, value: &Part) -> String {
        match value {
            Part::Percent(percent) => format!("{percent}%"),
            Part::Bytes(bytes) => self.0.show(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Part, Share};
    use crate::value::{Fault, Kind, Size};

    #[test]
    fn per_cent_or_bytes() {
        let kind = Share(Size(1 << 20, 1 << 30));
        for (text, expected) in [
            ("85%", "85%"),
            ("85 %", "85%"),
            ("100%", "100%"),
            ("512 mib", "512MiB"),
            ("0%", "must be a whole number from 1% to 100%, got 0%"),
            ("101%", "must be a whole number from 1% to 100%, got 101%"),
            ("8.5%", "must be a whole number from 1% to 100%, got 8.5%"),
            ("1KiB", "must be at least 1MiB, got 1KiB"),
            ("most%", "malformed"),
            ("%", "malformed"),
            ("85", "must be at least 1MiB, got 85B"),
        ] {
            let outcome = match kind.parse(text, Path::new("/")) {
                Ok(part) => kind.show(&part),
                Err(Fault::Malformed) => "malformed".to_owned(),
                Err(Fault::Refused { problem, .. }) => problem,
            };
            assert_eq!(outcome, expected, "{text}");
        }
    }

    #[test]
    fn a_share_follows_the_whole() {
        assert_eq!(Part::Percent(85).of(1000), 850);
        assert_eq!(Part::Percent(100).of(u64::MAX), u64::MAX);
        assert_eq!(Part::Bytes(7).of(1000), 7);
    }
}
