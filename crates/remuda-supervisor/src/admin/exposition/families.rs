//! Families of metrics, as prometheus-client writes them.
//!
//! Owner: the [exposition](super). Invariant: a family's name ends in its unit, samples
//! of counters in `_total`, and buckets are cumulative with `+Inf` at the end; the encoder
//! sees to the names and the sums, this file to the last bucket.

use std::{fmt, iter};

use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};
use remuda_control::Histogram;

/// Names and values; the encoder escapes the values.
pub(super) type Labels = Vec<(&'static str, String)>;

pub(super) const NONE: Labels = Vec::new();

pub(super) fn label(name: &'static str, value: impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    /// A family whose one sample is 1 and says something in a label.
    pub(super) fn info(
        &mut self,
        name: &'static str,
        help: &str,
        label: &'static str,
        value: &str,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        family.encode_info(&[(label, value)])
    }

    pub(super) fn counters(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        each(family, samples, |sample, value| {
            sample.encode_counter::<NoLabelSet, u64, f64>(&value, None)
        })
    }

    /// Counters of seconds; that word is appended to the name.
    pub(super) fn counters_of_seconds(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let family = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        each(family, samples, |sample, value| {
            sample.encode_counter::<NoLabelSet, f64, f64>(&value, None)
        })
    }

    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        unit: Option<Unit>,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        each(family, samples, |sample, value| sample.encode_gauge(&value))
    }

    /// Distributions of seconds; that word is appended to the name.
    pub(super) fn histograms<'h>(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, &'h Histogram)>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let family = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        each(family, samples, |sample, histogram| {
            // Before the first observation there may be no counts at all.
            let counts = histogram.counts.iter().copied().chain(iter::repeat(0));
            let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(counts).collect();
            let count = histogram.count();
            sample.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
        })
    }
}

/// Writes the samples of a family, each with its labels.
fn each<V>(
    mut family: MetricEncoder<'_>,
    samples: impl IntoIterator<Item = (Labels, V)>,
    write: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
) -> fmt::Result {
    for (labels, value) in samples {
        if labels.is_empty() {
            write(&mut family, value)?;
        } else {
            write(&mut family.encode_family(&labels)?, value)?;
        }
    }
    Ok(())
}
