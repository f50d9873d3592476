//! Small values of a scenario: durations, pauses, sets of status codes.
//!
//! Owner: [validation](super::validate). Invariant: what is parsed here prints as it would
//! have to be written.

use std::{fmt, time::Duration};

/// The pause of a user between two requests, uniform between two bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Think {
    pub min: Duration,
    pub max: Duration,
}

impl Think {
    /// One pause; `random` is in 0..1.
    #[must_use]
    pub fn pause(&self, random: f64) -> Duration {
        self.min + (self.max - self.min).mul_f64(random)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (min, max) = match text.split_once("..") {
            Some((min, max)) => (duration(min)?, duration(max)?),
            None => (duration(text)?, duration(text)?),
        };
        (min <= max).then_some(Self { min, max })
    }
}

impl fmt::Display for Think {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&show(self.min))?;
        if self.max > self.min {
            write!(formatter, "..{}", show(self.max))?;
        }
        Ok(())
    }
}

/// With one unit: `1.5s` rather than `1s 500ms`.
fn show(duration: Duration) -> String {
    let is_short = duration < Duration::from_secs(1) || duration >= Duration::from_secs(60);
    if is_short || duration.subsec_nanos() == 0 {
        return humantime::format_duration(duration).to_string();
    }
    format!("{}s", duration.as_secs_f64())
}

/// `250ms`, `30s`; a bare number is seconds. At most a year, so that sums cannot overflow.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (duration <= Duration::from_secs(365 * 24 * 3600)).then_some(duration)
}

/// Status codes that count as success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Default for Statuses {
    /// What browsers take for success: 2xx and 3xx.
    fn default() -> Self {
        Self(vec![(200, 399)])
    }
}

impl Statuses {
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// `200`, `2xx`, `200,204`, `200-299`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split(',').map(|part| range(part.trim())).collect::<Option<_>>().map(Self)
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let code = |text: &str| {
        let code = text.trim().parse::<u16>().ok()?;
        (100..=599).contains(&code).then_some(code)
    };
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok()?;
        return (1..=5).contains(&class).then(|| (class * 100, class * 100 + 99));
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (code(first)?, code(last)?),
        None => (code(text)?, code(text)?),
    };
    (first <= last).then_some((first, last))
}

impl fmt::Display for Statuses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match last - first {
                0 => write!(formatter, "{comma}{first}")?,
                99 if first % 100 == 0 => write!(formatter, "{comma}{}xx", first / 100)?,
                _ => write!(formatter, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(duration("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("-1"), None);
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("9000y"), None);
    }

    #[test]
    fn pauses_lie_between_their_bounds() {
        let think = Think::parse("500ms..1500ms").unwrap();
        assert_eq!(think.pause(0.0), Duration::from_millis(500));
        assert_eq!(think.pause(0.5), Duration::from_secs(1));
        assert_eq!(think.to_string(), "500ms..1.5s");
        assert_eq!(Think::parse("1.5s..90s").unwrap().to_string(), "1.5s..1m 30s");
        assert_eq!(Think::parse("2s..1s"), None);
    }

    #[test]
    fn statuses_are_codes_classes_and_ranges() {
        let statuses = Statuses::parse("2xx, 304,400-404").unwrap();
        assert!(statuses.contains(200) && statuses.contains(299) && statuses.contains(304));
        assert!(statuses.contains(402) && !statuses.contains(405) && !statuses.contains(303));
        assert_eq!(statuses.to_string(), "2xx,304,400-404");
        for wrong in ["", "6xx", "99", "204-200", "2xx,", "abc"] {
            assert_eq!(Statuses::parse(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn statuses_read_back_what_they_print(
            ranges in prop::collection::vec((100_u16..=599, 0_u16..200), 1..5)
        ) {
            let statuses = Statuses(
                ranges.into_iter().map(|(first, more)| (first, (first + more).min(599))).collect(),
            );
            let again = Statuses::parse(&statuses.to_string()).unwrap();
            for status in 0..700 {
                prop_assert_eq!(again.contains(status), statuses.contains(status));
            }
        }

        #[test]
        fn nothing_makes_the_parsers_panic(text in ".{0,20}") {
            let _ = (duration(&text), Think::parse(&text), Statuses::parse(&text));
        }
    }
}
