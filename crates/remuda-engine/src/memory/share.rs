//! What the guests of one route may hold.
//!
//! Purpose: of several routes, none takes all memory, as none takes all places. Owner: the
//! template of a route. Invariant: whatever a share has taken, it has taken from the ledger, and
//! for one route's want of its own share nobody else's instances leave.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU64, Ordering},
};

use super::Ledger;
use crate::herd::Herd;

/// A route's part of the ledger.
pub(crate) struct Share {
    ledger: Arc<Ledger>,
    most: u64,
    used: AtomicU64,
    pool: OnceLock<Weak<dyn Herd>>,
}

impl Share {
    /// A share of at most so many bytes.
    pub(crate) fn new(ledger: Arc<Ledger>, most: u64) -> Self {
        Self { ledger, most, used: AtomicU64::new(0), pool: OnceLock::new() }
    }

    /// From now on idle instances of `pool` leave when memory is short.
    pub(crate) fn watch(&self, pool: Weak<dyn Herd>) {
        self.ledger.watch(Weak::clone(&pool));
        let _ = self.pool.set(pool);
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Whether nearly all is taken, of this share or of all.
    pub(super) fn is_short(&self) -> bool {
        super::ledger::is_short(self.used.load(Ordering::Relaxed), self.most)
            || self.ledger.is_short()
    }

    /// Takes so many bytes, at the cost of idle instances if need be. False if there are not
    /// so many.
    pub(super) async fn take(&self, bytes: u64) -> bool {
        if bytes > self.most {
            return false;
        }
        let own = || self.pool.get().and_then(Weak::upgrade).is_some_and(|it| it.retire_idlest());
        if !self.ledger.until_released(own, || self.reserve(bytes)).await {
            return false;
        }
        // Whoever stops waiting has taken nothing.
        let reserved = Reserved { share: self, bytes };
        let taken = self.ledger.take(bytes).await;
        if taken {
            std::mem::forget(reserved);
        }
        taken
    }

    /// The same without waiting for anybody.
    pub(super) fn try_take(&self, bytes: u64) -> bool {
        if !self.reserve(bytes) {
            return false;
        }
        let taken = self.ledger.try_take(bytes);
        if !taken {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.ledger.give_back(bytes);
    }

    /// So many of the bytes that are given back were on the heap.
    pub(super) fn freed(&self, bytes: u64) {
        self.ledger.freed(bytes);
    }

    fn reserve(&self, bytes: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// What a share has set aside, until the ledger has given it.
struct Reserved<'a> {
    share: &'a Share,
    bytes: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.share.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn take(share: &Share, bytes: u64) -> bool {
        share.take(bytes).now_or_never().expect("nobody to wait for")
    }

    #[test]
    fn no_share_is_exceeded_and_nor_is_the_whole() {
        let ledger = Arc::new(Ledger::new(1000, None));
        let [one, other] = [(); 2].map(|()| Share::new(Arc::clone(&ledger), 750));
        assert!(!take(&one, 751));
        assert!(take(&one, 700));
        assert!(!take(&one, 100) && !one.try_take(51));
        assert!(take(&other, 300));
        assert!(!take(&other, 1) && !other.try_take(1));
        one.give_back(700);
        assert!(take(&other, 450));
        other.give_back(750);
        assert_eq!(ledger.used(), 0);
        assert!(take(&one, 750) && take(&other, 250));
    }
}
