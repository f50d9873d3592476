//! Replacing workers that are well: after so many requests, so long, so much memory.
//!
//! Invariant: one at a time, and only while no reload replaces them all; the worker serves
//! until its successor does.

use remuda_control::Queue;
use rustix::process::Pid;

use super::{Action, Fleet, Instant, Slot, Why, WorkerId, later};
use crate::backoff::EARLY;

impl Fleet {
    /// Has the worker of a slot replaced when its turn comes.
    pub(super) fn wish(&mut self, slot: usize, why: Why) {
        let Some(current) = &mut self.current else { return };
        if let Some(slot) = current.slots.get_mut(slot) {
            slot.wish.get_or_insert(why);
        }
    }

    /// Has the worker of a slot replaced as soon as no other one is.
    pub(super) fn restart(&mut self, slot: usize, now: Instant) {
        let Some(current) = &mut self.current else { return };
        if let Some(slot) = current.slots.get_mut(slot) {
            slot.wish = Some(Why::Restart);
            slot.next_attempt = now;
        }
    }

    /// The slot in which a worker serves, of the current generation.
    fn slot_of(&self, id: WorkerId) -> Option<usize> {
        let slots = &self.current.as_ref()?.slots;
        slots.iter().position(|slot| slot.worker == Some(id))
    }

    pub(super) fn count_requests(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.limits.max_requests.is_some_and(|most| worker.heartbeat.served >= most)
            && let Some(slot) = self.slot_of(id)
        {
            self.wish(slot, Why::MaxRequests);
        }
    }

    pub(super) fn measured(&mut self, id: WorkerId, rss: u64, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.rss = rss;
        let (pid, limits) = (worker.pid, worker.limits);
        if rss >= limits.kill_rss {
            let reason = format!("{rss} bytes resident, workers.kill_rss is {}", limits.kill_rss);
            return self.kill(id, Why::Rss, reason, actions);
        }
        let Some(slot) = self.slot_of(id).filter(|_| rss >= limits.recycle_rss) else { return };
        let already = self.current.as_ref().is_some_and(|it| it.slots[slot].wish.is_some());
        if !already {
            let pid = pid.map(Pid::as_raw_pid);
            let limit = limits.recycle_rss;
            tracing::warn!(slot, pid, rss, limit, "worker uses much memory, replacing it");
            self.wish(slot, Why::Rss);
        }
    }

    /// Notes which workers have lived long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some(current) = &mut self.current else { return };
        let Some(lifetime) = current.policy.max_lifetime else { return };
        for slot in current.slots.iter_mut().filter(|slot| slot.wish.is_none()) {
            let worker = slot.worker.and_then(|id| self.workers.get(&id));
            if worker.is_some_and(|worker| later(worker.started(), lifetime) <= now) {
                slot.wish = Some(Why::MaxLifetime);
            }
        }
    }

    /// When the next worker has lived long enough.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let current = self.current.as_ref().filter(|_| self.is_staying())?;
        let lifetime = current.policy.max_lifetime?;
        let slots = current.slots.iter().filter(|slot| slot.wish.is_none());
        let workers = slots.filter_map(|slot| self.workers.get(&slot.worker?));
        workers.map(|worker| later(worker.started(), lifetime)).min()
    }

    /// The slot whose worker is to be replaced next, and when.
    pub(super) fn next_replacement(&self) -> Option<(usize, Instant)> {
        let current = self.current.as_ref().filter(|_| self.is_staying())?;
        let busy = self.incoming.is_some() || current.slots.iter().any(|it| it.successor.is_some());
        let wishes =
            |slot: &Slot| slot.wish.is_some() && slot.worker.is_some_and(|id| self.is_ready(id));
        let slots = current.slots.iter().enumerate().filter(|(_, slot)| !busy && wishes(slot));
        slots.map(|(index, slot)| (index, slot.next_attempt)).min_by_key(|(_, at)| *at)
    }

    /// A successor is ready: it serves, and whom it replaces may go.
    pub(super) fn succeed(&mut self, index: usize, now: Instant, actions: &mut Vec<Action>) {
        let Some(current) = &mut self.current else { return };
        let slot = &mut current.slots[index];
        let why = slot.wish.take().unwrap_or(Why::Restart);
        let old = slot.worker;
        slot.worker = slot.successor.take();
        *self.restarts.entry(why.name()).or_default() += 1;
        let Some((id, old)) = old.and_then(|id| Some((id, self.workers.get(&id)?))) else { return };
        // A limit that is reached at once must not make the fleet busy with nothing else.
        let is_early = old.age(now) < EARLY && why != Why::Restart;
        let pause = slot.backoff.after_death(is_early, &mut self.jitter);
        slot.next_attempt = later(now, pause);
        let pid = old.pid.map(Pid::as_raw_pid);
        let served = old.heartbeat.served;
        tracing::info!(slot = index, pid, reason = why.name(), served, "worker replaced");
        self.retire(id, Queue::Leave, now, actions);
    }
}
