//! Which workers there should be, and what to do about the difference.
//!
//! Pure: no processes, no clock, no sockets. Owner: the [loop](crate::run), which turns
//! what happens into an [`Event`] and carries out the [`Action`]s.
//!
//! One generation is current; a reload brings an incoming one, which becomes current when
//! all of its workers are ready, or is given up. Within a generation a worker that is to be
//! replaced gets a successor in its slot first. Invariants: while the server serves, every
//! slot has a worker or a time for the next attempt; a worker that serves is told to leave
//! only when its successor serves; once the server ends, nothing is spawned, and
//! [`Action::Finish`] comes when the last worker is gone.

mod event;
mod generation;
mod orders;
mod recycling;
mod reload;
mod settle;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use remuda_control::{FromWorker, ToWorker};
use rustix::process::{self, Pid};

pub(crate) use event::{Action, Event, Outcome, Policy};
use generation::{Generation, Place, Slot};
use reload::Promoted;

use crate::{
    backoff::Jitter,
    lifecycle::{GenerationId, State, Why, Worker, WorkerId, later},
    reap::Exit,
    signals::Signal,
};

/// How long a worker may take for what should be immediate: leaving after it has failed
/// or hung up, and ending once its drain is over.
const PATIENCE: Duration = Duration::from_secs(5);

/// Attempts in a row, with no worker ready, after which the server gives up.
const MAX_FAILED_BOOTS: u32 = 6;

#[derive(Debug)]
enum Phase {
    Serving,
    /// Readiness is false, and connections are still accepted.
    Delaying {
        until: Instant,
    },
    /// Workers finish what is in flight.
    Draining {
        until: Instant,
    },
    /// Workers were killed and only have to be collected.
    Ending(Outcome),
    Finished,
}

/// In the log, the reason of a worker that failed for the same as the one before it.
const AS_BEFORE: &str = "as before";

#[derive(Debug)]
pub(crate) struct Fleet {
    phase: Phase,
    /// `None` until the first configuration is loaded.
    current: Option<Generation>,
    incoming: Option<Generation>,
    /// What became current, until those before it accept nothing any more.
    promoted: Option<Promoted>,
    /// Every worker that has not exited.
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u64,
    failed_boots: u32,
    /// Boots that have failed since the start, and why the last one did.
    all_failed_boots: u64,
    last_failure: String,
    /// Why a worker failed, as the log has it already: most of them fail alike.
    told: String,
    announced: bool,
    restarts: BTreeMap<&'static str, u64>,
    jitter: Jitter,
}

