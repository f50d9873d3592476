//! Which workers there should be, and what to do about the difference.
//!
//! Pure: no processes, no clock, no sockets. Owner: the [loop](crate::run), which turns
//! what happens into an [`Event`] and carries out the [`Action`]s. Invariant: while the
//! server serves, every slot has a worker or a time for the next attempt; once it ends,
//! nothing is spawned, and [`Action::Finish`] comes when the last worker is gone.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use remuda_control::{FromWorker, ToWorker};
use rustix::process::{self, Pid};

use crate::{
    backoff::{Backoff, Jitter},
    lifecycle::{State, Worker, WorkerId, later},
    reap::Exit,
    signals::Signal,
};

/// How long a worker may take for what should be immediate: leaving after it has failed
/// or hung up, and ending once its drain is over.
const PATIENCE: Duration = Duration::from_secs(5);

/// Attempts in a row, with no worker ready, after which the server gives up.
const MAX_FAILED_BOOTS: u32 = 6;

/// What the operator asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) workers: usize,
    pub(crate) boot_timeout: Duration,
    /// How long a drain waits for requests in flight.
    pub(crate) grace: Duration,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event {
    Spawned {
        worker: WorkerId,
        pid: Pid,
    },
    SpawnFailed {
        worker: WorkerId,
        reason: String,
    },
    Said {
        worker: WorkerId,
        message: FromWorker,
    },
    /// It sent what is no message, or does not take ours.
    Broken {
        worker: WorkerId,
        reason: String,
    },
    /// Its end of the control socket is closed.
    HungUp {
        worker: WorkerId,
    },
    /// It is gone, and so is its last message.
    Exited {
        worker: WorkerId,
        exit: Exit,
    },
    Signal(Signal),
    /// [`Fleet::next_deadline`] is reached.
    Timer,
}

/// What to do about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Spawn {
        worker: WorkerId,
        slot: usize,
    },
    Send {
        worker: WorkerId,
        message: ToWorker,
    },
    Kill {
        worker: WorkerId,
        signal: process::Signal,
    },
    /// All workers are ready for the first time.
    LogReady,
    StopListening,
    /// The last action ever.
    Finish(Outcome),
}

/// How the server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    AsAsked,
    NoWorkerStarts { attempts: u32, reason: String },
}

#[derive(Debug)]
enum Phase {
    Serving,
    /// Workers finish what is in flight.
    Draining {
        until: Instant,
    },
    /// Workers were killed and only have to be collected.
    Ending(Outcome),
    Finished,
}

/// A worker's place in the fleet.
#[derive(Debug)]
struct Slot {
    /// The worker that serves here or is about to.
    worker: Option<WorkerId>,
    /// When to start the next one, if there is none.
    next_attempt: Instant,
    backoff: Backoff,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    policy: Policy,
    phase: Phase,
    slots: Vec<Slot>,
    /// Every worker that has not exited.
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u64,
    failed_boots: u32,
    announced: bool,
    jitter: Jitter,
}

impl Fleet {
    /// A fleet without workers; the first [`Event::Timer`] starts them.
    pub(crate) fn new(policy: Policy, jitter: Jitter, now: Instant) -> Self {
        let slot = || Slot { worker: None, next_attempt: now, backoff: Backoff::default() };
        Self {
            slots: std::iter::repeat_with(slot).take(policy.workers).collect(),
            policy,
            phase: Phase::Serving,
            workers: BTreeMap::new(),
            next_worker: 0,
            failed_boots: 0,
            announced: false,
            jitter,
        }
    }

