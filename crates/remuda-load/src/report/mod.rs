//! What a run has come to, for people and for programs.
//!
//! Purpose: a [`Report`] is all that is told of a run; text, JSON and HTML are views of it.
//! Owner: whoever asked for the run. Invariant: a report that was written can be read again
//! and shows the same, and what came from outside is escaped wherever it is shown.

mod encode;
mod html;
mod number;
mod page;
mod read;
mod svg;
mod text;

use std::collections::BTreeMap;

pub use encode::{Encoded, HistogramError, decode};
pub use html::html;
pub(crate) use number::{milliseconds, percent, short};
pub use read::ReadError;
use serde::{Deserialize, Serialize};
pub(crate) use text::clean;
pub use text::text;

use crate::{
    record::{Figures, Kind, Row, Spread, Tally},
    run::Outcome,
    scenario::{Described, Scenario},
    threshold::{self, Verdict},
};

/// Of the JSON; another number when a reader of this one would be wrong.
pub const SCHEMA: u32 = 1;

/// All of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub tool: String,
    /// RFC 3339.
    pub started: String,
    pub environment: Environment,
    pub scenario: Described,
    pub protocol: String,
    pub threads: usize,
    /// That were asked for, if it was another number.
    #[serde(default)]
    pub threads_wanted: Option<usize>,
    /// `plan`, `requests` or `interrupted`.
    pub ended: String,
    /// In flight when the run was interrupted; counted nowhere else.
    pub unfinished: u64,
    /// Why the server has told nothing of itself, if it was asked and never did.
    #[serde(default)]
    pub metrics_problem: Option<String>,
    pub summary: Summary,
    pub thresholds: Vec<Verdict>,
    pub series: Vec<Row>,
    pub histograms: Histograms,
}

/// Where the requests came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub kernel: String,
    pub cpu: String,
    pub cpus: usize,
}

/// The run in figures; without its warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub all: Figures,
    pub endpoints: Vec<Named>,
    pub stages: Vec<Named>,
    pub connections: u64,
    pub connect_ms: Option<Spread>,
    /// How much later than planned arrivals were sent: the load generator's own doing.
    pub lag_ms: Option<Spread>,
    /// One message for each kind of error.
    pub examples: BTreeMap<String, String>,
    pub generator: Generator,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    pub figures: Figures,
}

/// What the load generator itself has used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    pub cpu_seconds: f64,
    /// Zero when there was none.
    pub cpu_microseconds_per_request: f64,
    /// CPU seconds per second of its busiest thread in its busiest full interval.
    pub busiest: f64,
}

/// Distributions in microseconds: HdrHistogram V2, deflated, in base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    pub unit: String,
    pub all: HistogramsOf,
    pub endpoints: BTreeMap<String, HistogramsOf>,
    pub connect: Encoded,
    pub lag: Encoded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistogramsOf {
    pub latency: Encoded,
    pub first_byte: Encoded,
    pub failed: Encoded,
}

/// From this share of a core on, a thread of the load generator may be what is measured.
const BUSY: f64 = 0.9;

impl Report {
    /// Tells a run, and judges it.
    ///
    /// # Errors
    /// When a distribution cannot be written, which takes counts beyond all measure.
    pub fn new(scenario: &Scenario, outcome: &Outcome) -> Result<Self, HistogramError> {
        let book = &outcome.book;
        let (all, over) = book.sum(None, None);
        let names = || scenario.endpoints.iter().map(|endpoint| endpoint.name.clone());
        let named = |name: String, endpoint, stage| {
            let (tally, over) = book.sum(endpoint, stage);
            Named { name, figures: tally.figures(over) }
        };
        let cpu_seconds: f64 = book.rows.iter().map(|row| row.cpu_seconds).sum();
        let requests: u64 = book.rows.iter().map(|row| row.requests).sum();
        let full = book.rows.iter().filter(|row| is_full(row, scenario.interval.as_secs_f64()));
        let summary = Summary {
            all: all.figures(over),
            endpoints: names().enumerate().map(|(i, name)| named(name, Some(i), None)).collect(),
            stages: scenario
                .plan
                .stages()
                .iter()
                .enumerate()
                .map(|(i, stage)| named(stage.name.clone(), None, Some(i)))
                .collect(),
            connections: book.connect.len(),
            connect_ms: Spread::of(&book.connect),
            lag_ms: Spread::of(&book.lag),
            examples: book
                .examples
                .iter()
                .map(|(kind, example)| (kind.to_string(), example.clone()))
                .collect(),
            generator: Generator {
                cpu_seconds,
                cpu_microseconds_per_request: match requests {
                    0 => 0.0,
                    requests => cpu_seconds * 1e6 / requests as f64,
                },
                busiest: full.map(|row| row.busiest).fold(0.0, f64::max),
            },
        };
        let endpoints = names().zip(&book.endpoints);
        let histograms = Histograms {
            unit: "microseconds".to_owned(),
            all: HistogramsOf::new(&all)?,
            endpoints: endpoints
                .map(|(name, tally)| Ok((name, HistogramsOf::new(tally)?)))
                .collect::<Result<_, _>>()?,
            connect: encode::encode(&book.connect)?,
            lag: encode::encode(&book.lag)?,
        };
        Ok(Self {
            schema: SCHEMA,
            tool: concat!("remuda load ", env!("CARGO_PKG_VERSION")).to_owned(),
            started: humantime::format_rfc3339_seconds(outcome.started).to_string(),
            environment: Environment::of_this_machine(),
            scenario: Described::new(scenario),
            protocol: outcome.protocol.to_owned(),
            threads: outcome.threads,
            threads_wanted: scenario.threads.filter(|wanted| *wanted != outcome.threads),
            ended: outcome.ended.name().to_owned(),
            unfinished: outcome.unfinished,
            metrics_problem: outcome.metrics_problem.clone(),
            summary,
            thresholds: threshold::judge(scenario, book),
            series: book.rows.clone(),
            histograms,
        })
    }