impl Fleet {
    /// A fleet that waits for its first generation.
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self {
            phase: Phase::Serving,
            current: None,
            incoming: None,
            promoted: None,
            workers: BTreeMap::new(),
            next_worker: 0,
            failed_boots: 0,
            all_failed_boots: 0,
            last_failure: String::new(),
            told: String::new(),
            announced: false,
            restarts: BTreeMap::new(),
            jitter,
        }
    }

    /// Takes note of an event and says what to do, in this order.
    pub(crate) fn handle_event(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Loaded { generation, policy } => {
                self.told.clear();
                self.loaded(generation, policy, now, &mut actions);
            }
            Event::Spawned { worker, pid } => self.spawned(worker, pid),
            Event::SpawnFailed { worker, reason } => {
                self.gone(worker, reason, Why::Exited, now, &mut actions);
            }
            Event::Said { worker, message } => self.said(worker, message, now, &mut actions),
            Event::Broken { worker, reason } => {
                self.kill(worker, Why::Broken, reason, &mut actions);
            }
            Event::HungUp { worker } => self.hung_up(worker, now, &mut actions),
            Event::Exited { worker, exit } => {
                let why = if matches!(exit, Exit::Signal(_)) { Why::Killed } else { Why::Exited };
                self.gone(worker, exit.to_string(), why, now, &mut actions);
            }
            Event::Measured { worker, rss } => self.measured(worker, rss, &mut actions),
            Event::Signal(signal) => self.ordered(signal, now, &mut actions),
            Event::Drain => self.drain_after_delay(now, &mut actions),
            Event::Scale(workers) => self.scale(workers, now, &mut actions),
            Event::Restart { slot } => self.restart(slot, now),
            Event::HandedOver => self.drain(now, &mut actions),
            Event::Late => self.workers.values_mut().for_each(|worker| worker.excuse(now)),
            Event::Timer => {}
        }
        self.settle(now, &mut actions);
        actions
    }

    // What others may know

    /// Whether workers are started and kept.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Delaying { .. })
    }

    /// Whether no order to end has come.
    pub(crate) fn is_staying(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Delaying { .. } | Phase::Draining { .. })
    }

    /// Whether the first generation has ever been ready.
    pub(crate) fn has_started(&self) -> bool {
        self.announced
    }

    /// Whether a new generation is starting.
    pub(crate) fn is_reloading(&self) -> bool {
        self.incoming.is_some()
    }

    /// The generation that serves.
    pub(crate) fn generation(&self) -> Option<GenerationId> {
        self.current.as_ref().map(|current| current.id)
    }

    /// How many workers there should be.
    pub(crate) fn wanted(&self) -> usize {
        self.current.as_ref().map_or(0, |current| current.slots.len())
    }

    /// Whether every slot has a worker that is ready.
    pub(crate) fn is_complete(&self) -> bool {
        let Some(current) = &self.current else { return false };
        current.slots.iter().all(|slot| slot.worker.is_some_and(|id| self.is_ready(id)))
    }

    /// Who serves in a slot.
    pub(crate) fn worker_of(&self, slot: usize) -> Option<WorkerId> {
        self.current.as_ref()?.slots.get(slot)?.worker
    }

    pub(crate) fn is_ready(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| worker.state() == State::Ready)
    }

    /// Whether somebody accepts connections.
    pub(crate) fn accepts(&self, now: Instant) -> bool {
        self.workers.values().any(|worker| worker.is_well(now))
    }

    /// Every worker that has not exited.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    /// Whether anybody of a generation lives, or is to be started.
    pub(crate) fn uses(&self, id: GenerationId) -> bool {
        let kept = self.current.iter().chain(&self.incoming).any(|generation| generation.id == id);
        kept || self.workers.values().any(|worker| worker.generation == id)
    }

    /// Workers of the current generation that did not start, and why the last one did not.
    pub(crate) fn failed_boots(&self) -> (u64, &str) {
        (self.all_failed_boots, &self.last_failure)
    }

    /// Workers that were replaced, by reason.
    pub(crate) fn restarts(&self) -> &BTreeMap<&'static str, u64> {
        &self.restarts
    }

    // What happens to workers

    fn spawned(&mut self, id: WorkerId, pid: Pid) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pid = Some(pid);
            let (slot, generation) = (worker.slot, worker.generation.0);
            tracing::info!(slot, generation, pid = pid.as_raw_pid(), "worker started");
        }
    }

    fn said(&mut self, id: WorkerId, message: FromWorker, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
        match message {
            FromWorker::Ready => self.ready(id, now, actions),
            FromWorker::Heartbeat(heartbeat) => {
                if let Some(silent) = worker.beat(heartbeat, now) {
                    let silent_ms = silent.as_millis() as u64;
                    tracing::warn!(slot, pid, silent_ms, "worker speaks again");
                }
                self.count_requests(id);
            }
            // The loop keeps those.
            FromWorker::Snapshot(_) => {}
            FromWorker::Draining => {
                tracing::debug!(slot, pid, "worker draining");
                worker.says_it_left();
                self.left(id, later(later(now, self.grace()), PATIENCE), now, actions);
            }
            FromWorker::Failed { reason } => {
                let shown = if reason == self.told { AS_BEFORE } else { &reason };
                tracing::error!(slot, pid, reason = shown, "worker failed");
                self.told.clone_from(&reason);
                worker.fails(Why::Exited, reason);
                worker.leaves(later(now, PATIENCE));
            }
        }
    }

    fn ready(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let became_ready = worker.became_ready(now);
        if let Phase::Draining { until } = self.phase {
            // The order to leave is on its way to it.
            worker.wait_until(until);
        }
        if !became_ready {
            return;
        }
        let (slot, generation) = (worker.slot, worker.generation.0);
        let pid = worker.pid.map(Pid::as_raw_pid);
        let elapsed_ms = worker.age(now).as_millis() as u64;
        tracing::info!(slot, generation, pid, elapsed_ms, "worker ready");
        let place = self.current.as_ref().and_then(|current| current.place_of(id));
        if let Some(place) = place {
            self.failed_boots = 0;
            worker.is_told_to_serve();
            actions.push(Action::Send { worker: id, message: ToWorker::Serve });
            if let Place::Successor(slot) = place {
                self.succeed(slot, now, actions);
            }
        }
    }

    fn hung_up(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        let serving = self.is_serving();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let was_ready = worker.state() == State::Ready;
        // It may have died of something that nobody knows yet; without its supervisor a
        // worker that lives drains.
        if worker.leaves(later(now, PATIENCE)) && was_ready && serving {
            worker.hangs_up();
            self.vacate(id, None, now, actions);
        }
    }

    /// A worker takes nothing new any more, by its own account.
    fn left(&mut self, id: WorkerId, kill_at: Instant, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let was_ready = worker.state() == State::Ready;
        if worker.leaves(kill_at) && was_ready && self.is_serving() {
            self.vacate(id, Some(Why::Exited), now, actions);
        }
    }

    fn kill(&mut self, id: WorkerId, why: Why, reason: String, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.kill() {
            let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
            tracing::warn!(slot, pid, reason, "killing worker");
            worker.fails(why, reason);
            actions.push(Action::Kill { worker: id, signal: process::Signal::KILL });
        }
    }

    fn gone(
        &mut self,
        id: WorkerId,
        how: String,
        why: Why,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(worker) = self.workers.remove(&id) else { return };
        let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
        let is_expected = !self.is_serving() || self.is_leaving(id);
        let has_hung_up = worker.has_hung_up() && self.is_serving();
        let was_told = worker.failure().is_some_and(|reason| reason == self.told);
        let shown = was_told.then(|| how.clone());
        let remains = worker.exited(how, now);
        let reason = shown.as_ref().unwrap_or(&remains.reason);
        let why = remains.why.unwrap_or(why);
        if has_hung_up {
            *self.restarts.entry(why.name()).or_default() += 1;
            tracing::warn!(slot, pid, reason, "worker exited");
            return;
        }
        if is_expected {
            tracing::info!(slot, pid, reason, "worker exited");
            return;
        }
        if self.incoming.as_ref().is_some_and(|incoming| incoming.place_of(id).is_some()) {
            tracing::warn!(slot, pid, reason, "worker exited");
            let reason = format!("worker {slot}: {}", remains.reason);
            return self.give_up_incoming(&reason, now, actions);
        }
        let pause = self.empty_place(id, remains.early, Some(why), now);
        let restart_in_ms = pause.as_millis() as u64;
        tracing::warn!(slot, pid, reason, restart_in_ms, "worker exited");
        if remains.failed_boot {
            self.boot_failed(remains.reason, actions);
        }
    }

    /// Whether a worker has no place any more.
    fn is_leaving(&self, id: WorkerId) -> bool {
        let mut generations = self.current.iter().chain(&self.incoming);
        !generations.any(|generation| generation.place_of(id).is_some())
    }

    /// Takes the place of a worker that lives and serves nobody new. Why is counted, unless it
    /// is not known yet.
    fn vacate(&mut self, id: WorkerId, why: Option<Why>, now: Instant, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get(&id) else { return };
        let (slot, early) = (worker.slot, worker.age(now) < crate::backoff::EARLY);
        if self.incoming.as_ref().is_some_and(|incoming| incoming.place_of(id).is_some()) {
            let reason = format!("worker {slot} left before the others were ready");
            return self.give_up_incoming(&reason, now, actions);
        }
        if !self.is_leaving(id) {
            self.empty_place(id, early, why, now);
        }
    }

    /// Takes a worker's place in the current generation; how long it stays empty.
    fn empty_place(
        &mut self,
        id: WorkerId,
        early: bool,
        why: Option<Why>,
        now: Instant,
    ) -> Duration {
        let Some(current) = &mut self.current else { return Duration::ZERO };
        let place = current.place_of(id);
        let Some(Place::Worker(index) | Place::Successor(index)) = place else {
            return Duration::ZERO;
        };
        let slot = &mut current.slots[index];
        let pause = slot.backoff.after_death(early, &mut self.jitter);
        slot.next_attempt = later(now, pause);
        if place == Some(Place::Successor(index)) {
            slot.successor = None;
            return pause;
        }
        slot.worker = slot.successor.take();
        if let Some(why) = why {
            *self.restarts.entry(why.name()).or_default() += 1;
        }
        slot.wish = None;
        if slot.worker.is_some() { Duration::ZERO } else { pause }
    }

    fn boot_failed(&mut self, reason: String, actions: &mut Vec<Action>) {
        self.all_failed_boots += 1;
        self.last_failure.clone_from(&reason);
        if self.workers.values().any(|worker| worker.state() == State::Ready) {
            self.failed_boots = 0;
            return;
        }
        self.failed_boots += 1;
        if self.failed_boots >= MAX_FAILED_BOOTS {
            self.end(Outcome::NoWorkerStarts { attempts: self.failed_boots, reason }, actions);
        }
    }

    pub(super) fn grace(&self) -> Duration {
        self.current.as_ref().map_or(Duration::ZERO, |current| current.policy.grace)
    }
}

#[cfg(test)]
mod tests;
