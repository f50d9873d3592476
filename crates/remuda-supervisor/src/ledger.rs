//! What all workers have counted, the dead included.
//!
//! Owner: the [loop](crate::run). Invariants: a counter never goes down while the server
//! lives, whoever dies; a worker that does not answer holds up nobody for longer than
//! [`ANSWER_WITHIN`], and is not asked again before it has answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use remuda_control::Snapshot;
use tokio::sync::oneshot;

use crate::{
    admin::call::{Metrics, Status},
    lifecycle::WorkerId,
};

/// How long a scrape waits for workers; what they said before counts then.
const ANSWER_WITHIN: Duration = Duration::from_millis(40);

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    living: BTreeMap<WorkerId, Snapshot>,
    dead: Snapshot,
    /// Workers that were asked and have not answered.
    asked: BTreeSet<WorkerId>,
    scrape: Option<Scrape>,
}

#[derive(Debug)]
struct Scrape {
    waits_for: BTreeSet<WorkerId>,
    until: Instant,
    askers: Vec<Asker>,
}

/// Somebody who wants to know what all workers together have counted.
#[derive(Debug)]
pub(crate) enum Asker {
    Status(oneshot::Sender<Status>),
    Metrics(oneshot::Sender<Metrics>),
}

impl Ledger {
    /// Somebody wants figures of these workers; whom to ask for them.
    pub(crate) fn scrape(
        &mut self,
        workers: impl Iterator<Item = WorkerId>,
        asker: Asker,
        now: Instant,
    ) -> Vec<WorkerId> {
        if let Some(scrape) = &mut self.scrape {
            scrape.askers.push(asker);
            return Vec::new();
        }
        let all: BTreeSet<_> = workers.collect();
        let to_ask: Vec<_> = all.difference(&self.asked).copied().collect();
        self.asked.extend(&to_ask);
        // One that owes an answer may still give it in time.
        let until = now + ANSWER_WITHIN;
        self.scrape = Some(Scrape { waits_for: all, until, askers: vec![asker] });
        to_ask
    }

    /// Whom to ask for figures that would be lost with them.
    pub(crate) fn refresh(&mut self, workers: impl Iterator<Item = WorkerId>) -> Vec<WorkerId> {
        let to_ask: Vec<_> = workers.filter(|worker| !self.asked.contains(worker)).collect();
        self.asked.extend(&to_ask);
        to_ask
    }

    /// A worker has told what it has counted.
    pub(crate) fn told(&mut self, worker: WorkerId, snapshot: Snapshot) {
        self.living.insert(worker, snapshot);
        self.answered(worker);
    }

    /// A worker is gone; what it has counted stays.
    pub(crate) fn gone(&mut self, worker: WorkerId) {
        if let Some(snapshot) = self.living.remove(&worker) {
            self.dead.add(&snapshot.counters());
        }
        self.answered(worker);
    }

    fn answered(&mut self, worker: WorkerId) {
        self.asked.remove(&worker);
        if let Some(scrape) = &mut self.scrape {
            scrape.waits_for.remove(&worker);
        }
    }

    /// When a scrape has waited for long enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.scrape.as_ref().map(|scrape| scrape.until)
    }

    /// Whoever can be answered now.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Asker> {
        let due = |scrape: &mut Scrape| scrape.waits_for.is_empty() || scrape.until <= now;
        self.scrape.take_if(due).map(|scrape| scrape.askers).unwrap_or_default()
    }

    /// Bytes that the guests of a worker hold, as it said last.
    pub(crate) fn guest_memory(&self, worker: WorkerId) -> u64 {
        self.living.get(&worker).map_or(0, |snapshot| snapshot.guest_memory)
    }

    /// All workers together, gauges of the living only.
    pub(crate) fn total(&self) -> Snapshot {
        let mut total = self.dead.clone();
        self.living.values().for_each(|snapshot| total.add(snapshot));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    fn snapshot(stalls: u64) -> Snapshot {
        Snapshot { stalls, in_flight: 1, ..Snapshot::default() }
    }

    fn asker() -> Asker {
        Asker::Metrics(oneshot::channel().0)
    }

    #[test]
    fn a_scrape_is_answered_when_all_have_told() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert_eq!(ledger.scrape([A, B].into_iter(), asker(), now), [A, B]);
        ledger.told(A, snapshot(1));
        assert!(ledger.due(now).is_empty());
        assert!(ledger.scrape([A, B].into_iter(), asker(), now).is_empty(), "they know");
        ledger.told(B, snapshot(2));
        assert_eq!(ledger.due(now).len(), 2);
        assert_eq!((ledger.total().stalls, ledger.total().in_flight), (3, 2));
    }

    #[test]
    fn one_that_is_stuck_is_not_waited_for_and_not_asked_twice() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        ledger.scrape([A, B].into_iter(), asker(), now);
        ledger.told(A, snapshot(1));
        let late = now + ANSWER_WITHIN;
        assert_eq!(ledger.deadline(), Some(late));
        assert_eq!(ledger.due(late).len(), 1);
        assert_eq!(ledger.scrape([A, B].into_iter(), asker(), late), [A]);
    }

    #[test]
    fn figures_are_also_asked_for_when_nobody_scrapes() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.refresh([A, B].into_iter()), [A, B]);
        ledger.told(A, snapshot(5));
        assert_eq!(ledger.refresh([A, B].into_iter()), [A], "the other still owes an answer");
        ledger.gone(A);
        assert_eq!(ledger.total().stalls, 5);
    }

    #[test]
    fn what_the_dead_have_counted_stays() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        ledger.told(A, snapshot(1));
        ledger.told(B, snapshot(2));
        ledger.scrape([A].into_iter(), asker(), now);
        ledger.gone(A);
        assert_eq!(ledger.due(now).len(), 1, "nobody waits for the dead");
        assert_eq!((ledger.total().stalls, ledger.total().in_flight), (3, 1));
    }
}
