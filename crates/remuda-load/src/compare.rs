//! Whether one run was better than another, or just another.
//!
//! Purpose: from two reports, for rate, percentiles and errors: better, worse or noise.
//! Owner: the command. Method: the seconds of a run depend on their neighbours, so they are
//! resampled in blocks (moving-block bootstrap: Künsch, The Annals of Statistics 17, 1989),
//! blocks of the cube root of their number; the interval is that of the resampled changes
//! (percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 13.3).
//! Five figures are compared, so each interval has 99 %: together they err in at most 5 %
//! of comparisons (Bonferroni). Invariant: the same two files always compare the same, for
//! the resampling has a seed.
//!
//! What it cannot see is what differs between any two runs of the same server (where its
//! memory lies, what else the machine does): therefore a change below
//! [`Options::least`] is noise, however sure.

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::{
    record::Row,
    report::{Report, SCHEMA, clean, is_full, milliseconds, percent, short},
};

const RESAMPLES: usize = 4000;
/// Of the changes on either side, this share is cut off.
const TAIL: f64 = 0.005;
/// Fewer rows tell nothing.
const LEAST_ROWS: usize = 8;
/// Of the error rate, in percentage points rather than relative, for it is often zero.
const LEAST_ERRORS: f64 = 0.001;

/// Why two reports cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(
        "failed to compare: {which} was written with schema {found}, this is {SCHEMA}; run it \
         again with this version"
    )]
    Schema { which: &'static str, found: u32 },
    #[error(
        "failed to compare: the runs sent different loads ({differing}); use --any-scenario if \
         you know what that means"
    )]
    Scenario { differing: String },
    #[error(
        "failed to compare: {which} has {rows} intervals that can be used, and {LEAST_ROWS} are \
         needed; run it for longer, or with a shorter --interval"
    )]
    TooShort { which: &'static str, rows: usize },
}

/// How to compare.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Also runs that sent different loads.
    pub any_scenario: bool,
    /// Relative changes below this are noise.
    pub least: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { any_scenario: false, least: 0.05 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Better,
    Worse,
    /// Too small, or too unsure.
    Noise,
}

/// One figure of both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub figure: &'static str,
    /// Of a typical interval: per second, milliseconds or a share.
    pub before: f64,
    pub after: f64,
    /// Relative; for the error rate a difference of shares.
    pub change: f64,
    /// In which the change lies with 99 % confidence.
    pub low: f64,
    pub high: f64,
    pub verdict: Change,
    /// The share of resamples that agree on the direction; none do where there is no change.
    pub confidence: f64,
}

/// Two runs side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub method: &'static str,
    /// Rows of the first and of the second that were used.
    pub rows: [usize; 2],
    /// Whether only stages at a steady level were used.
    pub steady_only: bool,
    pub figures: Vec<Compared>,
    pub warnings: Vec<String>,
}

/// A figure and how to get it from rows.
struct Figure {
    name: &'static str,
    of: fn(&[&Row]) -> Option<f64>,
    is_better_when_high: bool,
    is_share: bool,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "rate", of: rate, is_better_when_high: true, is_share: false },
    Figure {
        name: "p50",
        of: |rows| typical(rows, |row| row.p50_ms),
        is_better_when_high: false,
        is_share: false,
    },
    Figure {
        name: "p95",
        of: |rows| typical(rows, |row| row.p95_ms),
        is_better_when_high: false,
        is_share: false,
    },
    Figure {
        name: "p99",
        of: |rows| typical(rows, |row| row.p99_ms),
        is_better_when_high: false,
        is_share: false,
    },
    Figure { name: "error_rate", of: error_rate, is_better_when_high: false, is_share: true },
];

