//! Counts and distributions of one endpoint, or of several together.
//!
//! Invariant: times are microseconds with three significant digits (HdrHistogram), so that
//! distributions can be added without loss; percentiles never can.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Kind;

/// Significant decimal digits of every recorded time.
const DIGITS: u8 = 3;
/// What nothing takes; a distribution needs memory up to its longest time.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What became of some requests.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Of requests that ended as expected: until the last byte.
    pub latency: Histogram<u64>,
    /// Of the same: until the response head.
    pub first_byte: Histogram<u64>,
    /// Of those that failed, except dropped ones: until that was known.
    pub failed: Histogram<u64>,
    pub errors: [u64; Kind::ALL.len()],
    /// What was answered, expected or not.
    pub statuses: Vec<(u16, u64)>,
    /// Of response bodies.
    pub bytes: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latency: histogram(),
            first_byte: histogram(),
            failed: histogram(),
            errors: Default::default(),
            statuses: Vec::new(),
            bytes: 0,
        }
    }
}

/// An empty distribution that grows as needed.
pub(super) fn histogram() -> Histogram<u64> {
    // Only a number of digits above 5 is refused.
    Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("{DIGITS} digits are allowed"))
}

/// Counts a time; one beyond all timeouts as that.
pub(super) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.min(LONGEST).as_micros()).unwrap_or(u64::MAX);
    let result = histogram.record(micros);
    debug_assert!(result.is_ok(), "a histogram that resizes takes any time");
}

/// Adds up; both have the same digits and resize themselves.
pub(super) fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    if !from.is_empty() {
        let result = to.add(from);
        debug_assert!(result.is_ok(), "a histogram that resizes takes any other");
    }
}

impl Tally {
    pub(super) fn status(&mut self, status: u16) {
        match self.statuses.iter_mut().find(|(other, _)| *other == status) {
            Some((_, count)) => *count += 1,
            None => self.statuses.push((status, 1)),
        }
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.latency, &other.latency);
        add(&mut self.first_byte, &other.first_byte);
        add(&mut self.failed, &other.failed);
        for (own, other) in self.errors.iter_mut().zip(other.errors) {
            *own += other;
        }
        for (status, count) in &other.statuses {
            match self.statuses.iter_mut().find(|(own, _)| own == status) {
                Some((_, own)) => *own += count,
                None => self.statuses.push((*status, *count)),
            }
        }
        self.bytes += other.bytes;
    }

    #[must_use]
    pub fn failures(&self) -> u64 {
        self.errors.iter().sum()
    }

    /// All, however they ended.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.latency.len() + self.failures()
    }

    #[must_use]
    pub fn errors_by_kind(&self) -> BTreeMap<String, u64> {
        let named = Kind::ALL.iter().zip(self.errors);
        named
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.name().to_owned(), count))
            .collect()
    }

    /// The figures of this tally, counted over a time.
    #[must_use]
    pub fn figures(&self, over: Duration) -> Figures {
        let requests = self.requests();
        let seconds = over.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Figures {
            seconds,
            requests,
            ok: self.latency.len(),
            errors: self.failures(),
            errors_by_kind: self.errors_by_kind(),
            error_rate: self.failures() as f64 / requests.max(1) as f64,
            rate: per_second(self.latency.len()),
            bytes_per_second: per_second(self.bytes),
            latency_ms: Spread::of(&self.latency),
            first_byte_ms: Spread::of(&self.first_byte),
            failed_ms: Spread::of(&self.failed),
            statuses: self
                .statuses
                .iter()
                .map(|(status, count)| (status.to_string(), *count))
                .collect(),
        }
    }
}

/// A tally in numbers for people and programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How long was counted.
    pub seconds: f64,
    pub requests: u64,
    /// Ended as expected.
    pub ok: u64,
    pub errors: u64,
    pub errors_by_kind: BTreeMap<String, u64>,
    /// From 0 to 1.
    pub error_rate: f64,
    /// Requests that ended as expected, per second.
    pub rate: f64,
    pub bytes_per_second: f64,
    pub latency_ms: Option<Spread>,
    pub first_byte_ms: Option<Spread>,
    pub failed_ms: Option<Spread>,
    pub statuses: BTreeMap<String, u64>,
}

/// Milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Spread {
    /// `None` when there is nothing to tell.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            min: histogram.min() as f64 / 1e3,
            mean: histogram.mean() / 1e3,
            p50: milliseconds(histogram, 0.5),
            p90: milliseconds(histogram, 0.9),
            p95: milliseconds(histogram, 0.95),
            p99: milliseconds(histogram, 0.99),
            p999: milliseconds(histogram, 0.999),
            max: histogram.max() as f64 / 1e3,
        })
    }
}

/// A quantile, in milliseconds.
pub(crate) fn milliseconds(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(micros: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for micros in micros {
            record(&mut tally.latency, Duration::from_micros(*micros));
            tally.status(200);
        }
        tally
    }

    #[test]
    fn figures_are_those_of_the_requests() {
        let mut tally = tally(&(1..=1000).map(|n| n * 1000).collect::<Vec<_>>());
        tally.errors[Kind::Timeout as usize] = 250;
        let figures = tally.figures(Duration::from_secs(10));
        assert_eq!((figures.requests, figures.ok, figures.errors), (1250, 1000, 250));
        assert_eq!((figures.error_rate, figures.rate), (0.2, 100.0));
        assert_eq!(figures.errors_by_kind, BTreeMap::from([("timeout".to_owned(), 250)]));
        let latency = figures.latency_ms.unwrap();
        assert!((latency.p50 - 500.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p99 - 990.0).abs() < 1.0, "{latency:?}");
    }

    proptest! {
        #[test]
        fn percentiles_are_right_to_three_digits(
            mut micros in prop::collection::vec(1_u64..100_000_000, 1..300),
            quantile in 0.01_f64..1.0,
        ) {
            let tally = tally(&micros);
            micros.sort_unstable();
            let rank = (quantile * micros.len() as f64).ceil() as usize;
            let exact = micros[rank.max(1) - 1] as f64 / 1e3;
            let told = milliseconds(&tally.latency, quantile);
            prop_assert!((told - exact).abs() <= exact * 1e-3 + 1e-3, "{told} for {exact}");
        }

        #[test]
        fn adding_loses_nothing(
            micros in prop::collection::vec(0_u64..100_000_000, 0..200),
            split in 0_usize..200,
        ) {
            let (left, right) = micros.split_at(split.min(micros.len()));
            let mut sum = tally(left);
            sum.add(&tally(right));
            let whole = tally(&micros);
            prop_assert_eq!(sum.figures(Duration::from_secs(1)), whole.figures(Duration::from_secs(1)));
        }
    }
}
