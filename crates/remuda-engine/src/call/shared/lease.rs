//! What a request has of the instance that it is in.
//!
//! Invariant: whoever takes a [`Lease`] is counted in its [`State`] until it is dropped; one
//! that is dropped before its response was complete retires the instance.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures_util::task::AtomicWaker;
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::WasiBody;

use super::{SharedPool, afterwork::Afterwork};
use crate::{
    Fault, RequestId,
    call::{Allowance, Reuse},
};

/// What an instance, its pool and its leases know of each other.
#[derive(Default)]
pub(super) struct State {
    pub(super) in_flight: AtomicUsize,
    /// Interrupted when it was last polled.
    pub(super) burning: AtomicBool,
    /// Takes no further request.
    pub(super) retired: AtomicBool,
    /// All that was in it has ended, and its hook is called.
    pub(super) shuts_down: AtomicBool,
    /// A request was given up while the guest still worked on it.
    pub(super) cancelled: AtomicBool,
    /// Why it ended, for the requests that were in it, and whose fault that was if one alone
    /// is to blame.
    pub(super) fault: Mutex<Option<(Fault, Option<RequestId>)>>,
    pub(super) idle_since: Mutex<Option<Instant>>,
    pub(super) afterwork: Afterwork,
    /// Nothing more comes of it.
    pub(super) ended: CancellationToken,
    pub(super) driver: AtomicWaker,
}

/// The right of one request to an instance.
pub(in crate::call) struct Lease {
    pool: Arc<SharedPool>,
    pub(super) state: Arc<State>,
    allowance: Arc<Allowance>,
    completed: bool,
}

impl State {
    /// The requests that are in it, if it takes another.
    pub(super) fn has_place(&self, reuse: Reuse) -> Option<usize> {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let has_place = in_flight < reuse.max_concurrency && !self.burning.load(Ordering::Relaxed);
        has_place.then_some(in_flight)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_retired() && self.in_flight.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle_for(&self, reuse: Reuse) -> bool {
        self.idle_since().is_some_and(|since| reuse.is_stale(since))
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.in_flight.load(Ordering::Relaxed) == 0;
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.filter(|_| is_idle)
    }

    pub(super) fn mark_idle(&self) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Ends the life of the instance; `fault` is what its requests hear, or that one of them
    /// which is to blame.
    pub(super) fn fail(&self, fault: Fault, blame: Option<RequestId>) {
        self.retired.store(true, Ordering::Relaxed);
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((fault, blame));
    }

    /// Why the instance failed, if it did, as this request hears it.
    pub(super) fn fault(&self, request: RequestId) -> Option<Fault> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.as_ref().map(|(fault, blame)| match blame {
            Some(other) if *other != request => {
                Fault::Trap(format!("request {other} in the same instance: {fault}"))
            }
            _ => fault.clone(),
        })
    }
}

impl Lease {
    /// A lease on the instance of `state`, which has counted it.
    pub(super) fn new(pool: Arc<SharedPool>, state: Arc<State>, allowance: Arc<Allowance>) -> Self {
        Self { pool, state, allowance, completed: false }
    }

    /// Why the instance failed, if it did.
    pub(in crate::call) fn fault(&self) -> Option<Fault> {
        self.state.fault(self.allowance.id)
    }

    /// Why there is no answer.
    pub(super) fn lost(&self) -> Fault {
        self.fault().unwrap_or_else(|| Fault::Trap("the instance ended".to_owned()))
    }

    /// The response is complete: the instance can go on serving. Gives `held` back, unless
    /// it is dropped when what the guest still does has ended.
    pub(in crate::call) fn complete<H: Send + 'static>(mut self, held: H) -> Option<H> {
        self.completed = true;
        if self.state.in_flight.load(Ordering::Relaxed) > 1 {
            return Some(held);
        }
        let held = self.state.afterwork.hold(held);
        if held.is_none() {
            self.state.driver.wake();
        }
        held
    }

    /// Lets the response go on without anybody reading it.
    pub(in crate::call) fn detach<H: Send + 'static>(self, mut body: WasiBody, held: H) {
        let limit = self.pool.template.after_response_timeout;
        let tasks = self.pool.template.engine.tasks.clone();
        tasks.spawn(async move {
            let discard = async { while let Some(Ok(_)) = body.frame().await {} };
            if tokio::time::timeout(limit, discard).await.is_ok() {
                self.complete(held);
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.completed {
            self.allowance.give_up();
            self.state.cancelled.store(true, Ordering::Relaxed);
            self.state.retired.store(true, Ordering::Relaxed);
        }
        if self.state.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.state.mark_idle();
            if self.state.is_retired() {
                self.state.driver.wake();
            }
        }
    }
}
