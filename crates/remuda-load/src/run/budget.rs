//! A bound on the number of requests.
//!
//! Owner: the run; the only thing that sending threads share, and only where it is wanted.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicI64, Ordering},
};

#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Budget {
    pub(super) fn new(requests: NonZeroU64) -> Self {
        Self(AtomicI64::new(i64::try_from(requests.get()).unwrap_or(i64::MAX)))
    }

    /// Takes one, if one is left.
    pub(super) fn take(&self) -> bool {
        // Nothing is read because of it; and it takes ages to underflow.
        self.0.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Whether somebody wanted more than there were, or took the last.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) <= 0
    }
}
