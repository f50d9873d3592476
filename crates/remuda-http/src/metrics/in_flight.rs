//! The requests in flight, for whoever asks what a worker is at.
//!
//! Invariant: an [`Entry`] lives exactly as long as the [`Permit`](crate::Permit) that has
//! it. The table can be read by another thread while the event loop is stuck: the loop
//! holds the lock for some nanoseconds at a time, and whoever else wants it gives up
//! after a while.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};

use slab::Slab;

/// How often another thread tries to read, and how long it rests between.
const TRIES: usize = 20;
const REST: Duration = Duration::from_millis(1);

/// A request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestInFlight {
    /// Its name in logs.
    pub id: u64,
    /// Index into the configured routes.
    pub route: usize,
    /// When its head had been read.
    pub started: Instant,
}

/// All requests in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlightTable {
    entries: Mutex<Slab<RequestInFlight>>,
}

/// A request's line in the table, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    table: Arc<InFlightTable>,
    key: usize,
}

impl InFlightTable {
    pub(crate) fn insert(self: &Arc<Self>, request: RequestInFlight) -> Entry {
        let key = self.lock().insert(request);
        Entry { table: Arc::clone(self), key }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How many there are, and the `limit` oldest of them, oldest first. `None` when whoever
    /// holds the lock does not let go of it.
    pub(crate) fn oldest(&self, limit: usize) -> Option<(usize, Vec<RequestInFlight>)> {
        let mut all: Vec<RequestInFlight> =
            self.try_lock()?.iter().map(|(_, request)| *request).collect();
        let count = all.len();
        all.sort_by_key(|request| request.started);
        all.truncate(limit);
        Some((count, all))
    }

    fn lock(&self) -> MutexGuard<'_, Slab<RequestInFlight>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Slab<RequestInFlight>>> {
        for _ in 0..TRIES {
            match self.entries.try_lock() {
                Ok(entries) => return Some(entries),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => thread::sleep(REST),
            }
        }
        None
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lock().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_come_first_and_those_that_have_ended_do_not_come() {
        let (table, now) = (Arc::new(InFlightTable::default()), Instant::now());
        let insert = |id, age| {
            let started = now - Duration::from_secs(age);
            table.insert(RequestInFlight { id, route: 0, started })
        };
        let (_young, old, _older) = (insert(1, 1), insert(2, 5), insert(3, 9));
        let ids = |limit| {
            let (count, oldest) = table.oldest(limit).expect("nobody holds the lock");
            (count, oldest.iter().map(|request| request.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(2), (3, vec![3, 2]));
        drop(old);
        assert_eq!(ids(2), (2, vec![3, 1]));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_lock_that_is_never_released_is_not_waited_for() {
        let table = InFlightTable::default();
        let _held = table.lock();
        assert!(table.oldest(1).is_none());
    }
}