    /// Takes note of an event and says what to do, in this order.
    pub(crate) fn handle_event(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Spawned { worker, pid } => self.spawned(worker, pid),
            Event::SpawnFailed { worker, reason } => self.gone(worker, reason, now, &mut actions),
            Event::Said { worker, message } => self.said(worker, message, now),
            Event::Broken { worker, reason } => self.kill(worker, reason, &mut actions),
            Event::HungUp { worker } => self.hung_up(worker, now),
            Event::Exited { worker, exit } => {
                self.gone(worker, exit.to_string(), now, &mut actions)
            }
            Event::Signal(signal) => self.ordered(signal, now, &mut actions),
            Event::Timer => {}
        }
        self.settle(now, &mut actions);
        actions
    }

    /// When the next [`Event::Timer`] is due, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let vacant = self.slots.iter().filter(|slot| slot.worker.is_none());
        let attempts = vacant.map(|slot| slot.next_attempt).filter(|_| self.is_serving());
        self.workers.values().filter_map(Worker::deadline).chain(attempts).min()
    }

    fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    fn spawned(&mut self, id: WorkerId, pid: Pid) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pid = Some(pid);
            tracing::info!(slot = worker.slot, pid = pid.as_raw_pid(), "worker started");
        }
    }

    fn said(&mut self, id: WorkerId, message: FromWorker, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
        match (message, &self.phase) {
            (FromWorker::Ready, Phase::Draining { until }) => {
                worker.became_ready();
                worker.wait_until(*until);
            }
            (FromWorker::Ready, _) => {
                if worker.became_ready() {
                    self.failed_boots = 0;
                    let elapsed_ms = worker.age(now).as_millis() as u64;
                    tracing::info!(slot, pid, elapsed_ms, "worker ready");
                }
            }
            (FromWorker::Draining, _) => {
                worker.leaves(later(later(now, self.policy.grace), PATIENCE));
                tracing::debug!(slot, pid, "worker draining");
            }
            (FromWorker::Heartbeat(_) | FromWorker::Snapshot(_), _) => {}
            (FromWorker::Failed { reason }, _) => {
                tracing::error!(slot, pid, reason, "worker failed");
                worker.fails(reason);
                worker.leaves(later(now, PATIENCE));
            }
        }
    }

    fn hung_up(&mut self, id: WorkerId, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.leaves(later(now, PATIENCE));
        }
    }

    fn kill(&mut self, id: WorkerId, reason: String, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.kill() {
            let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
            tracing::warn!(slot, pid, reason, "killing worker");
            worker.fails(reason);
            actions.push(Action::Kill { worker: id, signal: process::Signal::KILL });
        }
    }

    fn gone(&mut self, id: WorkerId, how: String, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.remove(&id) else { return };
        let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
        let remains = worker.exited(how, now);
        let reason = &remains.reason;
        if !self.is_serving() {
            tracing::info!(slot, pid, reason, "worker exited");
            return;
        }
        let Some(place) = self.slots.get_mut(slot).filter(|place| place.worker == Some(id)) else {
            return;
        };
        let pause = place.backoff.after_death(remains.early, &mut self.jitter);
        place.worker = None;
        place.next_attempt = later(now, pause);
        tracing::warn!(
            slot,
            pid,
            reason,
            restart_in_ms = pause.as_millis() as u64,
            "worker exited"
        );
        if remains.failed_boot {
            self.boot_failed(remains.reason, actions);
        }
    }

    fn boot_failed(&mut self, reason: String, actions: &mut Vec<Action>) {
        if self.workers.values().any(|worker| worker.state() == State::Ready) {
            self.failed_boots = 0;
            return;
        }
        self.failed_boots += 1;
        if self.failed_boots >= MAX_FAILED_BOOTS {
            self.end(Outcome::NoWorkerStarts { attempts: self.failed_boots, reason }, actions);
        }
    }

    fn ordered(&mut self, signal: Signal, now: Instant, actions: &mut Vec<Action>) {
        match (&self.phase, signal) {
            (Phase::Serving, Signal::Terminate | Signal::Interrupt) => {
                tracing::info!(signal = signal.name(), "draining");
                self.drain(now, actions);
            }
            (Phase::Serving | Phase::Draining { .. }, _) => {
                tracing::info!(signal = signal.name(), "stopping at once");
                self.end(Outcome::AsAsked, actions);
            }
            (Phase::Ending(_) | Phase::Finished, _) => {}
        }
    }

    fn drain(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let grace = self.policy.grace;
        let until = later(later(now, grace), PATIENCE);
        self.phase = Phase::Draining { until };
        for (id, worker) in &mut self.workers {
            // One that is not ready has nothing to finish, unless the word is on its way.
            let starting = worker.state() == State::Starting;
            worker.leaves(if starting { later(now, PATIENCE) } else { until });
            actions.push(Action::Send { worker: *id, message: ToWorker::Drain { grace, empty_queue: true } });
        }
        actions.push(Action::StopListening);
    }

    /// Kills every worker; what remains is to collect them.
    fn end(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        for (id, worker) in &mut self.workers {
            if worker.kill() {
                actions.push(Action::Kill { worker: *id, signal: process::Signal::KILL });
            }
        }
        self.phase = Phase::Ending(outcome);
    }

    /// Does what is due, whatever the event was.
    fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let overdue =
            |(id, worker): (&WorkerId, &Worker)| worker.overdue(now).map(|reason| (*id, reason));
        for (id, reason) in self.workers.iter().filter_map(overdue).collect::<Vec<_>>() {
            self.kill(id, reason, actions);
        }
        match &self.phase {
            Phase::Serving => {
                self.fill_slots(now, actions);
                self.announce(actions);
            }
            Phase::Draining { .. } if self.workers.is_empty() => {
                self.finish(Outcome::AsAsked, actions)
            }
            Phase::Ending(outcome) if self.workers.is_empty() => {
                self.finish(outcome.clone(), actions)
            }
            Phase::Draining { .. } | Phase::Ending(_) | Phase::Finished => {}
        }
    }

    fn fill_slots(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.worker.is_none() && slot.next_attempt <= now {
                let worker = WorkerId(self.next_worker);
                self.next_worker += 1;
                slot.worker = Some(worker);
                self.workers.insert(worker, Worker::starting(index, now, self.policy.boot_timeout));
                actions.push(Action::Spawn { worker, slot: index });
            }
        }
    }

    fn announce(&mut self, actions: &mut Vec<Action>) {
        let is_ready =
            |id| self.workers.get(&id).is_some_and(|worker| worker.state() == State::Ready);
        if !self.announced && self.slots.iter().all(|slot| slot.worker.is_some_and(is_ready)) {
            self.announced = true;
            actions.push(Action::LogReady);
        }
    }

    fn finish(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        self.phase = Phase::Finished;
        actions.push(Action::Finish(outcome));
    }
}

#[cfg(test)]
mod tests;
