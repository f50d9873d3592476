//! What one store holds.
//!
//! Owner: the store's limiter. Invariant: an account holds at least what its guest uses and
//! [`INSTANCE_BYTES`], and gives back exactly what it holds.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use remuda_config::INSTANCE_BYTES;

use super::Share;

/// An instance that has added more than so many percent of what it could is not used again:
/// what it does next might fail, and a fresh one would do it.
const WORN_OUT: u64 = 75;

/// The same where all guests together have nearly all there is.
const WORN_OUT_WHEN_SHORT: u64 = 5;

/// A store's part of its route's share.
pub(crate) struct Account {
    share: Arc<Share>,
    held: u64,
    usage: Arc<Usage>,
}

/// How much of its cap an instance uses.
pub(crate) struct Usage {
    bytes: AtomicU64,
    /// What the host keeps for the guest.
    kept: AtomicU64,
    /// Bytes that it had when it had served its first request, or before that at its start.
    base: AtomicU64,
    has_served: AtomicBool,
    cap: u64,
    share: Arc<Share>,
}

/// Why an instance got no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It has as much as it may have: `limits.memory`.
    Cap,
    /// All guests of the worker have as much as they may have together: `workers.memory`.
    Budget,
}

impl Account {
    /// Opens an account for an instance that may use `cap` bytes, and will probably begin with
    /// `expected`.
    ///
    /// # Errors
    /// When there are not so many.
    pub(crate) async fn open(share: &Arc<Share>, cap: u64, expected: u64) -> Result<Self, Refused> {
        let held = INSTANCE_BYTES.saturating_add(expected);
        let taken = share.take(held).await;
        taken.then(|| Self::holding(held, share, cap)).ok_or(Refused::Budget)
    }

    /// The same where no idle instance shall leave for it.
    pub(crate) fn try_open(share: &Arc<Share>, cap: u64, expected: u64) -> Result<Self, Refused> {
        let held = INSTANCE_BYTES.saturating_add(expected);
        let taken = share.try_take(held);
        taken.then(|| Self::holding(held, share, cap)).ok_or(Refused::Budget)
    }

    fn holding(held: u64, share: &Arc<Share>, cap: u64) -> Self {
        let usage = Usage::new(cap, share);
        Self { share: Arc::clone(share), held, usage: Arc::new(usage) }
    }

    /// Grows by so many bytes.
    ///
    /// # Errors
    /// When there are not so many; nothing has changed then.
    pub(crate) async fn grow(&mut self, bytes: u64) -> Result<(), Refused> {
        let after = self.usage.bytes().saturating_add(bytes);
        if after > self.usage.cap {
            return Err(Refused::Cap);
        }
        let missing = self.missing(after, self.usage.kept());
        if missing > 0 && !self.share.take(missing).await {
            return Err(Refused::Budget);
        }
        self.held += missing;
        self.usage.bytes.store(after, Ordering::Relaxed);
        Ok(())
    }

    /// Has the host keep so many bytes more for the guest: as many as its cap, at most.
    ///
    /// # Errors
    /// When there are not so many; nothing has changed then.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result<(), Refused> {
        let after = self.usage.kept().saturating_add(bytes);
        if after > self.usage.cap {
            return Err(Refused::Cap);
        }
        let missing = self.missing(self.usage.bytes(), after);
        if missing > 0 && !self.share.try_take(missing) {
            return Err(Refused::Budget);
        }
        self.held += missing;
        self.usage.kept.store(after, Ordering::Relaxed);
        Ok(())
    }

    /// The guest has done its work: the host keeps so many bytes that the guest did not drop.
    pub(crate) fn rest(&mut self, left: u64) {
        if !self.usage.has_served.swap(true, Ordering::Relaxed) {
            // What it has set up for all requests to come is no leak.
            self.usage.base.store(self.usage.bytes(), Ordering::Relaxed);
        }
        let kept = self.usage.kept.swap(left, Ordering::Relaxed);
        self.share.freed(kept.saturating_sub(left));
        let missing = self.missing(self.usage.bytes(), left);
        // An instance that has more than there is is worn out, and leaves.
        if missing > 0 && self.share.try_take(missing) {
            self.held += missing;
        }
        if kept > left {
            self.settle();
        }
    }

    /// The instance is made: gives back what was expected and has not been used.
    pub(crate) fn begin(&mut self) {
        self.usage.base.store(self.usage.bytes(), Ordering::Relaxed);
        self.settle();
    }

    fn settle(&mut self) {
        let unused = self.held.saturating_sub(used(self.usage.bytes(), self.usage.kept()));
        self.share.give_back(unused);
        self.held -= unused;
    }

    fn missing(&self, bytes: u64, kept: u64) -> u64 {
        used(bytes, kept).saturating_sub(self.held)
    }

    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }
}

