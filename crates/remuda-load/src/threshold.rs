//! What a run must keep to.
//!
//! Purpose: `p99>50ms`, `api.error_rate@steady>0.1%`: an expression that says when the run
//! has failed. Owner: the scenario holds them, the report judges them. Invariant: a
//! threshold that too few requests were made to judge is never held.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{record::Tally, scenario::Scenario};

/// Why an expression is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    #[error("write METRIC>VALUE or METRIC<VALUE, such as p99>50ms or error_rate>0.1%")]
    Form,
    #[error(
        "{0} is no metric; write one of p50, p99.9 (any below p100), mean, max, ttfb_p99, \
         error_rate, errors, rate, requests, after ENDPOINT. and before @STAGE if you like"
    )]
    Metric(String),
    #[error("{0} is no value for it; write {1}")]
    Value(String, &'static str),
}

/// One expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    /// `None`: all together.
    pub endpoint: Option<String>,
    /// `None`: the whole run but for its warm-up.
    pub stage: Option<String>,
    metric: Metric,
    /// Broken above the limit, or else below it.
    is_above: bool,
    or_equal: bool,
    /// In the unit of the metric.
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Milliseconds, at a quantile from 0 to 1.
    Latency(f64),
    FirstByte(f64),
    Mean,
    Max,
    /// From 0 to 1.
    ErrorRate,
    Errors,
    /// Per second.
    Rate,
    Requests,
}

/// What became of one threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub threshold: String,
    /// In milliseconds, as a share, or as a number.
    pub measured: Option<f64>,
    pub outcome: Outcome,
    /// For people.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Held,
    Broken,
    /// There were too few requests to tell.
    TooFew,
    /// Of requests that all failed, no latency can be told.
    AllFailed,
}

impl Threshold {
    /// Understands an expression.
    ///
    /// # Errors
    /// When it is none, names no metric, or its value has another unit.
    pub fn parse(text: &str) -> Result<Self, ThresholdError> {
        let at = text.find(['<', '>']).ok_or(ThresholdError::Form)?;
        let (left, right) = text.split_at(at);
        let is_above = right.starts_with('>');
        let right = &right[1..];
        let or_equal = right.starts_with('=');
        let value = right.trim_start_matches('=').trim();
        let (left, stage) = match left.split_once('@') {
            Some((left, stage)) => (left, Some(stage.trim().to_owned())),
            None => (left, None),
        };
        let (endpoint, metric) =
            split(left.trim()).ok_or_else(|| ThresholdError::Metric(left.trim().to_owned()))?;
        let limit = metric
            .value(value)
            .ok_or_else(|| ThresholdError::Value(value.to_owned(), metric.form()))?;
        let text = text.trim().to_owned();
        Ok(Self { text, endpoint, stage, metric, is_above, or_equal, limit })
    }

    /// Judges what was counted.
    #[must_use]
    pub fn judge(&self, tally: &Tally, over: Duration) -> Verdict {
        let measured = self.metric.measure(tally, over);
        let needed = self.metric.needs(self.limit);
        let told = |measured: f64| self.metric.show(measured);
        let verdict =
            |outcome, detail| Verdict { threshold: self.text.clone(), measured, outcome, detail };
        let counted = self.metric.counted(tally);
        let too_few = || format!("{counted} requests, at least {needed} tell");
        let (failures, is_empty) = (tally.failures(), tally.latency.is_empty());
        match measured {
            None if is_empty && failures > 0 && self.metric.is_time() => {
                let detail = format!("all of {failures} requests failed: there is no latency");
                verdict(Outcome::AllFailed, detail)
            }
            None => verdict(Outcome::TooFew, too_few()),
            // One slow request of ten is no p99; but an error too many is one too many.
            Some(_) if counted < needed && self.metric.is_quantile() => {
                verdict(Outcome::TooFew, too_few())
            }
            Some(measured) if self.is_broken(measured) => verdict(Outcome::Broken, told(measured)),
            Some(_) if counted < needed => verdict(Outcome::TooFew, too_few()),
            Some(measured) => verdict(Outcome::Held, told(measured)),
        }
    }

