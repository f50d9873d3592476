//! Instances that wait for work, and who of them goes when others need the room.
//!
//! Owner: each pool is a [`Herd`]; the [`Herds`] belong to whoever runs short of something,
//! [`crate::room::Room`] of places and [`crate::memory::Ledger`] of memory. Invariant: the one
//! that has waited longest goes first, whichever route it is of.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

/// The instances of one program that wait for work.
pub(crate) trait Herd: Send + Sync {
    /// Since when the one waits that has waited longest.
    fn idle_since(&self) -> Option<Instant>;

    /// Retires that one, even if it is kept ready. False if there is none any more.
    fn retire_idlest(&self) -> bool;
}

/// All that can make room for others.
#[derive(Default)]
pub(crate) struct Herds(Mutex<Vec<Weak<dyn Herd>>>);

impl Herds {
    pub(crate) fn add(&self, herd: Weak<dyn Herd>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(herd);
    }

    /// Retires the instance that has been idle for longest. False if none is idle.
    pub(crate) fn retire_idlest(&self) -> bool {
        let mut idle: Vec<_> = {
            let mut herds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            herds.retain(|herd| herd.strong_count() > 0);
            let herds = herds.iter().filter_map(Weak::upgrade);
            herds.filter_map(|herd| Some((herd.idle_since()?, herd))).collect()
        };
        idle.sort_by_key(|(since, _): &(Instant, Arc<dyn Herd>)| *since);
        idle.iter().any(|(_, herd)| herd.retire_idlest())
    }
}
