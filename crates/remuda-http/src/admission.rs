//! How many requests are in flight, and who waits.
//!
//! Purpose: a worker and each of its routes take a bounded number of requests; a bounded
//! number waits, first come first served, for a bounded time; everybody else is told at
//! once. Invariant: a [`Permit`] is a place of the worker and a place of the route, and
//! both are free when it is dropped.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use remuda_config::Config;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    Rejection,
    metrics::{Entry, Histogram, InFlightTable, RequestInFlight},
};

/// The places of one worker.
#[derive(Debug)]
pub struct Admission {
    worker: Arc<Semaphore>,
    routes: Vec<Arc<Semaphore>>,
    capacity: usize,
    table: Arc<InFlightTable>,
    waiting: AtomicUsize,
    queue: usize,
    queue_timeout: Duration,
    admitted_at_once: AtomicU64,
    waits: Mutex<Histogram>,
}

/// A place among the requests in flight, free when dropped.
#[derive(Debug)]
pub struct Permit {
    _entry: Entry,
    _worker: OwnedSemaphorePermit,
    _route: OwnedSemaphorePermit,
}

impl Admission {
    /// Places as the configuration has them.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let routes = config.routes.iter().map(|route| route.limits.concurrency);
        Self::with_places(
            config.limits.concurrency,
            routes,
            config.limits.queue,
            config.limits.queue_timeout,
        )
    }

    fn with_places(
        capacity: usize,
        routes: impl Iterator<Item = usize>,
        queue: usize,
        queue_timeout: Duration,
    ) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            worker: places(capacity),
            routes: routes.map(places).collect(),
            capacity,
            table: Arc::default(),
            waiting: AtomicUsize::new(0),
            queue,
            queue_timeout,
            admitted_at_once: AtomicU64::new(0),
            waits: Mutex::default(),
        }
    }

    /// A place for `request`, now or after a bounded wait.
    ///
    /// # Errors
    /// When the queue is full, or the wait was too long.
    pub async fn admit(&self, request: RequestInFlight) -> Result<Permit, Rejection> {
        if let Some((route, worker)) = self.try_admit(request.route) {
            self.admitted_at_once.fetch_add(1, Ordering::Relaxed);
            let entry = self.table.insert(request);
            return Ok(Permit { _entry: entry, _worker: worker, _route: route });
        }
        let _waiting = self.join_queue()?;
        let since = Instant::now();
        let permit = self.wait(request).await;
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).observe(since.elapsed());
        permit
    }

    async fn wait(&self, request: RequestInFlight) -> Result<Permit, Rejection> {
        // The route's place first: whoever waits for a full route holds no place of the
        // worker, which other routes can use.
        let permit = async {
            let route = Arc::clone(&self.routes[request.route]).acquire_owned().await;
            let worker = Arc::clone(&self.worker).acquire_owned().await;
            match (worker, route) {
                (Ok(worker), Ok(route)) => {
                    Permit { _entry: self.table.insert(request), _worker: worker, _route: route }
                }
                _ => unreachable!("these semaphores are never closed"),
            }
        };
        timeout(self.queue_timeout, permit).await.map_err(|_| Rejection::QueueTimeout)
    }

    /// A place of the route and one of the worker.
    fn try_admit(&self, route: usize) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let route = Arc::clone(&self.routes[route]).try_acquire_owned().ok()?;
        let worker = Arc::clone(&self.worker).try_acquire_owned().ok()?;
        Some((route, worker))
    }

    /// The requests that have a place.
    pub(crate) fn table(&self) -> &InFlightTable {
        &self.table
    }

    /// Requests that may have a place at the same time.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Requests that wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long requests have waited.
    pub(crate) fn queue_times(&self) -> Histogram {
        let mut times = self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.observe_at_once(self.admitted_at_once.load(Ordering::Relaxed));
        times
    }

    fn join_queue(&self) -> Result<Waiting<'_>, Rejection> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if ahead < self.queue { Ok(waiting) } else { Err(Rejection::QueueFull) }
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(worker: usize, routes: &[usize], queue: usize) -> Admission {
        Admission::with_places(worker, routes.iter().copied(), queue, Duration::from_secs(1))
    }

    fn to(route: usize) -> RequestInFlight {
        RequestInFlight { id: 1, route, started: Instant::now() }
    }

    #[tokio::test]
    async fn without_a_queue_one_too_many_is_told_at_once() {
        let admission = admission(1, &[10], 0);
        let first = admission.admit(to(0)).await.expect("a place");
        assert_eq!(admission.admit(to(0)).await.expect_err("full"), Rejection::QueueFull);
        assert_eq!(admission.table().len(), 1);
        drop(first);
        assert_eq!(admission.table().len(), 0);
        admission.admit(to(0)).await.expect("a place again");
        assert_eq!(admission.queue_times().counts()[0], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_not_in_flight_and_its_wait_is_counted() {
        let admission = admission(1, &[10], 1);
        let first = admission.admit(to(0)).await.expect("a place");
        let (second, ()) = tokio::join!(admission.admit(to(0)), async {
            tokio::task::yield_now().await;
            assert_eq!((admission.table().len(), admission.waiting()), (1, 1));
            drop(first);
        });
        let _second = second.expect("the place of the first");
        assert_eq!((admission.table().len(), admission.waiting()), (1, 0));
        assert_eq!(admission.queue_times().counts().iter().sum::<u64>(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_in_the_queue_has_an_end() {
        let admission = admission(1, &[10], 1);
        let _first = admission.admit(to(0)).await.expect("a place");
        assert_eq!(admission.admit(to(0)).await.expect_err("waited"), Rejection::QueueTimeout);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_the_place_that_becomes_free() {
        let admission = admission(1, &[10], 1);
        let first = admission.admit(to(0)).await.expect("a place");
        let (second, ()) = tokio::join!(admission.admit(to(0)), async {
            tokio::task::yield_now().await;
            assert_eq!(admission.admit(to(0)).await.expect_err("full"), Rejection::QueueFull);
            drop(first);
        });
        second.expect("the place of the first");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_route_leaves_the_other_its_places() {
        let admission = admission(2, &[1, 2], 10);
        let _first = admission.admit(to(0)).await.expect("a place");
        let (second, third) = tokio::join!(admission.admit(to(0)), admission.admit(to(1)));
        assert_eq!(second.expect_err("the route is full"), Rejection::QueueTimeout);
        third.expect("the other route is not");
    }
}