fn used(bytes: u64, kept: u64) -> u64 {
    INSTANCE_BYTES.saturating_add(bytes).saturating_add(kept)
}

impl Drop for Account {
    fn drop(&mut self) {
        self.share.freed(self.usage.kept());
        self.share.give_back(self.held);
    }
}

impl Usage {
    fn new(cap: u64, share: &Arc<Share>) -> Self {
        let (bytes, kept, base) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let has_served = AtomicBool::new(false);
        Self { bytes, kept, base, has_served, cap, share: Arc::clone(share) }
    }

    /// Bytes of all memories and tables.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Whether so much has been added that the instance should take no further request. One
    /// that needs as much from its start, or its first request on, is not worn out by it.
    pub(crate) fn is_worn_out(&self) -> bool {
        let base = self.base.load(Ordering::Relaxed);
        let room = self.cap.min(self.share.most()).saturating_sub(base);
        let grown = self.bytes().saturating_add(self.kept()).saturating_sub(base);
        let most = if self.share.is_short() { WORN_OUT_WHEN_SHORT } else { WORN_OUT };
        u128::from(grown) * 100 > u128::from(room) * u128::from(most)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::memory::Ledger;

    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("nobody to wait for")
    }

    fn share(bytes: u64) -> (Arc<Ledger>, Arc<Share>) {
        let ledger = Arc::new(Ledger::new(bytes, None));
        (Arc::clone(&ledger), Arc::new(Share::new(ledger, bytes)))
    }

    #[test]
    fn the_cap_is_named_before_the_budget() {
        let (_, share) = share(INSTANCE_BYTES + 1000);
        let mut account = now(Account::open(&share, 600, 0)).expect("room");
        assert_eq!(now(account.grow(600)), Ok(()));
        assert_eq!(now(account.grow(1)), Err(Refused::Cap));
        let (_, other_share) = self::share(u64::MAX);
        let mut other = now(Account::open(&other_share, 600, 0)).expect("another ledger");
        assert_eq!(now(other.grow(600)), Ok(()));
        assert!(now(Account::open(&share, 600, 0)).is_err());
        drop(account);
        let mut account = now(Account::open(&share, 6000, 0)).expect("room again");
        assert_eq!(now(account.grow(1001)), Err(Refused::Budget));
        assert_eq!(now(account.grow(1000)), Ok(()));
    }

