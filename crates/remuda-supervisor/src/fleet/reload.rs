//! From one generation to the next.
//!
//! Invariants: the old generation serves until all of the new one is ready; of a new one
//! that is given up, nobody has served; once a reload is said to be done, the old one
//! accepts nothing any more.

use remuda_control::Queue;

use super::{
    Action, Duration, Fleet, Generation, GenerationId, Instant, Policy, Slot, ToWorker, Why,
    WorkerId, later,
};
use crate::lifecycle::{State, Worker};

/// How long the old generation may take to stop accepting before the reload is done all
/// the same.
const STOPS_ACCEPTING: Duration = Duration::from_secs(1);

/// A generation that serves beside those that stop accepting.
#[derive(Debug)]
pub(super) struct Promoted {
    generation: GenerationId,
    before: Vec<WorkerId>,
    until: Instant,
}

impl Fleet {
    pub(super) fn loaded(
        &mut self,
        id: GenerationId,
        policy: Policy,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if !self.is_staying() {
            let reason = "the server was told to stop".to_owned();
            return actions.push(Action::ReloadFailed { generation: id, reason });
        }
        let generation = Generation::new(id, policy, now);
        if self.current.is_none() {
            self.current = Some(generation);
        } else {
            self.incoming = Some(generation);
        }
    }

    /// Lets the new generation serve, once all of it can.
    pub(super) fn promote_if_ready(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(incoming) = &self.incoming else { return };
        let is_ready = |slot: &Slot| slot.worker.is_some_and(|id| self.is_ready(id));
        if !incoming.slots.iter().all(is_ready) {
            return;
        }
        let Some(incoming) = self.incoming.take() else { return };
        let (generation, slots) = (incoming.id, incoming.slots.len());
        let serve = |worker| Action::Send { worker, message: ToWorker::Serve };
        actions.extend(incoming.workers().map(serve));
        for id in incoming.workers() {
            self.workers.entry(id).and_modify(Worker::is_told_to_serve);
        }
        let own_sockets = incoming.policy.own_sockets;
        let mut before = Vec::new();
        if let Some(old) = self.current.replace(incoming) {
            before.extend(old.workers());
            if slots < old.slots.len() {
                actions.push(Action::Shrink { slots });
            }
            for (index, slot) in old.slots.iter().enumerate() {
                let goes = own_sockets && index >= slots;
                let queue = if goes { Queue::RETIRED } else { Queue::Leave };
                for id in slot.worker.into_iter().chain(slot.successor) {
                    self.retire(id, queue, now, actions);
                }
            }
        }
        let until = later(now, STOPS_ACCEPTING);
        self.promoted = Some(Promoted { generation, before, until });
    }

    /// Says that the reload is done, once it is.
    pub(super) fn finish_reload(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(Promoted { generation, before, until }) = &self.promoted else { return };
        let accepts = |id| self.workers.get(id).is_some_and(|worker| worker.may_accept());
        if *until > now && self.is_staying() && before.iter().any(accepts) {
            return;
        }
        actions.push(Action::Reloaded { generation: *generation });
        self.promoted = None;
    }

    pub(super) fn reload_deadline(&self) -> Option<Instant> {
        self.promoted.as_ref().map(|promoted| promoted.until)
    }

    /// Keeps the old generation, and sends the new one away.
    pub(super) fn give_up_incoming(
        &mut self,
        reason: &str,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(incoming) = self.incoming.take() else { return };
        for id in incoming.workers() {
            match self.workers.get_mut(&id).map(|worker| worker.state()) {
                Some(State::Ready) => self.retire(id, Queue::Leave, now, actions),
                Some(State::Starting) => {
                    self.kill(id, Why::Exited, "the reload has failed".to_owned(), actions);
                }
                Some(State::Draining | State::Exited) | None => {}
            }
        }
        let (generation, reason) = (incoming.id, reason.to_owned());
        actions.push(Action::ReloadFailed { generation, reason });
    }
}
