//! How many idle connections a worker keeps open.
//!
//! Purpose: `http.max_keep_alive`. A connection is idle while it has no request in flight;
//! it is kept when it has been promised a place among the idle ones, which it gives back
//! when its next request begins. HTTP/1 needs the promise when a response begins, for that
//! is when it says whether the connection closes; HTTP/2 when its last request ends. Owner:
//! the server, one [`Promise`] per connection. Invariants: never more promises than the
//! cap; without a cap, nothing is counted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// The places of a worker's idle connections.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    cap: Option<usize>,
    promised: AtomicUsize,
}

/// Whether one connection is kept when it is idle; given back when dropped.
#[derive(Debug)]
pub(super) struct Promise {
    places: Arc<KeepAlive>,
    made: AtomicBool,
}

impl KeepAlive {
    pub(crate) fn new(cap: Option<usize>) -> Self {
        Self { cap, promised: AtomicUsize::new(0) }
    }

    fn take(&self, cap: usize) -> bool {
        let take = |promised| (promised < cap).then_some(promised + 1);
        self.promised.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

impl Promise {
    /// For a new connection, which is idle.
    pub(super) fn new(places: Arc<KeepAlive>) -> Self {
        let promise = Self { places, made: AtomicBool::new(false) };
        promise.make();
        promise
    }

    /// Whether there is a place for the connection, if it has none already.
    pub(super) fn make(&self) -> bool {
        let Some(cap) = self.places.cap else { return true };
        if !self.made.load(Ordering::Relaxed) && self.places.take(cap) {
            self.made.store(true, Ordering::Relaxed);
        }
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn is_made(&self) -> bool {
        self.places.cap.is_none() || self.made.load(Ordering::Relaxed)
    }

    /// The connection is idle no more.
    pub(super) fn give_back(&self) {
        if self.made.swap(false, Ordering::Relaxed) {
            self.places.promised.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_are_kept_than_the_cap() {
        let places = Arc::new(KeepAlive::new(Some(2)));
        let promise = || Promise::new(Arc::clone(&places));
        let (first, second, third) = (promise(), promise(), promise());
        assert!(first.is_made() && second.is_made() && !third.is_made());
        assert!(first.make(), "it has a place already");
        first.give_back();
        first.give_back();
        assert!(third.make());
        assert!(!first.make());
        drop(second);
        assert!(first.make());
        assert_eq!(places.promised.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn without_a_cap_all_are_kept() {
        let places = Arc::new(KeepAlive::new(None));
        let promises: Vec<_> = (0..9).map(|_| Promise::new(Arc::clone(&places))).collect();
        assert!(promises.iter().all(Promise::is_made));
        assert_eq!(places.promised.load(Ordering::Relaxed), 0);
    }
}