/// Compares the second with the first.
///
/// # Errors
/// When they sent different loads, are too short, or are of another version.
pub fn compare(
    before: &Report,
    after: &Report,
    options: Options,
) -> Result<Comparison, CompareError> {
    for (which, report) in [("the first report", before), ("the second report", after)] {
        if report.schema != SCHEMA {
            return Err(CompareError::Schema { which, found: report.schema });
        }
    }
    if !options.any_scenario && !before.scenario.same_load(&after.scenario) {
        return Err(CompareError::Scenario { differing: differing(before, after) });
    }
    let steady = [rows(before, true), rows(after, true)];
    let steady_only = steady.iter().all(|rows| rows.len() >= LEAST_ROWS);
    let [first, second] =
        if steady_only { steady } else { [rows(before, false), rows(after, false)] };
    for (which, rows) in [("the first report", &first), ("the second report", &second)] {
        if rows.len() < LEAST_ROWS {
            return Err(CompareError::TooShort { which, rows: rows.len() });
        }
    }
    let figures =
        FIGURES.iter().filter_map(|figure| figure.compare(&first, &second, options.least));
    Ok(Comparison {
        method: "moving-block bootstrap over intervals, 99 % percentile intervals, seeded",
        rows: [first.len(), second.len()],
        steady_only,
        figures: figures.collect(),
        warnings: warnings(before, after),
    })
}

/// How one figure is compared; by default less is better.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge {
    pub figure: &'static str,
    pub is_better_when_high: bool,
    /// From 0 to 1, and compared by difference.
    pub is_share: bool,
    /// Relative changes below this are noise.
    pub least: f64,
}

impl Figure {
    /// `None` when one of the runs does not have it.
    fn compare(&self, first: &[&Row], second: &[&Row], least: f64) -> Option<Compared> {
        let Self { name: figure, of, is_better_when_high, is_share } = *self;
        Judge { figure, is_better_when_high, is_share, least }.compare(first, second, of)
    }
}

impl Judge {
    /// Values of intervals that lie beside each other, by their medians; `None` when there are
    /// none, or none above zero to compare with.
    #[must_use]
    pub fn medians(&self, first: &[f64], second: &[f64]) -> Option<Compared> {
        self.compare(first, second, |values| {
            let mut values = values.to_vec();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        })
    }

    fn compare<T: Copy>(
        &self,
        first: &[T],
        second: &[T],
        of: impl Fn(&[T]) -> Option<f64>,
    ) -> Option<Compared> {
        let (before, after) = (of(first)?, of(second)?);
        let change = self.change(before, after)?;
        let mut random = fastrand::Rng::with_seed(0x5eed);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let mut changes: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                resample(first, &mut one, &mut random);
                resample(second, &mut other, &mut random);
                self.change(of(&one)?, of(&other)?)
            })
            .collect();
        changes.sort_by(f64::total_cmp);
        let last = changes.len().checked_sub(1)?;
        let at = |share: f64| changes[(share * last as f64).round() as usize];
        let (low, high) = (at(TAIL), at(1.0 - TAIL));
        let agree = changes.iter().filter(|each| **each * change > 0.0).count();
        let least = if self.is_share { LEAST_ERRORS } else { self.least };
        let is_sure = low > 0.0 || high < 0.0;
        let verdict = match (is_sure && change.abs() >= least, change > 0.0) {
            (false, _) => Change::Noise,
            (true, is_higher) if is_higher == self.is_better_when_high => Change::Better,
            (true, _) => Change::Worse,
        };
        Some(Compared {
            figure: self.figure,
            before,
            after,
            change,
            low,
            high,
            verdict,
            confidence: agree as f64 / changes.len() as f64,
        })
    }

    fn change(&self, before: f64, after: f64) -> Option<f64> {
        if self.is_share {
            return Some(after - before);
        }
        (before > 0.0).then(|| after / before - 1.0)
    }
}

/// As many rows, in blocks of neighbours from anywhere.
fn resample<T: Copy>(rows: &[T], into: &mut Vec<T>, random: &mut fastrand::Rng) {
    let block = (rows.len() as f64).cbrt().round().max(1.0) as usize;
    into.clear();
    while into.len() < rows.len() {
        let from = random.usize(..=rows.len() - block);
        let length = block.min(rows.len() - into.len());
        into.extend_from_slice(&rows[from..from + length]);
    }
}

