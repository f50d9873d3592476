//! Room for instances in the pools of a wasmtime engine.
//!
//! Purpose: a pool that is full is no failure of anybody's request: idle instances give way,
//! and whoever needs a place waits for one, for a bounded time and in bounded number, as
//! in the admission queue. Owner: [`crate::Engine`], one for each of its wasmtime engines.
//! Invariant: every store holds a [`Place`] that outlives it, so that whoever is woken finds
//! its room free.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{sync::Notify, time::timeout};

use crate::{
    Fault,
    herd::{Herd, Herds},
};

#[derive(Default)]
pub(crate) struct Room {
    freed: Notify,
    herds: Herds,
}

/// An instance's place, free when dropped.
pub(crate) struct Place(Option<Arc<Room>>);

/// How a route's requests wait for room.
pub(crate) struct Patience {
    waiting: AtomicUsize,
    limit: usize,
    timeout: Duration,
}

impl Room {
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        Place(Some(Arc::clone(self)))
    }

    /// From now on idle instances of `pool` leave when there is no room.
    pub(crate) fn watch(&self, pool: Weak<dyn Herd>) {
        self.herds.add(pool);
    }

    /// Calls `attempt` until there is room for what it makes.
    ///
    /// # Errors
    /// When the wait was too long, too many wait already, or `attempt` fails otherwise.
    pub(crate) async fn wait<'a, T>(
        &self,
        patience: &Patience,
        mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let _waiting = patience.join()?;
        let attempts = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                // What becomes free from here on is not missed.
                freed.as_mut().enable();
                // One is enough for one.
                self.herds.retire_idlest();
                match attempt().await {
                    Err(Fault::NoCapacity(_)) => freed.await,
                    result => return result,
                }
            }
        };
        timeout(patience.timeout, attempts).await.unwrap_or(Err(Fault::NoRoom(patience.timeout)))
    }
}

impl Place {
    /// There was no room; nothing becomes free.
    pub(crate) fn was_none(mut self) {
        self.0 = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(room) = &self.0 {
            room.freed.notify_one();
        }
    }
}

impl Patience {
    pub(crate) fn new(limit: usize, timeout: Duration) -> Self {
        Self { waiting: AtomicUsize::new(0), limit, timeout }
    }

    /// How long each may wait.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn join(&self) -> Result<Waiting<'_>, Fault> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if ahead < self.limit { Ok(waiting) } else { Err(Fault::QueueFull) }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Instant};

    use super::*;

    /// Makes places of which there is a number.
    struct Pool {
        room: Arc<Room>,
        left: Arc<AtomicUsize>,
    }

    struct Made {
        left: Arc<AtomicUsize>,
        _place: Place,
    }

    impl Drop for Made {
        fn drop(&mut self) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Pool {
        fn of(places: usize) -> Self {
            Self { room: Arc::default(), left: Arc::new(places.into()) }
        }

        fn make(&self) -> Result<Made, Fault> {
            let place = self.room.place();
            if self.left.load(Ordering::Relaxed) == 0 {
                place.was_none();
                return Err(Fault::NoCapacity("full".to_owned()));
            }
            self.left.fetch_sub(1, Ordering::Relaxed);
            Ok(Made { left: Arc::clone(&self.left), _place: place })
        }

        async fn wait(&self, patience: &Patience) -> Result<Made, Fault> {
            self.room.wait(patience, || Box::pin(async { self.make() })).await
        }
    }

    /// Longer than any of these tests.
    const WAIT: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn whoever_waits_gets_the_place_that_becomes_free() {
        let (pool, patience) = (Pool::of(1), Patience::new(1, WAIT));
        let first = pool.make().expect("a place");
        let (second, third, ()) = tokio::join!(pool.wait(&patience), pool.wait(&patience), async {
            assert_eq!(patience.waiting(), 1);
            drop(first);
        });
        second.expect("the place of the first");
        assert_eq!(third.err(), Some(Fault::QueueFull));
        assert_eq!(patience.waiting(), 0);
    }

    #[tokio::test]
    async fn a_wait_has_an_end() {
        let short = Duration::from_millis(20);
        let (pool, patience) = (Pool::of(0), Patience::new(1, short));
        assert_eq!(pool.wait(&patience).await.err(), Some(Fault::NoRoom(short)));
        assert_eq!(patience.waiting(), 0);
    }

    #[tokio::test]
    async fn what_is_idle_gives_way() {
        struct Idle(Mutex<Vec<Made>>);
        impl Herd for Idle {
            fn idle_since(&self) -> Option<Instant> {
                Some(Instant::now())
            }

            fn retire_idlest(&self) -> bool {
                self.0.lock().expect("no panic").pop().is_some()
            }
        }
        let (pool, patience) = (Pool::of(2), Patience::new(1, WAIT));
        let idle = [pool.make(), pool.make()].map(|made| made.expect("a place"));
        let idle = Arc::new(Idle(Mutex::new(idle.into())));
        pool.room.watch(Arc::downgrade(&idle) as _);
        let _made = pool.wait(&patience).await.expect("a place");
        assert_eq!(idle.0.lock().expect("no panic").len(), 1, "one is enough");
    }
}
