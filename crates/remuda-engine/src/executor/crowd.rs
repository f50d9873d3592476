//! How many guests of a route have begun and still want CPU.
//!
//! Purpose: when more requests burn than there are processors for, some are computed one after the
//! other while the rest wait for their beginning, rather than all share the processors and none ends in
//! time. Owner: the route's [`Site`](super::Site); a guest that burns holds a [`Young`], a request that
//! is about to begin passes [`Crowd::join`]. Invariants: only guests count that have used
//! less than [`SHORT`], so that long or endless ones keep nobody from beginning; whoever waits
//! begins in the order of arrival, or is told after a bounded time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, Notify},
    time::timeout_at,
};

/// What a guest may use for each of its requests and still be short.
const SHORT: Duration = Duration::from_millis(20);

/// Guests that burn for each blocking thread: one that runs, and enough that none is idle while the
/// event loop begins with others.
const EACH_THREAD: usize = 4;

/// The guests of a route that burn and have used little so far, and who waits for them.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// Requests of such guests.
    young: AtomicUsize,
    most: usize,
    fewer: Notify,
    /// Whoever has it is the next to begin.
    line: Mutex<()>,
    waiting: AtomicUsize,
}

/// There have been too many until the end of a request's patience.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Crowd {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            young: AtomicUsize::new(0),
            most: threads.saturating_mul(EACH_THREAD),
            fewer: Notify::new(),
            line: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Whether whoever comes now has to wait.
    pub(crate) fn is_closed(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.is_full()
    }

    /// Whether any burns that has used little so far.
    pub(crate) fn burns(&self) -> bool {
        self.young.load(Ordering::Relaxed) > 0
    }

    /// Whether others do than one of so many requests.
    pub(super) fn others_burn(&self, requests: usize) -> bool {
        self.young.load(Ordering::Relaxed) > requests.max(1)
    }

    /// Waits until another guest may begin.
    ///
    /// # Errors
    /// When that takes until `patience`.
    pub(crate) async fn join(&self, patience: Instant) -> Result<(), Crowded> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let turn = async {
            let _first = self.line.lock().await;
            loop {
                let mut fewer = std::pin::pin!(self.fewer.notified());
                // Who leaves from here on is not missed.
                fewer.as_mut().enable();
                if !self.is_full() {
                    return;
                }
                fewer.await;
            }
        };
        timeout_at(patience.into(), turn).await.map_err(|_| Crowded)
    }

    /// Requests that wait to begin.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.young.load(Ordering::SeqCst) >= self.most
    }
}

struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A guest that burns, among those of its route. It leaves them when it has used too much to be
/// short, or when this is dropped.
#[derive(Debug)]
pub(super) struct Young {
    crowd: Arc<Crowd>,
    counts: AtomicUsize,
    /// Most requests that it has had at a time.
    requests: AtomicUsize,
    /// Nanoseconds.
    used: AtomicU64,
}

impl Young {
    pub(super) fn new(crowd: Arc<Crowd>) -> Self {
        let (counts, requests) = <(AtomicUsize, AtomicUsize)>::default();
        Self { crowd, counts, requests, used: AtomicU64::new(0) }
    }

    /// It has burnt for so long once more, and would go on for as many requests. Called by
    /// whoever has let it run.
    pub(super) fn has_burnt(&self, time: Duration, requests: usize) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let used = self.used.fetch_add(nanoseconds, Ordering::Relaxed).saturating_add(nanoseconds);
        let most = self.requests.fetch_max(requests, Ordering::Relaxed).max(requests).max(1);
        let short = u32::try_from(most).map_or(Duration::MAX, |most| SHORT.saturating_mul(most));
        let is_short = Duration::from_nanos(used) < short;
        self.count(if is_short { requests.max(1) } else { 0 });
    }

    /// It burns no more.
    pub(super) fn leave(&self) {
        self.count(0);
    }

    /// CPU time so far.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed))
    }

    fn count(&self, requests: usize) {
        let before = self.counts.swap(requests, Ordering::Relaxed);
        let Self { crowd, .. } = self;
        if requests >= before {
            crowd.young.fetch_add(requests - before, Ordering::SeqCst);
        } else {
            crowd.young.fetch_sub(before - requests, Ordering::SeqCst);
            crowd.fewer.notify_waiters();
        }
    }
}

impl Drop for Young {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Longer than any of these tests.
    fn patience() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    fn crowd() -> Arc<Crowd> {
        Arc::new(Crowd::new(1))
    }

    fn young(crowd: &Arc<Crowd>) -> Young {
        let young = Young::new(Arc::clone(crowd));
        young.has_burnt(MS, 1);
        young
    }

    fn full(crowd: &Arc<Crowd>) -> Vec<Young> {
        (0..EACH_THREAD).map(|_| young(crowd)).collect()
    }

    #[tokio::test]
    async fn whoever_waits_begins_when_another_has_ended_first_come_first_served() {
        let crowd = crowd();
        assert!(!crowd.is_closed());
        let mut burning = full(&crowd);
        assert!(crowd.is_closed());
        let mut first = Box::pin(crowd.join(patience()));
        let mut second = Box::pin(crowd.join(patience()));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert_eq!(crowd.waiting(), 2);
        drop(burning.pop());
        assert!(crowd.is_closed(), "nobody overtakes");
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut first).is_ready());
        burning.push(young(&crowd));
        assert!(poll!(&mut second).is_pending());
        drop(burning);
        assert!(poll!(&mut second).is_ready());
        assert!(!crowd.is_closed());
    }

    #[tokio::test]
    async fn what_is_no_longer_short_keeps_nobody_waiting() {
        let crowd = crowd();
        let burning = full(&crowd);
        let mut waits = Box::pin(crowd.join(patience()));
        assert!(poll!(&mut waits).is_pending());
        burning[0].has_burnt(SHORT, 1);
        assert!(poll!(&mut waits).is_ready());
    }

    #[tokio::test]
    async fn a_guest_of_several_requests_counts_as_many_and_is_short_as_long() {
        let crowd = crowd();
        let shared = Young::new(Arc::clone(&crowd));
        shared.has_burnt(MS, EACH_THREAD);
        assert!(crowd.is_closed());
        shared.has_burnt(SHORT * 2, EACH_THREAD);
        assert!(crowd.is_closed());
        shared.has_burnt(MS, EACH_THREAD - 1);
        assert!(!crowd.is_closed(), "one has ended");
        let _other = young(&crowd);
        assert!(crowd.is_closed());
        shared.has_burnt(SHORT * 2, EACH_THREAD - 1);
        assert!(!crowd.is_closed());
    }

    #[tokio::test]
    async fn a_wait_has_an_end_and_whoever_leaves_keeps_nobody_waiting() {
        let crowd = crowd();
        let burning = full(&crowd);
        let mut leaves = Box::pin(crowd.join(patience()));
        assert!(poll!(&mut leaves).is_pending());
        assert_eq!(crowd.join(Instant::now() + MS).await, Err(Crowded));
        let mut next = Box::pin(crowd.join(patience()));
        assert!(poll!(&mut next).is_pending());
        drop(leaves);
        drop(burning);
        assert!(poll!(&mut next).is_ready());
        assert_eq!(crowd.waiting(), 0);
    }
}
