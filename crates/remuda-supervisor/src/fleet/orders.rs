//! Orders to the whole fleet: more or fewer workers, and the end.
//!
//! Invariant: once an order to end has come nothing is recycled or reloaded, and once a drain
//! has begun nothing is spawned.

use remuda_control::{Queue, ToWorker};
use rustix::process;

use super::{
    Action, Duration, Fleet, Instant, Outcome, PATIENCE, Phase, Signal, State, WorkerId, later,
};

impl Fleet {
    pub(super) fn ordered(&mut self, signal: Signal, now: Instant, actions: &mut Vec<Action>) {
        match (&self.phase, signal) {
            (Phase::Serving, Signal::Terminate | Signal::Interrupt) => {
                tracing::info!(signal = signal.name(), "draining");
                self.drain_after_delay(now, actions);
            }
            (Phase::Serving | Phase::Delaying { .. } | Phase::Draining { .. }, _) => {
                tracing::info!(signal = signal.name(), "stopping at once");
                self.end(Outcome::AsAsked, actions);
            }
            (Phase::Ending(_) | Phase::Finished, _) => {}
        }
    }

    pub(super) fn drain_after_delay(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.is_staying() {
            return;
        }
        self.give_up_incoming("the server was told to stop", now, actions);
        let delay = self.current.as_ref().map_or(Duration::ZERO, |it| it.policy.drain_delay);
        if delay.is_zero() || !self.accepts(now) {
            self.drain(now, actions);
        } else {
            self.phase = Phase::Delaying { until: later(now, delay) };
        }
    }

    pub(super) fn drain(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.is_serving() {
            return;
        }
        self.give_up_incoming("the server was told to stop", now, actions);
        let until = later(later(now, self.grace()), PATIENCE);
        self.phase = Phase::Draining { until };
        let everybody: Vec<_> = self.workers.keys().copied().collect();
        for id in everybody {
            self.retire(id, Queue::CLOSING, now, actions);
        }
        actions.push(Action::StopListening);
    }

    /// Tells a worker to finish and leave, unless it does already.
    pub(super) fn retire(
        &mut self,
        id: WorkerId,
        queue: Queue,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let grace = self.grace();
        let Some(worker) = self.workers.get_mut(&id) else { return };
        // One that is not ready has nothing to finish, unless the word is on its way.
        let starting = worker.state() == State::Starting;
        let wait = if starting { Duration::ZERO } else { grace };
        if worker.leaves(later(later(now, wait), PATIENCE)) {
            let message = ToWorker::Drain { grace, queue };
            actions.push(Action::Send { worker: id, message });
        }
    }

    pub(super) fn scale(&mut self, workers: usize, now: Instant, actions: &mut Vec<Action>) {
        if !self.is_staying() {
            return;
        }
        let Some(current) = &mut self.current else { return };
        let (before, own_sockets) = (current.slots.len(), current.policy.own_sockets);
        let mut removed = current.resize(workers, now);
        if let Some(incoming) = &mut self.incoming {
            removed.extend(incoming.resize(workers, now));
        }
        let queue = if own_sockets { Queue::RETIRED } else { Queue::Leave };
        if workers != before {
            tracing::info!(from = before, to = workers, "scaling");
        }
        if workers < before {
            actions.push(Action::Shrink { slots: workers });
        }
        for id in removed {
            self.retire(id, queue, now, actions);
        }
        self.promote_if_ready(now, actions);
    }

    /// Kills every worker; what remains is to collect them.
    pub(super) fn end(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        for (id, worker) in &mut self.workers {
            if worker.kill() {
                actions.push(Action::Kill { worker: *id, signal: process::Signal::KILL });
            }
        }
        self.phase = Phase::Ending(outcome);
    }
}
