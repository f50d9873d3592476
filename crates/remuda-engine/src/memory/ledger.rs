//! What all guests of a worker hold together.
//!
//! Invariants: `used` never exceeds the budget; it is the sum of what the open accounts hold,
//! and so comes back to zero. What was freed and may yet be resident counts until it is given
//! back to the kernel. Before anybody is refused, that has been done, and instances that only
//! wait for work have been retired, the one that has waited longest first.

use std::{
    sync::{
        Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, time::timeout};

use crate::{
    herd::{Herd, Herds},
    sys,
};

/// How long to wait for the memory of an instance that was told to leave; one that drives
/// itself leaves with its next turn.
const LEAVING: Duration = Duration::from_millis(50);

/// Percent of the budget from which on memory is short.
const SHORT: u64 = 75;

/// Bytes freed on the heap that are not worth the time that giving them back takes.
const LITTLE: u64 = 1024 * 1024;

/// Tells how many bytes are resident on nobody's account.
type Residue = Box<dyn Fn() -> u64 + Send + Sync>;

/// Counts the bytes that guests hold.
pub(crate) struct Ledger {
    budget: u64,
    used: AtomicU64,
    /// What the host has freed of what it kept for guests, since the heap was last trimmed.
    freed: AtomicU64,
    residue: Option<Residue>,
    released: Notify,
    herds: Herds,
}

impl Ledger {
    /// A ledger of so many bytes. What `residue` tells counts against them as well.
    pub(crate) fn new(budget: u64, residue: Option<Residue>) -> Self {
        Self {
            budget,
            used: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            residue,
            released: Notify::new(),
            herds: Herds::default(),
        }
    }

    /// Bytes that guests hold now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether nearly all is taken.
    pub(super) fn is_short(&self) -> bool {
        is_short(self.used(), self.budget)
    }

    /// From now on idle instances of `pool` leave when memory is short.
    pub(crate) fn watch(&self, pool: Weak<dyn Herd>) {
        self.herds.add(pool);
    }

    /// Takes so many bytes, at the cost of idle instances if need be. False if there are not
    /// so many.
    pub(super) async fn take(&self, bytes: u64) -> bool {
        let possible = bytes <= self.budget;
        possible
            && self.until_released(|| self.herds.retire_idlest(), || self.try_take(bytes)).await
    }

    /// Has instances `retire` one by one until `took` says that there was enough, or nobody is
    /// left to retire.
    pub(super) async fn until_released(
        &self,
        retire: impl Fn() -> bool,
        took: impl Fn() -> bool,
    ) -> bool {
        if took() {
            return true;
        }
        loop {
            // Listens before the instance leaves, which may be at once.
            let released = self.released.notified();
            if !retire() {
                return took();
            }
            if took() {
                return true;
            }
            // Whoever does not leave in time is not the last one to ask; a thread without a
            // timer does not wait.
            if Handle::try_current().is_ok() {
                let _ = timeout(LEAVING, released).await;
            }
            if took() {
                return true;
            }
        }
    }

    pub(super) fn try_take(&self, bytes: u64) -> bool {
        let freed = self.freed.load(Ordering::Relaxed);
        if freed < LITTLE {
            return self.try_take_beside(0, bytes);
        }
        self.try_take_beside(freed, bytes) || {
            self.freed.store(0, Ordering::Relaxed);
            sys::trim_heap();
            self.try_take_beside(0, bytes)
        }
    }

    /// The same while the heap has so much that nobody uses.
    fn try_take_beside(&self, freed: u64, bytes: u64) -> bool {
        let residue = self.residue.as_ref().map_or(0, |residue| residue());
        let most = self.budget.saturating_sub(residue).saturating_sub(freed);
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn give_back(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "nothing is given back twice");
        self.released.notify_waiters();
    }

    /// So many of the bytes that are given back were on the heap, which keeps what is freed.
    pub(super) fn freed(&self, bytes: u64) {
        self.freed.fetch_add(bytes, Ordering::Relaxed);
    }
}

pub(super) fn is_short(used: u64, of: u64) -> bool {
    used > of / 100 * SHORT
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
        time::Instant,
    };

    use super::*;

    /// Idle instances that hold so many bytes each.
    struct Stable {
        ledger: Arc<Ledger>,
        idle: Mutex<VecDeque<(Instant, u64)>>,
    }

    impl Herd for Stable {
        fn idle_since(&self) -> Option<Instant> {
            self.idle.lock().expect("no panic").front().map(|(since, _)| *since)
        }

        fn retire_idlest(&self) -> bool {
            let retired = self.idle.lock().expect("no panic").pop_front();
            retired.inspect(|(_, bytes)| self.ledger.give_back(*bytes)).is_some()
        }
    }

    fn stable(ledger: &Arc<Ledger>, idle: &[(Instant, u64)]) -> Arc<Stable> {
        for (_, bytes) in idle {
            assert!(ledger.try_take(*bytes));
        }
        let idle = Mutex::new(idle.iter().copied().collect());
        let stable = Arc::new(Stable { ledger: Arc::clone(ledger), idle });
        let watched: Arc<dyn Herd> = Arc::clone(&stable) as _;
        ledger.watch(Arc::downgrade(&watched));
        stable
    }

    #[tokio::test]
    async fn what_would_exceed_the_budget_is_refused_whole() {
        let ledger = Ledger::new(1000, None);
        assert!(ledger.take(600).await);
        assert!(!ledger.take(401).await);
        assert!(!ledger.take(u64::MAX).await);
        assert!(ledger.take(400).await);
        ledger.give_back(1000);
        assert_eq!(ledger.used(), 0);
    }

    #[tokio::test]
    async fn what_is_resident_on_nobodys_account_counts() {
        let ledger = Ledger::new(1000, Some(Box::new(|| 300)));
        assert!(!ledger.take(701).await);
        assert!(ledger.take(700).await);
        assert_eq!(ledger.used(), 700);
    }

    #[tokio::test]
    async fn what_was_freed_counts_until_the_heap_is_trimmed() {
        let ledger = Ledger::new(10 * LITTLE, None);
        ledger.freed(4 * LITTLE);
        assert!(ledger.take(6 * LITTLE).await);
        assert_eq!(ledger.freed.load(Ordering::Relaxed), 4 * LITTLE);
        assert!(ledger.take(LITTLE).await, "which takes a trim");
        assert_eq!(ledger.freed.load(Ordering::Relaxed), 0);
        ledger.freed(LITTLE - 1);
        assert!(ledger.take(3 * LITTLE).await, "a little is not worth it");
        assert_eq!(ledger.freed.load(Ordering::Relaxed), LITTLE - 1);
        assert!(!ledger.take(1).await);
    }

    #[tokio::test]
    async fn the_idlest_instance_of_all_programs_leaves_first_and_no_more_than_needed() {
        let (ledger, start) = (Arc::new(Ledger::new(1000, None)), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let young = stable(&ledger, &[(after(2), 300), (after(3), 300)]);
        let old = stable(&ledger, &[(after(1), 200), (after(4), 200)]);
        assert!(ledger.take(400).await);
        let left = |stable: &Stable| stable.idle.lock().expect("no panic").len();
        assert_eq!((left(&young), left(&old)), (1, 1));
        assert_eq!(ledger.used(), 900);
        assert!(!ledger.take(601).await);
        assert_eq!((left(&young), left(&old), ledger.used()), (0, 0, 400));
    }

    #[tokio::test]
    async fn nobody_leaves_for_what_could_never_fit() {
        let ledger = Arc::new(Ledger::new(1000, None));
        let stable = stable(&ledger, &[(Instant::now(), 300)]);
        assert!(!ledger.take(1001).await);
        assert!(stable.idle_since().is_some());
    }
}
