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
    Kind, Tally,
    tally::{histogram, record},
};

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
#[derive(Debug)]
pub(crate) struct Interval {
    /// By endpoint.
    pub(crate) tallies: Vec<Tally>,
    /// Connections that were made.
    pub(crate) connect: Histogram<u64>,
    /// How much later than planned arrivals were sent, or found no room.
    pub(crate) lag: Histogram<u64>,
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

impl Interval {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self {
            tallies: (0..endpoints).map(|_| Tally::default()).collect(),
            connect: histogram(),
            lag: histogram(),
            in_flight: 0,
            most_in_flight: 0,
            users: 0,
            cpu: Duration::ZERO,
            examples: BTreeMap::new(),
        }
    }
}

pub(crate) struct Recorder {
    now: Interval,
    cpu_before: Duration,
}

impl Recorder {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self { now: Interval::new(endpoints), cpu_before: cpu_time() }
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
        let tally = &mut self.now.tallies[endpoint];
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

    /// An arrival found no room.
    pub(crate) fn dropped(&mut self, endpoint: usize) {
        self.now.tallies[endpoint].errors[Kind::Dropped as usize] += 1;
        let detail = || "as many requests were in flight as max_in_flight allows".to_owned();
        self.now.examples.entry(Kind::Dropped).or_insert_with(detail);
    }

    pub(crate) fn connected(&mut self, time: Duration) {
        record(&mut self.now.connect, time);
    }

    /// An arrival was handled so long after its time.
    pub(crate) fn lagged(&mut self, time: Duration) {
        record(&mut self.now.lag, time);
    }

    pub(crate) fn user_came(&mut self) {
        self.now.users += 1;
    }

    pub(crate) fn user_left(&mut self) {
        self.now.users -= 1;
    }

    /// Hands over what was counted and begins anew.
    pub(crate) fn take(&mut self) -> Interval {
        let mut next = Interval::new(self.now.tallies.len());
        next.in_flight = self.now.in_flight;
        next.most_in_flight = self.now.in_flight;
        next.users = self.now.users;
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
