//! What all threads have counted, over time and in sum.
//!
//! Owner: the thread that watches the run. Invariant: a row of the series holds what all
//! threads have seen end in that interval; sums hold what began after the warm-up, and sums of
//! stages what began in the stage, whatever rows that is in.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    Interval, Kind, Stretches, Tally,
    recorder::Counts,
    tally::{add, histogram, milliseconds},
};
use crate::{scenario::Scenario, watch::Sample};

/// One interval, told in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its end, in seconds since the start of the run.
    pub at: f64,
    pub seconds: f64,
    /// Index of the stage in its middle.
    pub stage: usize,
    /// Whether it has nothing of the warm-up.
    pub measured: bool,
    pub requests: u64,
    pub ok: u64,
    pub errors: BTreeMap<String, u64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// At its end, and the most within it (the sum over threads of their most).
    pub in_flight: u64,
    pub most_in_flight: u64,
    /// Users, or arrivals per second that were planned.
    pub level: f64,
    pub connects: u64,
    pub bytes: u64,
    /// CPU seconds of the load generator's threads.
    pub cpu_seconds: f64,
    /// The busiest of its threads: CPU seconds per second.
    pub busiest: f64,
    pub endpoints: Vec<RowOfEndpoint>,
    /// What the server said of itself last.
    pub server: Option<Sample>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowOfEndpoint {
    pub ok: u64,
    pub errors: u64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// All that was counted.
#[derive(Clone, Debug)]
pub struct Book {
    pub rows: Vec<Row>,
    /// By endpoint.
    pub endpoints: Vec<Tally>,
    /// By stage and endpoint.
    pub stages: Vec<Vec<Tally>>,
    pub connect: Histogram<u64>,
    pub lag: Histogram<u64>,
    /// One message for each kind of error.
    pub examples: BTreeMap<Kind, String>,
    stretches: Stretches,
    warmup: Duration,
    ended: Duration,
}

impl Book {
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let tallies = || vec![Tally::default(); scenario.endpoints.len()];
        let stages = scenario.plan.stages().len();
        Self {
            rows: Vec::new(),
            endpoints: tallies(),
            stages: (0..stages).map(|_| tallies()).collect(),
            connect: histogram(),
            lag: histogram(),
            examples: BTreeMap::new(),
            stretches: Stretches::new(scenario),
            warmup: scenario.warmup,
            ended: Duration::ZERO,
        }
    }

    /// Adds what each thread has counted in the interval that ended at `end`.
    pub(crate) fn enter(
        &mut self,
        scenario: &Scenario,
        end: Duration,
        threads: &[Interval],
        server: Option<Sample>,
    ) {
        let start = self.ended;
        let length = end.saturating_sub(start);
        self.ended = end;
        let middle = start + length / 2;
        let stage = scenario.plan.stage_at(middle);
        let measured = start >= scenario.warmup;
        let mut tallies = vec![Tally::default(); self.endpoints.len()];
        let (mut connects, mut cpu, mut busiest) = (0, Duration::ZERO, 0.0_f64);
        let (mut users, mut in_flight, mut most_in_flight) = (0, 0, 0);
        for thread in threads {
            for (stretch, counts) in &thread.counts {
                for (sum, tally) in tallies.iter_mut().zip(&counts.tallies) {
                    sum.add(tally);
                }
                connects += counts.connect.len();
                let stretch = self.stretches.get(*stretch);
                if let Some(stretch) = stretch.filter(|stretch| stretch.is_measured) {
                    self.count(stretch.stage, counts);
                }
            }
            cpu += thread.cpu;
            busiest = busiest.max(thread.cpu.as_secs_f64() / length.as_secs_f64().max(1e-9));
            users += thread.users;
            in_flight += thread.in_flight;
            most_in_flight += thread.most_in_flight;
            for (kind, example) in &thread.examples {
                self.examples.entry(*kind).or_insert_with(|| example.clone());
            }
        }
        let mut all = Tally::default();
        for tally in &tallies {
            all.add(tally);
        }
        let quantile = |tally: &Tally, quantile| {
            (!tally.latency.is_empty()).then(|| milliseconds(&tally.latency, quantile))
        };
        let is_open = matches!(scenario.model, crate::scenario::Model::Open { .. });
        self.rows.push(Row {
            at: end.as_secs_f64(),
            seconds: length.as_secs_f64(),
            stage,
            measured,
            requests: all.requests(),
            ok: all.latency.len(),
            errors: all.errors_by_kind(),
            p50_ms: quantile(&all, 0.5),
            p95_ms: quantile(&all, 0.95),
            p99_ms: quantile(&all, 0.99),
            in_flight,
            most_in_flight,
            level: if is_open { scenario.plan.level(middle) } else { users as f64 },
            connects,
            bytes: all.bytes,
            cpu_seconds: cpu.as_secs_f64(),
            busiest,
            endpoints: tallies
                .iter()
                .map(|tally| RowOfEndpoint {
                    ok: tally.latency.len(),
                    errors: tally.failures(),
                    p50_ms: quantile(tally, 0.5),
                    p95_ms: quantile(tally, 0.95),
                    p99_ms: quantile(tally, 0.99),
                })
                .collect(),
            server,
        });
    }

    /// Adds what began in a stage, after the warm-up.
    fn count(&mut self, stage: usize, counts: &Counts) {
        add(&mut self.connect, &counts.connect);
        add(&mut self.lag, &counts.lag);
        let sums = self.endpoints.iter_mut().zip(&mut self.stages[stage]);
        for ((sum, in_stage), tally) in sums.zip(&counts.tallies) {
            sum.add(tally);
            in_stage.add(tally);
        }
    }

    /// Of one endpoint or of all, in one stage or in all, and how long that was measured: a
    /// stage for its own time, the run until its last answer.
    #[must_use]
    pub fn sum(&self, endpoint: Option<usize>, stage: Option<usize>) -> (Tally, Duration) {
        let (tallies, over) = match stage {
            Some(stage) => (&self.stages[stage], self.stretches.measured(stage, self.ended)),
            None => (&self.endpoints, self.ended.saturating_sub(self.warmup)),
        };
        let mut sum = Tally::default();
        match endpoint {
            Some(endpoint) => sum.add(&tallies[endpoint]),
            None => tallies.iter().for_each(|tally| sum.add(tally)),
        }
        (sum, over)
    }
}
