//! What guests of a shared instance do after their responses.
//!
//! Purpose: work after a response counts as in flight and has an end, although wasmtime
//! tells only whether any task is left in a store, not whose. So the last request that
//! leaves an instance hands over its place, which is free when nothing is left to do, or
//! after `after_response_timeout`, when the instance ends. Owner: the instance's state.
//! Invariant: while other requests are in flight, their places stand for all of it; an
//! instance that has not rested for long takes no more of them, so that its end comes.

use std::{
    any::Any,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

#[derive(Default)]
pub(super) struct Afterwork {
    /// A guest task is left, with or without a request.
    working: AtomicBool,
    /// Seconds since the instance last rested, roughly.
    sweeps: AtomicU32,
    held: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Afterwork {
    /// Some guest has something to do.
    pub(super) fn works(&self) {
        self.working.store(true, Ordering::Relaxed);
    }

    /// No guest has anything to do.
    pub(super) fn rests(&self) {
        if self.working.swap(false, Ordering::Relaxed) {
            self.sweeps.store(0, Ordering::Relaxed);
            self.let_go();
        }
    }

    pub(super) fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed)
    }

    /// Keeps what the last request held if there is still work, or else gives it back.
    pub(super) fn hold<H: Send + 'static>(&self, held: H) -> Option<H> {
        if !self.is_working() {
            return Some(held);
        }
        let before = self.lock().replace(Box::new(held));
        drop(before);
        None
    }

    pub(super) fn let_go(&self) {
        let held = self.lock().take();
        drop(held);
    }

    /// Called once a second: whether it has gone on for longer than `limit`, perhaps behind
    /// requests that came and went.
    pub(super) fn may_hide(&self, limit: Duration) -> bool {
        self.is_working()
            && u64::from(self.sweeps.fetch_add(1, Ordering::Relaxed)) > limit.as_secs()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Box<dyn Any + Send>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_place_is_held_until_the_guest_rests() {
        let (afterwork, place) = (Afterwork::default(), Arc::new(()));
        assert!(afterwork.hold(Arc::clone(&place)).is_some());
        assert_eq!(Arc::strong_count(&place), 1);
        afterwork.works();
        assert!(afterwork.hold(Arc::clone(&place)).is_none());
        assert_eq!(Arc::strong_count(&place), 2);
        afterwork.rests();
        assert_eq!(Arc::strong_count(&place), 1);
    }

    #[test]
    fn what_never_rests_is_found() {
        let (afterwork, limit) = (Afterwork::default(), Duration::from_secs(2));
        assert!((0..10).all(|_| !afterwork.may_hide(limit)));
        afterwork.works();
        assert_eq!([(); 4].map(|()| afterwork.may_hide(limit)), [false, false, false, true]);
        afterwork.rests();
        assert!(!afterwork.may_hide(limit));
    }
}
