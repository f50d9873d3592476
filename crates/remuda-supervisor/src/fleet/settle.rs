//! What is due, whatever the event was.

use rustix::process::{self, Pid};

use super::{
    Action, Fleet, Generation, GenerationId, Instant, Outcome, Phase, Policy, Why, Worker,
    WorkerId, later,
};
use crate::lifecycle::{LAST_REPORT, Limits, Silence};

impl Fleet {
    pub(super) fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let overdue =
            |(id, worker): (&WorkerId, &Worker)| worker.overdue(now).map(|reason| (*id, reason));
        for (id, reason) in self.workers.iter().filter_map(overdue).collect::<Vec<_>>() {
            self.kill(id, Why::Broken, reason, actions);
        }
        self.listen_to_silence(now, actions);
        if let Phase::Delaying { until } = self.phase
            && until <= now
        {
            self.drain(now, actions);
        }
        if !self.is_serving() {
            self.finish_reload(now, actions);
        }
        match &self.phase {
            Phase::Serving | Phase::Delaying { .. } => {
                self.promote_if_ready(now, actions);
                self.finish_reload(now, actions);
                self.fill_slots(now, actions);
                if self.is_staying() {
                    self.expire(now);
                    self.start_successor(now, actions);
                }
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

    /// When the next [`Event::Timer`](super::Event::Timer) is due, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let serving = self.current.iter().chain(&self.incoming).filter(|_| self.is_serving());
        let vacant = serving.flat_map(|it| &it.slots).filter(|slot| slot.worker.is_none());
        let delay = match self.phase {
            Phase::Delaying { until } => Some(until),
            _ => None,
        };
        self.workers
            .values()
            .filter_map(Worker::deadline)
            .chain(vacant.map(|slot| slot.next_attempt))
            .chain(self.next_replacement().map(|(_, at)| at))
            .chain(self.next_expiry())
            .chain(delay)
            .chain(self.reload_deadline().filter(|_| self.is_serving()))
            .min()
    }

    /// Asks workers that are silent, and gives up those that have been for too long.
    fn listen_to_silence(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let silent = |(id, worker): (&WorkerId, &mut Worker)| Some((*id, worker.silence(now)?));
        let silent: Vec<_> = self.workers.iter_mut().filter_map(silent).collect();
        for (id, silence) in silent {
            let worker = &self.workers[&id];
            let (slot, pid) = (worker.slot, worker.pid.map(Pid::as_raw_pid));
            match silence {
                Silence::Ask(silent) => {
                    let silent_ms = silent.as_millis() as u64;
                    tracing::warn!(slot, pid, silent_ms, "worker is silent");
                    actions.push(Action::Kill { worker: id, signal: process::Signal::USR1 });
                }
                Silence::TooLong(silent) => {
                    let silent_ms = silent.as_millis() as u64;
                    tracing::error!(slot, pid, silent_ms, "aborting a silent worker");
                    actions.push(Action::Kill { worker: id, signal: process::Signal::ABORT });
                    if let Some(worker) = self.workers.get_mut(&id) {
                        worker.fails(Why::Silent, format!("silent for {silent:.1?}"));
                        let until = later(now, LAST_REPORT);
                        worker.leaves(until);
                        worker.wait_until(until);
                    }
                    self.vacate(id, Some(Why::Silent), now, actions);
                }
            }
        }
    }

    fn fill_slots(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let vacant = |generation: &Generation| {
            let slots = generation.slots.iter().enumerate();
            let due = slots.filter(|(_, slot)| slot.worker.is_none() && slot.next_attempt <= now);
            due.map(|(index, _)| index).collect::<Vec<_>>()
        };
        for index in self.current.as_ref().map(vacant).unwrap_or_default() {
            let hired = self.current.as_ref().map(|it| (it.id, it.policy));
            let worker = hired.map(|(id, policy)| self.hire(index, id, &policy, now, actions));
            if let Some(current) = &mut self.current {
                current.slots[index].worker = worker;
            }
        }
        for index in self.incoming.as_ref().map(vacant).unwrap_or_default() {
            let hired = self.incoming.as_ref().map(|it| (it.id, it.policy));
            let worker = hired.map(|(id, policy)| self.hire(index, id, &policy, now, actions));
            if let Some(incoming) = &mut self.incoming {
                incoming.slots[index].worker = worker;
            }
        }
    }

    fn start_successor(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some((index, _)) = self.next_replacement().filter(|(_, at)| *at <= now) else { return };
        let hired = self.current.as_ref().map(|it| (it.id, it.policy));
        let worker = hired.map(|(id, policy)| self.hire(index, id, &policy, now, actions));
        if let Some(current) = &mut self.current {
            current.slots[index].successor = worker;
        }
    }

    fn hire(
        &mut self,
        slot: usize,
        generation: GenerationId,
        policy: &Policy,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> WorkerId {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let jitter = self.jitter.up_to(policy.max_requests_jitter);
        let limits = Limits {
            max_requests: policy.max_requests.map(|most| most.saturating_add(jitter)),
            recycle_rss: policy.recycle_rss,
            kill_rss: policy.kill_rss,
        };
        let worker = Worker::starting(slot, generation, policy.patience, limits, now);
        self.workers.insert(id, worker);
        actions.push(Action::Spawn { worker: id, slot, generation });
        id
    }

    fn announce(&mut self, actions: &mut Vec<Action>) {
        if !self.announced && self.is_complete() {
            self.announced = true;
            actions.push(Action::LogReady);
        }
    }

    fn finish(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        self.phase = Phase::Finished;
        actions.push(Action::Finish(outcome));
    }
}
