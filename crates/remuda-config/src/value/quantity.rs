//! Numbers, durations and sizes.
//!
//! Purpose: quantities with their bounds. Owner: validation, which gives the bounds.
//! Invariant: a value outside its bounds does not exist; no timeout is zero or
//! endless (S1). What is no timeout, and may be turned off, is [`OrZero`].

use std::{fmt::Display, path::Path, time::Duration};

use bytesize::ByteSize;

use crate::{
    error::quoted,
    value::{Fault, Kind},
};

/// A count from `0` to `1`, both included.
pub(crate) struct Number(pub(crate) u64, pub(crate) u64);

impl Kind for Number {
    type Value = u64;

    fn expected(&self) -> String {
        "a number".to_owned()
    }

    fn example(&self) -> String {
        self.0.max(4).min(self.1).to_string()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<u64, Fault> {
        match text.parse() {
            Ok(number) if (self.0..=self.1).contains(&number) => Ok(number),
            Err(_) if text.parse::<f64>().is_err() => Err(Fault::Malformed),
            _ => Err(Fault::refused(format!(
                "must be a whole number from {} to {}, got {}",
                self.0,
                self.1,
                quoted(text).trim_matches('"')
            ))),
        }
    }

    fn show(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// A duration: `250ms`, `30s`, `1m 30s`; a bare number is seconds, as in Uvicorn's
/// `--timeout-keep-alive 5`.
pub(crate) struct Time;

impl Time {
    /// Shorter is as good as never.
    const SHORTEST: Duration = Duration::from_millis(1);
    /// Longer is as good as endless.
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    fn unbounded(text: &str) -> Result<Duration, Fault> {
        match text.parse() {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => humantime::parse_duration(text).map_err(|_| Fault::Malformed),
        }
    }
}

impl Kind for Time {
    type Value = Duration;

    fn expected(&self) -> String {
        r#"a duration such as "250ms" or "30s""#.to_owned()
    }

    fn example(&self) -> String {
        "30s".to_owned()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<Duration, Fault> {
        TimeFrom(Self::SHORTEST).parse(text, base)
    }

    fn show(&self, value: &Duration) -> String {
        humantime::format_duration(*value).to_string()
    }
}

/// A duration of at least so much.
pub(crate) struct TimeFrom(pub(crate) Duration);

impl Kind for TimeFrom {
    type Value = Duration;

    fn expected(&self) -> String {
        Time.expected()
    }

    fn example(&self) -> String {
        Time.example()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<Duration, Fault> {
        within(Time::unbounded(text)?, self.0, Time::LONGEST, |time| self.show(time))
    }

    fn show(&self, value: &Duration) -> String {
        Time.show(value)
    }
}

/// A duration, or zero to do without.
pub(crate) struct OrZero<K>(pub(crate) K);

impl<K: Kind<Value = Duration>> Kind for OrZero<K> {
    type Value = Duration;

    fn expected(&self) -> String {
        self.0.expected()
    }

    fn example(&self) -> String {
        self.0.example()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<Duration, Fault> {
        let zero = Time::unbounded(text)?.is_zero();
        if zero { Ok(Duration::ZERO) } else { self.0.parse(text, base) }
    }

    fn show(&self, value: &Duration) -> String {
        self.0.show(value)
    }
}

/// Bytes from `0` to `1`, both included: `128MiB`, `64KiB`, `1GB` (10^9); a bare
/// number is bytes.
pub(crate) struct Size(pub(crate) u64, pub(crate) u64);

impl Kind for Size {
    type Value = u64;

    fn expected(&self) -> String {
        r#"a size such as "64KiB" or "128MiB""#.to_owned()
    }

    fn example(&self) -> String {
        self.show(&self.0.max(128 * bytesize::MIB).min(self.1))
    }

    fn parse(&self, text: &str, _: &Path) -> Result<u64, Fault> {
        let ByteSize(bytes) = text.parse().map_err(|_| Fault::Malformed)?;
        if bytes > self.1 {
            // As it was typed: what is beyond all numbers has become the largest one.
            let got = quoted(text);
            return Err(Fault::refused(must("most", self.show(&self.1), got.trim_matches('"'))));
        }
        within(bytes, self.0, self.1, |bytes| self.show(bytes))
    }

    /// In the unit that gives the smallest whole number.
    fn show(&self, value: &u64) -> String {
        UNITS
            .iter()
            .filter(|(_, unit)| *value >= *unit && value.is_multiple_of(*unit))
            .min_by_key(|(_, unit)| value / unit)
            .map_or_else(|| format!("{value}B"), |(name, unit)| format!("{}{name}", value / unit))
    }
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", bytesize::TIB),
    ("GiB", bytesize::GIB),
    ("MiB", bytesize::MIB),
    ("KiB", bytesize::KIB),
    ("TB", bytesize::TB),
    ("GB", bytesize::GB),
    ("MB", bytesize::MB),
    ("KB", bytesize::KB),
    ("B", 1),
];

/// For people: at most one decimal, in the largest unit that gives at least 1. `1.5GiB`
#[must_use]
pub fn about_bytes(bytes: u64) -> String {
    let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
    binary.copied().find(|(_, unit)| bytes >= *unit).map_or_else(
        || format!("{bytes}B"),
        |(name, unit)| format!("{}{name}", (bytes as f64 / unit as f64 * 10.0).floor() / 10.0),
    )
}

fn within<T: PartialOrd>(
    value: T,
    least: T,
    most: T,
    show: impl Fn(&T) -> String,
) -> Result<T, Fault> {
    let bound: Option<(&str, &T)> = if value < least {
        Some(("least", &least))
    } else if value > most {
        Some(("most", &most))
    } else {
        None
    };
    match bound {
        None => Ok(value),
        Some((side, bound)) => Err(Fault::refused(must(side, show(bound), show(&value)))),
    }
}

fn must(side: &str, bound: impl Display, got: impl Display) -> String {
    format!("must be at {side} {bound}, got {got}")
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use proptest::prelude::*;

    use super::{Number, OrZero, Size, Time, TimeFrom, about_bytes};
    use crate::value::{Fault, Kind};

    fn outcome<K: Kind>(kind: &K, text: &str) -> String {
        match kind.parse(text, Path::new("/")) {
            Ok(value) => kind.show(&value),
            Err(Fault::Malformed) => "malformed".to_owned(),
            Err(Fault::Refused { problem, .. }) => problem,
        }
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("1", "1"),
            ("1024", "1024"),
            ("0", "must be a whole number from 1 to 1024, got 0"),
            ("1025", "must be a whole number from 1 to 1024, got 1025"),
            ("-1", "must be a whole number from 1 to 1024, got -1"),
            ("1.5", "must be a whole number from 1 to 1024, got 1.5"),
            (
                "99999999999999999999",
                "must be a whole number from 1 to 1024, got 99999999999999999999",
            ),
            ("many", "malformed"),
            ("4 workers", "malformed"),
        ] {
            assert_eq!(outcome(&Number(1, 1024), text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("30", "30s"),
            ("30s", "30s"),
            ("250ms", "250ms"),
            ("1500ms", "1s 500ms"),
            ("90", "1m 30s"),
            ("5m", "5m"),
            ("2.5s", "2s 500ms"),
            ("0", "must be at least 1ms, got 0s"),
            ("0s", "must be at least 1ms, got 0s"),
            ("999us", "must be at least 1ms, got 999us"),
            ("8days", "must be at most 7days, got 8days"),
            (
                "18446744073709551615",
                "must be at most 7days, got 584542046090years 7months 15days 17h 5m 3s",
            ),
            ("-1s", "malformed"),
            ("2.5", "malformed"),
            ("soon", "malformed"),
            ("30 parsecs", "malformed"),
        ] {
            assert_eq!(outcome(&Time, text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let kind = Size(1, 1 << 40);
        for (text, expected) in [
            ("128MiB", "128MiB"),
            ("128 mib", "128MiB"),
            ("131072KiB", "128MiB"),
            ("1GB", "1GB"),
            ("1000000000", "1GB"),
            ("65536", "64KiB"),
            ("1234", "1234B"),
            ("1.5MiB", "1536KiB"),
            ("0", "must be at least 1B, got 0B"),
            ("2TiB", "must be at most 1TiB, got 2TiB"),
            ("99999PiB", "must be at most 1TiB, got 99999PiB"),
            ("-1", "malformed"),
            ("big", "malformed"),
            ("12 parsecs", "malformed"),
        ] {
            assert_eq!(outcome(&kind, text), expected, "{text}");
        }
    }

    #[test]
    fn some_durations_may_be_zero_and_some_not_short() {
        let kind = OrZero(TimeFrom(Duration::from_secs(1)));
        for (text, expected) in [
            ("0", "0s"),
            ("0ms", "0s"),
            ("1s", "1s"),
            ("999ms", "must be at least 1s, got 999ms"),
            ("8days", "must be at most 7days, got 8days"),
            ("never", "malformed"),
        ] {
            assert_eq!(outcome(&kind, text), expected, "{text}");
        }
        assert_eq!(outcome(&kind.0, "0s"), "must be at least 1s, got 0s");
    }

    #[test]
    fn sizes_for_people() {
        for (bytes, expected) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1536 << 20, "1.5GiB"),
            ((1 << 30) - 1, "1023.9MiB"),
            (1 << 60, "1048576TiB"),
        ] {
            assert_eq!(about_bytes(bytes), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 1..600_000_000_u64, bytes in 1..=(1_u64 << 40)) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(Time.parse(&Time.show(&time), Path::new("/")), Ok(time));
            let kind = Size(1, 1 << 40);
            prop_assert_eq!(kind.parse(&kind.show(&bytes), Path::new("/")), Ok(bytes));
        }
    }
}
