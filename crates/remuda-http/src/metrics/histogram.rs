//! How long things take.

use std::time::Duration;

/// Upper bounds of the buckets in microseconds: about three to a decade, from what a warm
/// instance needs to twice the default of `limits.request_timeout`.
const BOUNDS_MICROS: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// A distribution of durations over fixed buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// The last one has what lies above all bounds.
    counts: [u64; BOUNDS_MICROS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one more; a bound belongs to the bucket below it.
    pub fn observe(&mut self, time: Duration) {
        let bucket = BOUNDS_MICROS.partition_point(|bound| Duration::from_micros(*bound) < time);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// Counts `count` more that took no time.
    pub(crate) fn observe_at_once(&mut self, count: u64) {
        self.counts[0] += count;
    }

    /// Upper bounds of the buckets in seconds, ascending.
    pub fn bounds() -> impl Iterator<Item = f64> {
        BOUNDS_MICROS.into_iter().map(|bound| bound as f64 / 1e6)
    }

    /// Observations per bucket: one number more than there are bounds.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All observations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let mut histogram = Histogram::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.counts()[..2], [2, 1]);
        assert_eq!(histogram.counts()[15..], [1, 1]);
        assert_eq!(histogram.counts().len(), Histogram::bounds().count() + 1);
        assert_eq!(histogram.sum(), Duration::from_micros(120_001_002));
    }
}
