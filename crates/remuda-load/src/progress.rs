//! A run as it goes on, for whoever waits for it.
//!
//! Owner: the command. Invariant: it writes to standard error, for results go to standard
//! output; in a terminal it shows one state, elsewhere a line every few seconds.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _, stderr},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    record::{Book, Row},
    report::{clean, milliseconds, short},
    run::Observer,
    scenario::{Model, Scenario},
};

/// Between two lines, in seconds.
const PAUSE: f64 = 5.0;

/// Shows a run on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    stages: Vec<String>,
    /// Seconds.
    duration: f64,
    requests: Option<u64>,
    is_open: bool,
    done: u64,
    errors: BTreeMap<String, u64>,
    said_at: f64,
}

impl Progress {
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let duration = scenario.plan.duration().as_secs_f64();
        let requests = scenario.requests.map(u64::from);
        let bar = stderr().is_terminal().then(|| {
            let length = requests.unwrap_or((duration * 1e3) as u64);
            let style = ProgressStyle::with_template("{bar:40.cyan/dim} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(length).with_style(style)
        });
        Self {
            bar,
            stages: scenario.plan.stages().iter().map(|stage| clean(&stage.name)).collect(),
            duration,
            requests,
            is_open: matches!(scenario.model, Model::Open { .. }),
            done: 0,
            errors: BTreeMap::new(),
            said_at: 0.0,
        }
    }

    /// Clears the state from the terminal.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// An interval in words.
    fn words(&self, row: &Row) -> [String; 2] {
        let or_dash = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), milliseconds);
        let left = match self.requests {
            Some(requests) => format!("{} requests left", requests.saturating_sub(self.done)),
            None => format!("{:.0} s left", (self.duration - row.at).max(0.0)),
        };
        let stage = self.stages.get(row.stage).map_or("", String::as_str);
        let level = if self.is_open { "arrivals/s" } else { "users" };
        let state = format!("{:.0} s, {stage}: {:.0} {level}, {left}", row.at, row.level);
        let mut figures = format!(
            "{}/s  p50 {}  p95 {}  p99 {}  in flight {}",
            short(row.ok as f64 / row.seconds.max(1e-9)),
            or_dash(row.p50_ms),
            or_dash(row.p95_ms),
            or_dash(row.p99_ms),
            row.in_flight,
        );
        for (kind, count) in &self.errors {
            figures.push_str(&format!("  {kind} {count}"));
        }
        [state, figures]
    }
}

impl Observer for Progress {
    fn notice(&mut self, text: &str) {
        let text = clean(&format!("warning: {text}"));
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nobody is left to read it when this fails.
            None => {
                let _ = writeln!(stderr().lock(), "{text}");
            }
        }
    }

    fn row(&mut self, row: &Row, _: &Book) {
        self.done += row.requests;
        for (kind, count) in &row.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        let [state, figures] = self.words(row);
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.requests.map_or((row.at * 1e3) as u64, |_| self.done));
                bar.set_message(format!("{state}\n{figures}"));
            }
            None if row.at - self.said_at >= PAUSE * 0.99 => {
                self.said_at = row.at;
                // Nobody is left to read it when this fails.
                let _ = writeln!(stderr().lock(), "{state}; {figures}");
            }
            None => {}
        }
    }
}
