//! How many requests are in flight, and who waits.
//!
//! Purpose: a worker and each of its routes take a bounded number of requests; a bounded
//! number waits, first come first served, for a bounded time; everybody else is told at
//! once. Invariant: a [`Permit`] is a place of the worker and a place of the route, and
//! both are free when it is dropped, and the pieces of a response that [share](Permit::share) it.

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
    routes: Vec<RoutePlaces>,
    capacity: usize,
    table: Arc<InFlightTable>,
    waiting: Waiting,
    admitted_at_once: AtomicU64,
    waits: Mutex<Histogram>,
}

/// The places of one route, and its part of the queue.
#[derive(Debug)]
struct RoutePlaces {
    places: Arc<Semaphore>,
    waiting: Waiting,
    queue_timeout: Duration,
}

/// How many wait, and how many may.
#[derive(Debug)]
struct Waiting {
    count: AtomicUsize,
    limit: usize,
}

/// A place among the requests in flight, free when dropped.
#[derive(Debug)]
pub struct Permit {
    _alone: Option<Place>,
    _shared: Option<Arc<Place>>,
}

/// What a permit is for, until the last who holds it has dropped it.
#[derive(Debug)]
pub(crate) struct Place {
    _entry: Entry,
    _worker: OwnedSemaphorePermit,
    _route: OwnedSemaphorePermit,
}

impl Admission {
    /// Places as the configuration has them.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let routes = config.routes.iter().map(|route| {
            let limits = &route.limits;
            RoutePlaces::new(limits.concurrency, limits.queue, limits.queue_timeout)
        });
        Self::with_places(config.limits.concurrency, config.limits.queue, routes.collect())
    }

    fn with_places(capacity: usize, queue: usize, routes: Vec<RoutePlaces>) -> Self {
        Self {
            worker: places(capacity),
            routes,
            capacity,
            table: Arc::default(),
            waiting: Waiting::at_most(queue),
            admitted_at_once: AtomicU64::new(0),
            waits: Mutex::default(),
        }
    }

    /// A place for `request`, now or after a wait that is bounded by the route's
    /// `queue_timeout` and by `deadline`.
    ///
    /// # Errors
    /// When the queue is full, or the wait was too long.
    pub async fn admit(
        &self,
        request: RequestInFlight,
        deadline: Instant,
    ) -> Result<Permit, Rejection> {
        let route = &self.routes[request.route];
        if let Some((route, worker)) = self.try_admit(route) {
            self.admitted_at_once.fetch_add(1, Ordering::Relaxed);
            return Ok(self.permit(request, worker, route));
        }
        let _in_queues = (self.waiting.join()?, route.waiting.join()?);
        let since = Instant::now();
        let patience = route.queue_timeout.min(deadline.saturating_duration_since(since));
        let permit = timeout(patience, self.wait(request, route)).await;
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).observe(since.elapsed());
        permit.map_err(|_| Rejection::QueueTimeout)
    }

    /// First come, first served, among those of a route and among those who have its place.
    async fn wait(&self, request: RequestInFlight, route: &RoutePlaces) -> Permit {
        // The route's place first: whoever waits for a full route holds no place of the
        // worker, which other routes can use.
        let route = Arc::clone(&route.places).acquire_owned().await;
        let worker = Arc::clone(&self.worker).acquire_owned().await;
        let (Ok(worker), Ok(route)) = (worker, route) else {
            unreachable!("these semaphores are never closed");
        };
        self.permit(request, worker, route)
    }

    fn permit(
        &self,
        request: RequestInFlight,
        worker: OwnedSemaphorePermit,
        route: OwnedSemaphorePermit,
    ) -> Permit {
        let entry = self.table.insert(request);
        let place = Place { _entry: entry, _worker: worker, _route: route };
        Permit { _alone: Some(place), _shared: None }
    }

    /// A place of the route and one of the worker.
    fn try_admit(
        &self,
        route: &RoutePlaces,
    ) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let route = Arc::clone(&route.places).try_acquire_owned().ok()?;
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
        self.waiting.count.load(Ordering::Relaxed)
    }

    /// How long requests have waited.
    pub(crate) fn queue_times(&self) -> Histogram {
        let mut times = self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.observe_at_once(self.admitted_at_once.load(Ordering::Relaxed));
        times
    }
}

impl Permit {
    /// Has the place held by somebody else too.
    pub(crate) fn share(self) -> (Self, Option<Arc<Place>>) {
        let place = self._shared.or_else(|| self._alone.map(Arc::new));
        (Self { _alone: None, _shared: place.clone() }, place)
    }
}

fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

impl RoutePlaces {
    fn new(concurrency: usize, queue: usize, queue_timeout: Duration) -> Self {
        Self { places: places(concurrency), waiting: Waiting::at_most(queue), queue_timeout }
    }
}

impl Waiting {
    fn at_most(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit }
    }

    fn join(&self) -> Result<InQueue<'_>, Rejection> {
        let ahead = self.count.fetch_add(1, Ordering::Relaxed);
        let in_queue = InQueue(&self.count);
        if ahead < self.limit { Ok(in_queue) } else { Err(Rejection::QueueFull) }
    }
}

/// A place in the queue.
struct InQueue<'a>(&'a AtomicUsize);

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn admission(worker: usize, routes: &[usize], queue: usize) -> Admission {
        let routes = routes.iter().map(|places| RoutePlaces::new(*places, queue, WAIT));
        Admission::with_places(worker, queue, routes.collect())
    }

    /// One that is far away.
    fn deadline() -> Instant {
        Instant::now() + 1000 * WAIT
    }

    fn to(route: usize) -> RequestInFlight {
        RequestInFlight { id: 1, route, started: Instant::now() }
    }

    #[tokio::test]
    async fn without_a_queue_one_too_many_is_told_at_once() {
        let admission = admission(1, &[10], 0);
        let first = admission.admit(to(0), deadline()).await.expect("a place");
        assert_eq!(
            admission.admit(to(0), deadline()).await.expect_err("full"),
            Rejection::QueueFull
        );
        assert_eq!(admission.table().len(), 1);
        drop(first);
        assert_eq!(admission.table().len(), 0);
        admission.admit(to(0), deadline()).await.expect("a place again");
        assert_eq!(admission.queue_times().counts()[0], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_not_in_flight_and_its_wait_is_counted() {
        let admission = admission(1, &[10], 1);
        let first = admission.admit(to(0), deadline()).await.expect("a place");
        let (second, ()) = tokio::join!(admission.admit(to(0), deadline()), async {
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
        let _first = admission.admit(to(0), deadline()).await.expect("a place");
        assert_eq!(
            admission.admit(to(0), deadline()).await.expect_err("waited"),
            Rejection::QueueTimeout
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_the_place_that_becomes_free() {
        let admission = admission(1, &[10], 1);
        let first = admission.admit(to(0), deadline()).await.expect("a place");
        let (second, ()) = tokio::join!(admission.admit(to(0), deadline()), async {
            tokio::task::yield_now().await;
            assert_eq!(
                admission.admit(to(0), deadline()).await.expect_err("full"),
                Rejection::QueueFull
            );
            drop(first);
        });
        second.expect("the place of the first");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_route_leaves_the_other_its_places() {
        let admission = admission(2, &[1, 2], 10);
        let _first = admission.admit(to(0), deadline()).await.expect("a place");
        let (second, third) =
            tokio::join!(admission.admit(to(0), deadline()), admission.admit(to(1), deadline()));
        assert_eq!(second.expect_err("the route is full"), Rejection::QueueTimeout);
        third.expect("the other route is not");
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_of_a_route_leaves_room_for_the_others() {
        let places = || RoutePlaces::new(1, 1, WAIT);
        let admission = Admission::with_places(4, 2, vec![places(), places()]);
        let held = [
            admission.admit(to(0), deadline()).await.expect("a place"),
            admission.admit(to(1), deadline()).await.expect("a place"),
        ];
        let (waiting, refused, other, ()) = tokio::join!(
            admission.admit(to(0), deadline()),
            admission.admit(to(0), deadline()),
            admission.admit(to(1), deadline()),
            async { drop(held) },
        );
        waiting.expect("the place that became free");
        assert_eq!(refused.expect_err("its queue is full"), Rejection::QueueFull);
        other.expect("a place in the queue of the other route, and then in it");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_beyond_its_deadline() {
        let admission = admission(1, &[10], 1);
        let _first = admission.admit(to(0), deadline()).await.expect("a place");
        let since = tokio::time::Instant::now();
        let soon = Instant::now() + WAIT / 10;
        assert_eq!(admission.admit(to(0), soon).await.expect_err("late"), Rejection::QueueTimeout);
        assert!(since.elapsed() < WAIT / 2, "it waited for {:?}", since.elapsed());
    }
}
