//! One thread that sends.
//!
//! Owner: the run. Invariant: it reports every interval, in order, and last of all that it
//! has ended.

use std::{
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::LocalOptions,
    sync::{mpsc, watch},
    time::sleep_until,
};

use super::{Budget, closed, open};
use crate::{
    client::{Connector, Protocol, Shared},
    record::Interval,
    scenario::{Model, Scenario},
};

pub(super) struct Crew {
    pub(super) index: usize,
    pub(super) threads: usize,
    pub(super) scenario: Arc<Scenario>,
    pub(super) connector: Connector,
    pub(super) protocol: Protocol,
    pub(super) start: Instant,
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) reports: mpsc::UnboundedSender<Report>,
}

/// What a thread has counted in an interval.
pub(super) struct Report {
    pub(super) thread: usize,
    pub(super) interval: Interval,
    /// Since the start, with the last report.
    pub(super) ended: Option<Duration>,
}

/// What all tasks of a thread know.
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) threads: usize,
    pub(super) scenario: Arc<Scenario>,
    pub(super) shared: Rc<Shared>,
    pub(super) start: Instant,
    pub(super) budget: Option<Arc<Budget>>,
    /// Sums of weights, up to each endpoint.
    weights: Vec<f64>,
}

impl Crew {
    pub(super) fn work(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        runtime.block_on(self.send())
    }

    async fn send(self) -> io::Result<()> {
        let most = match self.scenario.model {
            Model::Closed { .. } => self.scenario.plan.peak().ceil() as usize,
            Model::Open { max_in_flight, .. } => max_in_flight,
        };
        let lanes = most.div_ceil(self.threads);
        let connector = self.connector.clone();
        let shared = Shared::new(&self.scenario, connector, self.protocol, lanes, self.start)
            .ok_or_else(|| io::Error::other("an endpoint makes no request"))?;
        let place = Rc::new(Place {
            index: self.index,
            threads: self.threads,
            shared: Rc::new(shared),
            start: self.start,
            budget: self.budget.clone(),
            weights: sums(self.scenario.endpoints.iter().map(|endpoint| endpoint.weight)),
            scenario: Arc::clone(&self.scenario),
        });
        let sending = async {
            match place.scenario.model {
                Model::Closed { think } => closed::users(&place, think).await,
                Model::Open { arrivals, .. } => open::arrivals(&place, arrivals, lanes).await?,
            }
            // The last request is not the end of the time in which there could be another.
            if !self.budget.as_ref().is_some_and(|budget| budget.is_spent()) {
                sleep_until((self.start + self.scenario.plan.duration()).into()).await;
            }
            Ok(())
        };
        let mut stopped = self.stopped.clone();
        let result = tokio::select! {
            result = sending => result,
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
            () = self.report(&place) => Ok(()),
        };
        let ended = Some(self.start.elapsed());
        let interval = place.shared.recorder.borrow_mut().take();
        // Nobody listens when the run has failed elsewhere.
        let _ = self.reports.send(Report { thread: self.index, interval, ended });
        result
    }

    /// Tells what each interval has brought; ends when nobody listens.
    async fn report(&self, place: &Place) {
        let mut end = self.start;
        loop {
            end += self.scenario.interval;
            sleep_until(end.into()).await;
            let interval = place.shared.recorder.borrow_mut().take();
            let report = Report { thread: self.index, interval, ended: None };
            if self.reports.send(report).is_err() {
                return;
            }
        }
    }
}

impl Place {
    /// A number generator that no other thread and no other user has.
    pub(super) fn random(&self, number: usize) -> fastrand::Rng {
        let mut seeds = fastrand::Rng::with_seed(self.scenario.seed);
        let own = seeds.u64(..) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        fastrand::Rng::with_seed(own)
    }

    /// An endpoint by its weight.
    pub(super) fn choose(&self, random: &mut fastrand::Rng) -> usize {
        match self.weights.as_slice() {
            [_] | [] => 0,
            weights => {
                let mark = random.f64() * weights.last().unwrap_or(&0.0);
                weights.partition_point(|sum| *sum <= mark).min(weights.len() - 1)
            }
        }
    }

    /// Whether another request may be sent.
    pub(super) fn may_send(&self) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.take())
    }
}

fn sums(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;
    use crate::scenario::Raw;

    /// Answers any request, of each connection in a thread of its own.
    fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).is_ok_and(|length| length > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).unwrap();
                    }
                });
            }
        });
        url
    }

    /// What a thread counts that comes so late to the start of a scenario.
    fn late(text: &str, late: Duration) -> Interval {
        let raw: Raw = toml::from_str(text).unwrap();
        let scenario = Scenario::validate(Raw { target: Some(server()), ..raw }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let addresses = runtime.block_on(Connector::look_up(&scenario.target)).unwrap();
        let connector = Connector::new(&scenario.target, &scenario.connection, addresses).unwrap();
        let (reports, mut received) = mpsc::unbounded_channel();
        let (_stop, stopped) = watch::channel(false);
        let crew = Crew {
            index: 0,
            threads: 1,
            scenario: Arc::new(scenario),
            connector,
            protocol: Protocol::Http1,
            start: Instant::now().checked_sub(late).unwrap(),
            budget: None,
            stopped,
            reports,
        };
        crew.work().unwrap();
        let report = received.blocking_recv().unwrap();
        assert!(report.ended.is_some(), "an interval is longer than the test");
        report.interval
    }

    /// Time counts from when a request was to be sent: here all are sent at once, at the end.
    #[test]
    fn an_arrival_that_is_sent_late_was_slow() {
        let text = "rate = 100\nduration = '1s'\ninterval = '60s'";
        let interval = late(text, Duration::from_secs(1));
        let counts = &interval.counts[&0];
        let latency = &counts.tallies[0].latency;
        assert_eq!(latency.len(), 100);
        assert!(latency.count_between(500_000, u64::MAX) >= 50, "{latency:?}");
        assert!(latency.max() >= 995_000, "{}", latency.max());
        // And what that was due to is told.
        assert!(counts.lag.max() >= 995_000 && counts.lag.len() == 100);
    }

    /// Users are not late: they send when they are there.
    #[test]
    fn a_user_who_comes_late_was_not_slow() {
        let text = "users = 1\nduration = '1100ms'\nthink = '10ms'\ninterval = '60s'";
        let interval = late(text, Duration::from_secs(1));
        let latency = &interval.counts[&0].tallies[0].latency;
        assert!(!latency.is_empty() && latency.value_at_quantile(0.5) < 500_000, "{latency:?}");
    }
}
