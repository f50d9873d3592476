//! What a guest meets when it grows.

use std::sync::Arc;

use wasmtime::ResourceLimiterAsync;
use wasmtime_wasi::async_trait;

use crate::memory::{Account, Refused, Usage};

/// Bytes of one table element in the host: a pointer.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Has all memories and tables of a store on one account.
///
/// Invariant: growth that the account refuses fails inside the guest.
pub(crate) struct Limiter {
    account: Account,
    refused: Option<Refused>,
}

impl Limiter {
    pub(crate) fn new(account: Account) -> Self {
        Self { account, refused: None }
    }

    /// Why the guest was refused memory at last: what it died of, if it died.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    pub(crate) fn account(&mut self) -> &mut Account {
        &mut self.account
    }

    /// The guest has survived whatever it was refused, and has left so many bytes to the host.
    pub(super) fn rest(&mut self, left: u64) {
        self.refused = None;
        self.account.rest(left);
    }

    pub(crate) fn usage(&self) -> &Arc<Usage> {
        self.account.usage()
    }

    /// Takes so many bytes that the host keeps for the guest.
    ///
    /// # Errors
    /// When there are not so many; the guest ends by that.
    pub(super) fn charge(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.account.charge(bytes).map_err(|refused| {
            self.refused = Some(refused);
            wasmtime::format_err!("the host keeps no more for this guest")
        })
    }

    async fn grow(&mut self, bytes: usize) -> bool {
        let grown = self.account.grow(bytes as u64).await;
        self.refused = grown.err().or(self.refused);
        grown.is_ok()
    }
}

#[async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)).await)
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        Ok(self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES)).await)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::memory::{Ledger, Share};

    fn limiter(cap: u64) -> Limiter {
        let ledger = Arc::new(Ledger::new(u64::MAX, None));
        let share = Arc::new(Share::new(ledger, u64::MAX));
        let account = Account::open(&share, cap, 0).now_or_never().expect("nobody to wait for");
        Limiter::new(account.expect("room"))
    }

    fn memory(limiter: &mut Limiter, current: usize, desired: usize) -> bool {
        let growing = limiter.memory_growing(current, desired, None).now_or_never();
        growing.expect("nobody to wait for").expect("no trap")
    }

    #[test]
    fn memories_and_tables_share_one_cap() {
        let mut limiter = limiter(1000);
        assert!(memory(&mut limiter, 0, 600));
        let growing = limiter.table_growing(0, 50, None).now_or_never();
        assert!(growing.expect("nobody to wait for").expect("no trap"));
        assert_eq!(limiter.refused(), None);
        assert!(!memory(&mut limiter, 600, 601));
        assert_eq!(limiter.refused(), Some(Refused::Cap));
    }

    #[test]
    fn after_a_refusal_smaller_growth_still_fits() {
        let mut limiter = limiter(1000);
        assert!(!memory(&mut limiter, 0, 1001));
        assert!(memory(&mut limiter, 0, 900));
        assert!(!memory(&mut limiter, 900, 1800));
        assert!(memory(&mut limiter, 900, 1000));
    }
}