    /// Why the run says nothing of the server, if it does not: nothing was sent that ended, or
    /// nothing was answered, be it with an error.
    #[must_use]
    pub fn unanswered(&self) -> Option<Unanswered> {
        let all = &self.summary.all;
        match all.requests {
            0 => Some(Unanswered::NothingSent),
            requests if all.statuses.is_empty() => {
                let kinds =
                    all.errors_by_kind.iter().map(|(kind, count)| format!("{kind} {count}"));
                let kinds = kinds.collect::<Vec<_>>().join(", ");
                Some(Unanswered::NoAnswer { requests, kinds })
            }
            _ => None,
        }
    }

    /// What the reader should know before believing the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let all = &self.summary.all;
        if let Some(unanswered) = self.unanswered() {
            warnings.push(unanswered.to_string());
        } else if all.ok == 0 {
            warnings.push("no request ended as expected: look at the errors".to_owned());
        }
        warnings.extend(self.perhaps_tls());
        if let Some(wanted) = self.threads_wanted {
            warnings.push(format!(
                "of {wanted} threads {} sent: more than there may be requests at once have nothing \
                 to do",
                self.threads
            ));
        }
        let dropped = all.errors_by_kind.get(Kind::Dropped.name()).copied().unwrap_or_default();
        if dropped > 0 {
            warnings.push(format!(
                "{dropped} of {} arrivals were dropped, for {} were in flight (max_in_flight): the \
                 rate was more than the server answers in time",
                all.requests,
                self.scenario.max_in_flight.unwrap_or_default()
            ));
        }
        let generator = &self.summary.generator;
        if generator.busiest > BUSY {
            warnings.push(format!(
                "a thread of the load generator was busy for {:.0} % of a second: the figures may \
                 be its own; use more threads, or another machine",
                generator.busiest * 100.0
            ));
        }
        if let Some(lag) = self.summary.lag_ms.as_ref().filter(|lag| lag.p99 > 5.0) {
            warnings.push(format!(
                "arrivals were sent late (p99 {:.1} ms): the load generator lacked CPU, and part of \
                 the latency is its own",
                lag.p99
            ));
        }
        if self.ended == "interrupted" {
            warnings.push(format!(
                "the run was interrupted, with {} requests in flight",
                self.unfinished
            ));
        }
        warnings.extend(self.metrics_problem.clone());
        warnings
    }
}

impl Report {
    /// Arrivals per second that were planned for the time that was measured; `None` for users,
    /// who come again when they can.
    pub(crate) fn planned_rate(&self) -> Option<f64> {
        let (seconds, from) = (self.summary.all.seconds, self.scenario.warmup_seconds);
        let (mut begin, mut planned) = (0.0, 0.0);
        for stage in &self.scenario.stages {
            let end = begin + stage.seconds;
            let (first, last) = (from.max(begin), (from + seconds).min(end));
            if first < last {
                let share = (f64::midpoint(first, last) - begin) / stage.seconds;
                planned += (stage.from + (stage.to - stage.from) * share) * (last - first);
            }
            begin = end;
        }
        (self.scenario.model == "open" && seconds > 0.0).then(|| planned / seconds)
    }
}

impl Report {
    /// What speaks TLS says no to plain HTTP: with an alert, which is no HTTP, or politely.
    fn perhaps_tls(&self) -> Option<String> {
        let all = &self.summary.all;
        let is_only = |kind: Kind| {
            all.requests > 0 && { all.errors_by_kind.get(kind.name()) == Some(&all.requests) }
        };
        let answers = match all.statuses.get("400") {
            Some(_) if all.statuses.len() == 1 && is_only(Kind::Status) => {
                "every answer was status 400"
            }
            None if all.statuses.is_empty() && is_only(Kind::Protocol) => "no answer was HTTP",
            _ => return None,
        };
        let is_plain = self.scenario.target.starts_with("http://");
        is_plain.then(|| {
            format!("{answers}: if the server speaks TLS there, write https:// in the target")
        })
    }
}

/// Why a run says nothing of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    NothingSent,
    NoAnswer { requests: u64, kinds: String },
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NothingSent => {
                formatter.write_str("no request has ended: run for longer, or send more")
            }
            Self::NoAnswer { requests, kinds } => write!(
                formatter,
                "not one of {requests} requests was answered ({kinds}): look at the server"
            ),
        }
    }
}

/// Whether rates can be computed from a row; the last one may be short.
pub(crate) fn is_full(row: &Row, interval_seconds: f64) -> bool {
    row.seconds > interval_seconds * 0.9
}

impl HistogramsOf {
    fn new(tally: &Tally) -> Result<Self, HistogramError> {
        Ok(Self {
            latency: encode::encode(&tally.latency)?,
            first_byte: encode::encode(&tally.first_byte)?,
            failed: encode::encode(&tally.failed)?,
        })
    }
}

impl Environment {
    fn of_this_machine() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.and_then(|line| line.split_once(':')).map(|(_, model)| model.trim());
        Self {
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            cpu: model.unwrap_or(std::env::consts::ARCH).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
