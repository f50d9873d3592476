//! What one thread has counted in the current interval.
//!
//! Owner: the thread, through a `RefCell`. Invariant: [`Recorder::take`] leaves nothing
//! behind but what is still in flight.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    Kind, Stretches, Tally,
    tally::{histogram, record},
};
use crate::scenario::Scenario;

/// A response as it was expected.
pub(crate) struct Success {
    pub(crate) status: u16,
    /// When its head was there.
    pub(crate) first_byte: Instant,
    pub(crate) bytes: u64,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The status, when there was a response.
    pub(crate) status: Option<u16>,
    pub(crate) detail: Cow<'static, str>,
}

/// What happened in an interval, or until now.
#[derive(Debug, Default)]
pub(crate) struct Interval {
    /// Of what has ended, by the [stretch](super::stretch) in which it began; seldom more than
    /// one or two.
    pub(crate) counts: BTreeMap<usize, Counts>,
    /// At its end.
    pub(crate) in_flight: u64,
    pub(crate) most_in_flight: u64,
    /// Users that are there at its end.
    pub(crate) users: u64,
    /// CPU time of the thread.
    pub(crate) cpu: Duration,
    /// One message for each kind of error.
    pub(crate) examples: BTreeMap<Kind, String>,
}

/// What is counted of a stretch of the run.
#[derive(Debug)]
pub(crate) struct Counts {
    /// By endpoint.
    pub(crate) tallies: Vec<Tally>,
    /// Connections that were made.
    pub(crate) connect: Histogram<u64>,
    /// How much later than planned arrivals were sent, or found no room.
    pub(crate) lag: Histogram<u64>,
}

impl Counts {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self {
            tallies: (0..endpoints).map(|_| Tally::default()).collect(),
            connect: histogram(),
            lag: histogram(),
        }
    }
}

pub(crate) struct Recorder {
    now: Interval,
    endpoints: usize,
    stretches: Stretches,
    /// Of the run.
    start: Instant,
    cpu_before: Duration,
}

impl Recorder {
    pub(crate) fn new(scenario: &Scenario, start: Instant) -> Self {
        Self {
            now: Interval::default(),
            endpoints: scenario.endpoints.len(),
            stretches: Stretches::new(scenario),
            start,
            cpu_before: cpu_time(),
        }
    }

    /// Where that is counted which began then.
    fn counts(&mut self, since: Instant) -> &mut Counts {
        let stretch = self.stretches.at(since.saturating_duration_since(self.start));
        self.now.counts.entry(stretch).or_insert_with(|| Counts::new(self.endpoints))
    }

    pub(crate) fn began(&mut self) {
        self.now.in_flight += 1;
        self.now.most_in_flight = self.now.most_in_flight.max(self.now.in_flight);
    }

    /// A request that began has ended; its times count from `since`.
    pub(crate) fn ended(
        &mut self,
        endpoint: usize,
        since: Instant,
        result: Result<Success, Failure>,
    ) {
        self.now.in_flight -= 1;
        let elapsed = since.elapsed();
        let tally = &mut self.counts(since).tallies[endpoint];
        match result {
            Ok(success) => {
                record(&mut tally.latency, elapsed);
                let first_byte = success.first_byte.saturating_duration_since(since);
                record(&mut tally.first_byte, first_byte);
                tally.status(success.status);
                tally.bytes += success.bytes;
            }
            Err(failure) => {
                record(&mut tally.failed, elapsed);
                if let Some(status) = failure.status {
                    tally.status(status);
                }
                tally.errors[failure.kind as usize] += 1;
                let detail = || failure.detail.into_owned();
                self.now.examples.entry(failure.kind).or_insert_with(detail);
            }
        }
    }

    /// An arrival that was due then found no room.
    pub(crate) fn dropped(&mut self, endpoint: usize, since: Instant) {
        self.counts(since).tallies[endpoint].errors[Kind::Dropped as usize] += 1;
        let detail = || "as many requests were in flight as max_in_flight allows".to_owned();
        self.now.examples.entry(Kind::Dropped).or_insert_with(detail);
    }

    pub(crate) fn connected(&mut self, time: Duration) {
        record(&mut self.counts(Instant::now()).connect, time);
    }

    /// An arrival was handled so long after its time.
    pub(crate) fn lagged(&mut self, since: Instant, time: Duration) {
        record(&mut self.counts(since).lag, time);
    }

    pub(crate) fn user_came(&mut self) {
        self.now.users += 1;
    }

    pub(crate) fn user_left(&mut self) {
        self.now.users -= 1;
    }

    /// Hands over what was counted and begins anew.
    pub(crate) fn take(&mut self) -> Interval {
        let next = Interval {
            in_flight: self.now.in_flight,
            most_in_flight: self.now.in_flight,
            users: self.now.users,
            ..Interval::default()
        };
        let cpu = cpu_time();
        self.now.cpu = cpu.saturating_sub(self.cpu_before);
        self.cpu_before = cpu;
        mem::replace(&mut self.now, next)
    }
}

/// CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
