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
        let shared = Shared::new(&self.scenario, self.connector.clone(), self.protocol, lanes)
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
