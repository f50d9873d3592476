//! The workers of one configuration, by their places.
//!
//! Pure. Owner: the [fleet](super). Invariant: a worker is in at most one place of one
//! generation; one in no place is on its way out.

use std::time::Instant;

use super::Policy;
use crate::{
    backoff::Backoff,
    lifecycle::{GenerationId, Why, WorkerId},
};

#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) id: GenerationId,
    pub(crate) policy: Policy,
    pub(crate) slots: Vec<Slot>,
}

/// A place in the fleet.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The worker that serves here or is about to.
    pub(crate) worker: Option<WorkerId>,
    /// The one that starts to take its place.
    pub(crate) successor: Option<WorkerId>,
    /// Why the worker is to be replaced, if it is.
    pub(crate) wish: Option<Why>,
    /// When to start the next one, if there is none or it is to be replaced.
    pub(crate) next_attempt: Instant,
    pub(crate) backoff: Backoff,
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Worker(usize),
    Successor(usize),
}

impl Slot {
    pub(crate) fn vacant(now: Instant) -> Self {
        Self {
            worker: None,
            successor: None,
            wish: None,
            next_attempt: now,
            backoff: Backoff::default(),
        }
    }

    fn place_of(&self, index: usize, id: WorkerId) -> Option<Place> {
        match id {
            _ if self.worker == Some(id) => Some(Place::Worker(index)),
            _ if self.successor == Some(id) => Some(Place::Successor(index)),
            _ => None,
        }
    }
}

impl Generation {
    /// A generation whose workers have not been started.
    pub(crate) fn new(id: GenerationId, policy: Policy, now: Instant) -> Self {
        let slots = std::iter::repeat_with(|| Slot::vacant(now)).take(policy.workers).collect();
        Self { id, policy, slots }
    }

    pub(crate) fn place_of(&self, id: WorkerId) -> Option<Place> {
        self.slots.iter().enumerate().find_map(|(index, slot)| slot.place_of(index, id))
    }

    /// Takes away the slots from `count` on, or adds vacant ones; whoever was in them.
    pub(crate) fn resize(&mut self, count: usize, now: Instant) -> Vec<WorkerId> {
        let removed = self.slots.split_off(count.min(self.slots.len()));
        self.slots.resize_with(count, || Slot::vacant(now));
        removed.iter().flat_map(|slot| slot.worker.into_iter().chain(slot.successor)).collect()
    }

    /// Everybody in it.
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerId> {
        self.slots.iter().flat_map(|slot| slot.worker.into_iter().chain(slot.successor))
    }
}