    fn is_broken(&self, measured: f64) -> bool {
        let is_beyond = if self.is_above { measured > self.limit } else { measured < self.limit };
        is_beyond || self.or_equal && measured == self.limit
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Judges all thresholds of a scenario with what a run has counted.
#[must_use]
pub fn judge(scenario: &Scenario, book: &crate::record::Book) -> Vec<Verdict> {
    let judge = |threshold: &Threshold| {
        let endpoint = threshold.endpoint.as_ref();
        let endpoint =
            endpoint.and_then(|name| scenario.endpoints.iter().position(|each| each.name == *name));
        let stage = threshold.stage.as_ref();
        let stage = stage
            .and_then(|name| scenario.plan.stages().iter().position(|each| each.name == *name));
        let (tally, over) = book.sum(endpoint, stage);
        threshold.judge(&tally, over)
    };
    scenario.thresholds.iter().map(judge).collect()
}

/// Endpoint and metric. Names may have dots, and so may percentiles: the longest metric at
/// the end is meant.
fn split(text: &str) -> Option<(Option<String>, Metric)> {
    if let Some(metric) = Metric::parse(text) {
        return Some((None, metric));
    }
    text.match_indices('.').find_map(|(at, _)| {
        let metric = Metric::parse(&text[at + 1..])?;
        (at > 0).then(|| (Some(text[..at].to_owned()), metric))
    })
}

impl Metric {
    fn parse(text: &str) -> Option<Self> {
        let quantile = |text: &str| {
            let digits = text.strip_prefix('p')?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let percent = digits.parse::<f64>().ok().filter(|_| is_number)?;
            (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
        };
        match text {
            "mean" => Some(Self::Mean),
            "max" => Some(Self::Max),
            "error_rate" => Some(Self::ErrorRate),
            "errors" => Some(Self::Errors),
            "rate" => Some(Self::Rate),
            "requests" => Some(Self::Requests),
            text => match text.strip_prefix("ttfb_") {
                Some(rest) => quantile(rest).map(Self::FirstByte),
                None => quantile(text).map(Self::Latency),
            },
        }
    }

    fn is_quantile(self) -> bool {
        matches!(self, Self::Latency(_) | Self::FirstByte(_))
    }

    fn is_time(self) -> bool {
        self.is_quantile() || matches!(self, Self::Mean | Self::Max)
    }

    /// A limit in the metric's unit.
    fn value(self, text: &str) -> Option<f64> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        match self {
            // A bare number could be seconds or milliseconds.
            _ if self.is_time() => {
                let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
                has_unit
                    .then(|| humantime_fraction(text))
                    .flatten()
                    .map(|time| time.as_secs_f64() * 1e3)
            }
            Self::ErrorRate => match text.strip_suffix('%') {
                Some(percent) => number(percent.trim()).map(|percent| percent / 100.0),
                None => number(text),
            }
            .filter(|share| *share <= 1.0),
            _ => number(text.trim_end_matches("/s")),
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::ErrorRate => "a share such as 0.1% or 0.001",
            _ if self.is_time() => "a time with its unit, such as 50ms",
            _ => "a number of at least zero",
        }
    }

    /// `None` when nothing was counted that has this metric.
    fn measure(self, tally: &Tally, over: Duration) -> Option<f64> {
        let (latency, first_byte) = (&tally.latency, &tally.first_byte);
        let some = |value| (!latency.is_empty()).then_some(value);
        match self {
            Self::Latency(quantile) => some(crate::record::milliseconds(latency, quantile)),
            Self::FirstByte(quantile) => some(crate::record::milliseconds(first_byte, quantile)),
            Self::Mean => some(latency.mean() / 1e3),
            Self::Max => some(latency.max() as f64 / 1e3),
            Self::ErrorRate => {
                (tally.requests() > 0).then(|| tally.failures() as f64 / tally.requests() as f64)
            }
            Self::Errors => Some(tally.failures() as f64),
            Self::Rate => (!over.is_zero()).then(|| latency.len() as f64 / over.as_secs_f64()),
            Self::Requests => Some(tally.requests() as f64),
        }
    }

    /// How many of those requests count that this is about.
    fn counted(self, tally: &Tally) -> u64 {
        if self.is_time() { tally.latency.len() } else { tally.requests() }
    }

    /// From how many requests on this can be told: one beyond the percentile; as many as
    /// make one error a share as small as the limit.
    fn needs(self, limit: f64) -> u64 {
        // 1 − 0.99 is a little more than a hundredth.
        let one_in = |share: f64| (1.0 / share - 1e-6).ceil() as u64;
        match self {
            Self::Latency(quantile) | Self::FirstByte(quantile) => one_in(1.0 - quantile),
            Self::ErrorRate if limit > 0.0 => one_in(limit),
            Self::Rate | Self::Requests | Self::Errors => 0,
            _ => 1,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::ErrorRate => format!("{:.3}%", value * 100.0),
            Self::Rate => format!("{value:.1}/s"),
            Self::Errors | Self::Requests => format!("{value:.0}"),
            _ => format!("{value:.3}ms"),
        }
    }
}

/// `1.5ms` too, which humantime does not take.
fn humantime_fraction(text: &str) -> Option<Duration> {
    if let Ok(time) = humantime::parse_duration(text) {
        return Some(time);
    }
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let number = number.trim().parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    let unit = humantime::parse_duration(&format!("1{unit}")).ok()?;
    Duration::try_from_secs_f64(number * unit.as_secs_f64()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Kind;

    fn tally(micros: impl IntoIterator<Item = u64>, errors: u64) -> Tally {
        let mut tally = Tally::default();
        for micros in micros {
            tally.latency.record(micros).unwrap();
            tally.first_byte.record(micros / 2).unwrap();
        }
        tally.errors[Kind::Status as usize] = errors;
        tally
    }

    fn outcome(text: &str, tally: &Tally) -> Outcome {
        Threshold::parse(text).unwrap().judge(tally, Duration::from_secs(10)).outcome
    }

    #[test]
    fn percentiles_are_judged() {
        // 1 to 1000 ms.
        let tally = tally((1..=1000).map(|n| n * 1000), 0);
        assert_eq!(outcome("p99>989ms", &tally), Outcome::Broken);
        assert_eq!(outcome("p99 > 992ms", &tally), Outcome::Held);
        assert_eq!(outcome("p99.9>2s", &tally), Outcome::Held);
        assert_eq!(outcome("p99.99>2s", &tally), Outcome::TooFew);
        assert_eq!(outcome("ttfb_p50>260ms", &tally), Outcome::Held);
        assert_eq!(outcome("ttfb_p50>1.5ms", &tally), Outcome::Broken);
        assert_eq!(outcome("max>=1s", &tally), Outcome::Broken);
        assert_eq!(outcome("mean<1ms", &tally), Outcome::Held);
    }

    #[test]
    fn rates_are_judged() {
        let tally = tally((0..999).map(|_| 5), 1);
        assert_eq!(outcome("error_rate>0.1%", &tally), Outcome::Held);
        assert_eq!(outcome("error_rate>0.0009", &tally), Outcome::Broken);
        assert_eq!(outcome("errors>0", &tally), Outcome::Broken);
        assert_eq!(outcome("rate<99.9/s", &tally), Outcome::Held);
        assert_eq!(outcome("rate<100", &tally), Outcome::Broken);
        assert_eq!(outcome("requests<1000", &tally), Outcome::Held);
    }

    #[test]
    fn a_few_requests_tell_little() {
        let few = tally([10, 10], 0);
        assert_eq!(outcome("error_rate>0.1%", &few), Outcome::TooFew);
        assert_eq!(outcome("p99>1us", &few), Outcome::TooFew);
        // An error is an error.
        assert_eq!(outcome("error_rate>0.1%", &tally([10], 1)), Outcome::Broken);
        let none = tally([], 0);
        assert_eq!(outcome("error_rate>0.1%", &none), Outcome::TooFew);
        assert_eq!(outcome("p50>1s", &none), Outcome::TooFew);
        assert_eq!(outcome("rate<1", &none), Outcome::Broken);
    }

    #[test]
    fn more_requests_that_fail_tell_no_more() {
        let failed = tally([], 5000);
        for text in ["p99>50ms", "ttfb_p50>1s", "mean>1ms", "max>1s"] {
            assert_eq!(outcome(text, &failed), Outcome::AllFailed, "{text}");
        }
        assert_eq!(outcome("error_rate>99%", &failed), Outcome::Broken);
        assert_eq!(outcome("p99>50ms", &tally([10], 5000)), Outcome::TooFew);
    }

    #[test]
    fn endpoints_and_stages_are_named() {
        let threshold = Threshold::parse("GET /a.b.p99.9@ramp up>20ms").unwrap();
        assert_eq!(threshold.endpoint.as_deref(), Some("GET /a.b"));
        assert_eq!(threshold.stage.as_deref(), Some("ramp up"));
        let Metric::Latency(quantile) = threshold.metric else { panic!("{threshold:?}") };
        assert!((quantile - 0.999).abs() < 1e-12);
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(Threshold::parse("p99"), Err(ThresholdError::Form));
        assert_eq!(Threshold::parse("p100>1s"), Err(ThresholdError::Metric("p100".into())));
        for wrong in ["p99>50", "p99>", "error_rate>50ms", "error_rate>101%", "rate<-1"] {
            let error = Threshold::parse(wrong).unwrap_err();
            assert!(matches!(error, ThresholdError::Value(..)), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(text in "[a-z0-9.@<>=% ]{0,20}") {
            let _ = Threshold::parse(&text);
        }
    }
}
