//! What one request may still use: time until its deadline, and CPU.
//!
//! Owner: the call; its guest's store, its lease and its outgoing requests share it.
//! Invariant: what has run out never comes back, and whoever has given the request up is
//! heard by everything that still works for it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::RequestId;

#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) id: RequestId,
    deadline: Instant,
    cpu_time: Duration,
    /// Nanoseconds of CPU.
    spent: AtomicU64,
    /// The response head is there: the deadline no longer counts.
    answered: AtomicBool,
    given_up: AtomicBool,
    /// Made by the first one who wants to hear of it.
    listeners: OnceLock<CancellationToken>,
}

/// What a request has run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    CpuTime(Duration),
    Deadline,
}

/// Ends a guest: its request has nothing left.
#[derive(Debug, thiserror::Error)]
#[error("request {request} has run out of {exhausted:?}")]
pub(crate) struct Stop {
    pub(crate) request: RequestId,
    pub(crate) exhausted: Exhausted,
}

impl Allowance {
    pub(crate) fn new(id: RequestId, deadline: Instant, cpu_time: Duration) -> Self {
        Self {
            id,
            deadline,
            cpu_time,
            spent: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            listeners: OnceLock::new(),
        }
    }

    /// Its guest has run for so long.
    ///
    /// # Errors
    /// When that was the last of its CPU time.
    pub(crate) fn charge(&self, time: Duration) -> Result<(), Stop> {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(time);
        self.spent.store(spent, Ordering::Relaxed);
        if Duration::from_nanos(spent) < self.cpu_time {
            return Ok(());
        }
        Err(Stop { request: self.id, exhausted: Exhausted::CpuTime(self.cpu_time) })
    }

    /// # Errors
    /// When there is no response head yet and it is too late for one.
    pub(crate) fn check_deadline(&self) -> Result<(), Stop> {
        if self.answered.load(Ordering::Relaxed) || Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Stop { request: self.id, exhausted: Exhausted::Deadline })
    }

    /// When its response head must be there, while there is none.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.answered.load(Ordering::Relaxed)).then_some(self.deadline)
    }

    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Nobody waits for its response any more.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        if let Some(listeners) = self.listeners.get() {
            listeners.cancel();
        }
    }

    /// Waits until it is given up.
    pub(crate) async fn given_up(&self) {
        let listeners = self.listeners.get_or_init(CancellationToken::new);
        if !self.given_up.load(Ordering::SeqCst) {
            listeners.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn allowance(deadline: Instant) -> Allowance {
        Allowance::new(RequestId(7), deadline, Duration::from_millis(10))
    }

    #[test]
    fn cpu_time_runs_out() {
        let allowance = allowance(Instant::now());
        assert!(allowance.charge(Duration::from_millis(9)).is_ok());
        let stop = allowance.charge(Duration::from_millis(1)).expect_err("nothing is left");
        assert_eq!(stop.request, RequestId(7));
        assert_eq!(stop.exhausted, Exhausted::CpuTime(Duration::from_millis(10)));
        assert!(allowance.charge(Duration::ZERO).is_err());
    }

    #[test]
    fn a_deadline_counts_until_there_is_a_response() {
        assert!(allowance(Instant::now() + Duration::from_secs(60)).check_deadline().is_ok());
        let late = allowance(Instant::now());
        assert!(late.check_deadline().is_err());
        late.answered();
        assert!(late.check_deadline().is_ok());
    }

    #[test]
    fn whoever_listens_hears_that_it_is_given_up_before_or_after() {
        let allowance = allowance(Instant::now());
        let mut early = Box::pin(allowance.given_up());
        assert!(early.as_mut().now_or_never().is_none());
        allowance.give_up();
        assert!(early.now_or_never().is_some());
        assert!(allowance.given_up().now_or_never().is_some());
    }
}