    #[test]
    fn what_was_expected_is_there_and_the_rest_comes_back() {
        let (ledger, share) = share(INSTANCE_BYTES + 1000);
        let mut account = now(Account::open(&share, 1000, 900)).expect("room");
        assert_eq!(ledger.used(), INSTANCE_BYTES + 900);
        assert_eq!(now(account.grow(500)), Ok(()));
        assert_eq!(ledger.used(), INSTANCE_BYTES + 900);
        account.begin();
        assert_eq!(ledger.used(), INSTANCE_BYTES + 500);
        drop(account);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn an_instance_is_worn_out_by_what_it_adds_after_its_first_request() {
        let (_, share) = share(10 * INSTANCE_BYTES);
        let mut account = now(Account::open(&share, 1000, 0)).expect("room");
        let grow = |account: &mut Account, bytes| now(account.grow(bytes)).expect("room");
        grow(&mut account, 100);
        account.begin();
        grow(&mut account, 700);
        account.rest(0);
        assert!(!account.usage.is_worn_out(), "it has set itself up");
        grow(&mut account, 150);
        account.rest(0);
        assert!(!account.usage.is_worn_out());
        grow(&mut account, 1);
        assert!(account.usage.is_worn_out());
    }

    #[test]
    fn what_the_host_keeps_wears_an_instance_out_until_it_rests() {
        let (_, share) = share(10 * INSTANCE_BYTES);
        let mut account = now(Account::open(&share, 1000, 0)).expect("room");
        account.charge(800).expect("room");
        assert!(account.usage.is_worn_out());
        assert_eq!(account.charge(201), Err(Refused::Cap));
        account.rest(0);
        assert!(!account.usage.is_worn_out());
    }

    #[test]
    fn what_a_guest_at_rest_has_not_dropped_stays_on_its_account() {
        let (ledger, share) = share(INSTANCE_BYTES + 1000);
        let mut account = now(Account::open(&share, 1000, 0)).expect("room");
        account.charge(600).expect("room");
        account.rest(200);
        assert_eq!(ledger.used(), INSTANCE_BYTES + 200);
        // What came with its requests counts as well.
        account.rest(700);
        assert_eq!(ledger.used(), INSTANCE_BYTES + 700);
        account.rest(1001);
        assert!(account.usage.is_worn_out(), "there is not so much, and it leaves");
        assert_eq!(ledger.used(), INSTANCE_BYTES + 700);
        account.rest(0);
        drop(account);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn where_memory_is_short_a_little_is_too_much() {
        let (_, share) = share(INSTANCE_BYTES + 100_000);
        let mut account = now(Account::open(&share, 1000, 0)).expect("room");
        now(account.grow(51)).expect("room");
        assert!(!account.usage.is_worn_out());
        assert!(share.try_take(90_000));
        assert!(account.usage.is_worn_out());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open { cap: u64, expected: u64 },
        Grow { which: usize, bytes: u64 },
        Charge { which: usize, bytes: u64 },
        Rest { which: usize },
        Begin { which: usize },
        Drop { which: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || prop_oneof![0..2000_u64, Just(u64::MAX), Just(1 << 40)];
        prop_oneof![
            (bytes(), 0..500_u64).prop_map(|(cap, expected)| Step::Open { cap, expected }),
            (any::<usize>(), bytes()).prop_map(|(which, bytes)| Step::Grow { which, bytes }),
            (any::<usize>(), bytes()).prop_map(|(which, bytes)| Step::Charge { which, bytes }),
            any::<usize>().prop_map(|which| Step::Rest { which }),
            any::<usize>().prop_map(|which| Step::Begin { which }),
            any::<usize>().prop_map(|which| Step::Drop { which }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_opened_grown_refused_and_dropped_the_end_is_zero(
            steps in prop::collection::vec(step(), 0..100),
        ) {
            let budget = 4 * INSTANCE_BYTES;
            let (ledger, share) = share(budget);
            let mut accounts: Vec<Account> = Vec::new();
            for step in steps {
                let count = accounts.len();
                match step {
                    Step::Open { cap, expected } => {
                        accounts.extend(now(Account::open(&share, cap, expected)));
                    }
                    Step::Grow { which, bytes } if count > 0 => {
                        let account = &mut accounts[which % count];
                        let before = account.usage.bytes();
                        let grown = now(account.grow(bytes));
                        let expected = if grown.is_ok() { before + bytes } else { before };
                        prop_assert_eq!(account.usage.bytes(), expected);
                    }
                    Step::Charge { which, bytes } if count > 0 => {
                        let account = &mut accounts[which % count];
                        let before = account.usage.kept();
                        let charged = account.charge(bytes);
                        let expected = if charged.is_ok() { before + bytes } else { before };
                        prop_assert_eq!(account.usage.kept(), expected);
                    }
                    Step::Rest { which } if count > 0 => accounts[which % count].rest(0),
                    Step::Begin { which } if count > 0 => accounts[which % count].begin(),
                    Step::Drop { which } if count > 0 => drop(accounts.remove(which % count)),
                    _ => {}
                }
                prop_assert!(ledger.used() <= budget);
                prop_assert_eq!(ledger.used(), accounts.iter().map(|account| account.held).sum::<u64>());
            }
            accounts.clear();
            prop_assert_eq!(ledger.used(), 0);
        }
    }
}