fn rate(rows: &[&Row]) -> Option<f64> {
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    (seconds > 0.0).then(|| rows.iter().map(|row| row.ok as f64).sum::<f64>() / seconds)
}

fn error_rate(rows: &[&Row]) -> Option<f64> {
    let requests: u64 = rows.iter().map(|row| row.requests).sum();
    let ok: u64 = rows.iter().map(|row| row.ok).sum();
    (requests > 0).then(|| (requests - ok) as f64 / requests as f64)
}

/// The geometric mean: changes of percentiles are ratios, and one slow second is no rule.
fn typical(rows: &[&Row], get: fn(&Row) -> Option<f64>) -> Option<f64> {
    let values = rows.iter().filter_map(|row| get(row)).filter(|value| *value > 0.0);
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// Whole intervals that are measured; perhaps only those at a steady level.
fn rows(report: &Report, is_steady: bool) -> Vec<&Row> {
    let stages = &report.scenario.stages;
    let full = report
        .series
        .iter()
        .filter(|row| row.measured && is_full(row, report.scenario.interval_seconds));
    full.filter(|row| {
        let stage = stages.get(row.stage);
        !is_steady || stage.is_some_and(|stage| stage.from == stage.to && stage.to > 0.0)
    })
    .collect()
}

/// The keys of what was sent that are not the same.
fn differing(before: &Report, after: &Report) -> String {
    let object = |report: &Report| match serde_json::to_value(&report.scenario) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (object(before), object(after));
    let keys = before.iter().filter(|(key, value)| after.get(*key) != Some(*value));
    let keys = keys.map(|(key, _)| key.as_str());
    keys.filter(|key| !["target", "insecure", "seed"].contains(key)).collect::<Vec<_>>().join(", ")
}

fn warnings(before: &Report, after: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    if before.environment != after.environment {
        warnings.push("the load came from different machines".to_owned());
    }
    if before.protocol != after.protocol {
        let [before, after] = [before, after].map(|report| clean(&report.protocol));
        warnings.push(format!("one run spoke {before}, one {after}"));
    }
    for (which, report) in [("the first run", before), ("the second run", after)] {
        warnings.extend(report.warnings().into_iter().map(|text| format!("{which}: {text}")));
    }
    warnings
}

impl Comparison {
    /// Whether any figure is worse.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.figures.iter().any(|figure| figure.verdict == Change::Worse)
    }

    /// In lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for figure in &self.figures {
            let is_share = figure.figure == "error_rate";
            let show: fn(f64) -> String = match figure.figure {
                "rate" => |value| format!("{}/s", short(value)),
                "error_rate" => percent,
                "cpu/request" => |micros| format!("{micros:.1} µs"),
                _ => milliseconds,
            };
            let change = |value: f64| {
                let unit = if is_share { " points" } else { " %" };
                format!("{:+.2}{unit}", value * 100.0)
            };
            // With a change of nothing there is no direction to agree on.
            let agree = match figure.change {
                0.0 => String::new(),
                _ => format!("; {:.1} % of resamples agree", figure.confidence * 100.0),
            };
            let verdict = match figure.verdict {
                Change::Better => "better",
                Change::Worse => "WORSE",
                Change::Noise => "noise",
            };
            text.push_str(&format!(
                "{:<11} {verdict:<7} {} -> {}  {}  (99 %: {} to {}{agree})\n",
                figure.figure,
                show(figure.before),
                show(figure.after),
                change(figure.change),
                change(figure.low),
                change(figure.high),
            ));
        }
        let of = if self.steady_only { "steady intervals" } else { "intervals" };
        text.push_str(&format!("{} and {} {of}; {}\n", self.rows[0], self.rows[1], self.method));
        for warning in &self.warnings {
            text.push_str(&format!("warning: {}\n", clean(warning)));
        }
        text
    }
}
