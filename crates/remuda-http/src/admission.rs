//! How many requests are in flight, and who waits.
//!
//! Purpose: a worker and each of its routes take a bounded number of requests; a bounded
//! number waits, first come first served, for a bounded time; everybody else is told at
//! once. Invariant: a [`Permit`] is a place of the worker and a place of the route, and
//! both are free when it is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use remuda_config::Config;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::Rejection;

/// The places of one worker.
#[derive(Debug)]
pub struct Admission {
    worker: Arc<Semaphore>,
    routes: Vec<Arc<Semaphore>>,
    waiting: AtomicUsize,
    queue: usize,
    queue_timeout: Duration,
}

/// A place among the requests in flight, free when dropped.
#[derive(Debug)]
pub struct Permit {
    _worker: OwnedSemaphorePermit,
    _route: OwnedSemaphorePermit,
}

impl Admission {
    /// Places as the configuration has them.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            worker: places(config.limits.concurrency),
            routes: config.routes.iter().map(|route| places(route.limits.concurrency)).collect(),
            waiting: AtomicUsize::new(0),
            queue: config.limits.queue,
            queue_timeout: config.limits.queue_timeout,
        }
    }

    /// A place for a request to `route`, now or after a bounded wait.
    ///
    /// # Errors
    /// When the queue is full, or the wait was too long.
    pub async fn admit(&self, route: usize) -> Result<Permit, Rejection> {
        if let Some(permit) = self.try_admit(route) {
            return Ok(permit);
        }
        let _waiting = self.join_queue()?;
        // The route's place first: whoever waits for a full route holds no place of the
        // worker, which other routes can use.
        let permit = async {
            let route = Arc::clone(&self.routes[route]).acquire_owned().await;
            let worker = Arc::clone(&self.worker).acquire_owned().await;
            match (worker, route) {
                (Ok(worker), Ok(route)) => Permit { _worker: worker, _route: route },
                _ => unreachable!("these semaphores are never closed"),
            }
        };
        timeout(self.queue_timeout, permit).await.map_err(|_| Rejection::QueueTimeout)
    }

    fn try_admit(&self, route: usize) -> Option<Permit> {
        let route = Arc::clone(&self.routes[route]).try_acquire_owned().ok()?;
        let worker = Arc::clone(&self.worker).try_acquire_owned().ok()?;
        Some(Permit { _worker: worker, _route: route })
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
        let places = |count: usize| Arc::new(Semaphore::new(count));
        Admission {
            worker: places(worker),
            routes: routes.iter().copied().map(places).collect(),
            waiting: AtomicUsize::new(0),
            queue,
            queue_timeout: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn without_a_queue_one_too_many_is_told_at_once() {
        let admission = admission(1, &[10], 0);
        let first = admission.admit(0).await.expect("a place");
        assert_eq!(admission.admit(0).await.expect_err("full"), Rejection::QueueFull);
        drop(first);
        admission.admit(0).await.expect("a place again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_in_the_queue_has_an_end() {
        let admission = admission(1, &[10], 1);
        let _first = admission.admit(0).await.expect("a place");
        assert_eq!(admission.admit(0).await.expect_err("waited"), Rejection::QueueTimeout);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_the_place_that_becomes_free() {
        let admission = admission(1, &[10], 1);
        let first = admission.admit(0).await.expect("a place");
        let (second, ()) = tokio::join!(admission.admit(0), async {
            tokio::task::yield_now().await;
            assert_eq!(admission.admit(0).await.expect_err("full"), Rejection::QueueFull);
            drop(first);
        });
        second.expect("the place of the first");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_route_leaves_the_other_its_places() {
        let admission = admission(2, &[1, 2], 10);
        let _first = admission.admit(0).await.expect("a place");
        let (second, third) = tokio::join!(admission.admit(0), admission.admit(1));
        assert_eq!(second.expect_err("the route is full"), Rejection::QueueTimeout);
        third.expect("the other route is not");
    }
}
