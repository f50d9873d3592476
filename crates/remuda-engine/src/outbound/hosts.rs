//! How many requests may be in flight to one upstream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unused entries are removed once there are this many.
const SWEEP_ABOVE: usize = 1024;

/// Keeps a slow upstream from taking every place of the worker.
pub(super) struct Hosts {
    per_host: usize,
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Hosts {
    pub(super) fn new(per_host: usize) -> Self {
        Self { per_host, places: Mutex::new(HashMap::new()) }
    }

    /// Waits for a place; it is free again when the permit is dropped.
    pub(super) async fn enter(&self, authority: &str) -> OwnedSemaphorePermit {
        let places = self.places_of(authority);
        match places.acquire_owned().await {
            Ok(permit) => permit,
            Err(_) => unreachable!("the semaphores of this map are never closed"),
        }
    }

    fn places_of(&self, authority: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = places.get(authority) {
            return Arc::clone(found);
        }
        if places.len() >= SWEEP_ABOVE {
            places.retain(|_, semaphore| semaphore.available_permits() < self.per_host);
        }
        let semaphore = Arc::new(Semaphore::new(self.per_host));
        places.insert(authority.to_owned(), Arc::clone(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_host_cannot_take_the_places_of_another() {
        let hosts = Hosts::new(1);
        let first = hosts.enter("a:80").await;
        assert!(hosts.enter("a:80").now_or_never().is_none());
        assert!(hosts.enter("b:80").now_or_never().is_some());
        drop(first);
        assert!(hosts.enter("a:80").now_or_never().is_some());
    }
}
