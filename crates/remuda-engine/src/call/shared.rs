//! Several requests at a time in one instance, which drives itself.
//!
//! Owner: each instance belongs to a task of the engine's tracker, requests come to it
//! over a channel, and every request holds a [`Lease`] on it. Invariants: an instance
//! takes a request only while it has a place free, has not burnt its turn and has not
//! been retired; a lease that is dropped before its response was complete retires the
//! instance, because a guest task cannot be ended alone; a retired instance ends when
//! its last lease has.

mod drive;
mod turn;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::{
    sync::{mpsc, oneshot},
    task::coop::unconstrained,
};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{GuestBody, Reuse, instance::Counted, outgoing::Outgoing};
use crate::{
    Fault, RequestId,
    program::{InstanceCounts, Template},
};

/// The instances of a program that take requests.
pub(crate) struct SharedPool {
    template: Template,
    reuse: Reuse,
    open: Mutex<Vec<Handle>>,
    /// Instances that have not ended, open or not.
    alive: Arc<AtomicUsize>,
}

/// The way into an instance.
type Jobs = mpsc::UnboundedSender<Job>;

/// The pool's view of an instance.
struct Handle {
    jobs: Jobs,
    state: Arc<State>,
    served: u64,
}

/// A request on its way into an instance.
struct Job {
    request: Request<WasiBody>,
    id: RequestId,
    reply: oneshot::Sender<Result<Outgoing, Fault>>,
}

/// What an instance, its pool and its leases know of each other.
#[derive(Default)]
struct State {
    in_flight: AtomicUsize,
    /// Interrupted when it was last polled.
    burning: AtomicBool,
    /// Takes no further request.
    retired: AtomicBool,
    /// A request was given up while the guest still worked on it.
    cancelled: AtomicBool,
    /// Why it ended, for the requests that were in it.
    fault: Mutex<Option<Fault>>,
    idle_since: Mutex<Option<Instant>>,
    driver: AtomicWaker,
}

/// The right of one request to an instance.
pub(super) struct Lease {
    pool: Arc<SharedPool>,
    state: Arc<State>,
    completed: bool,
}

impl SharedPool {
    /// Makes a first instance to see that it can be done, and keeps it.
    pub(crate) async fn start(template: Template, reuse: Reuse) -> Result<Arc<Self>, Fault> {
        let pool =
            Arc::new(Self { template, reuse, open: Mutex::default(), alive: Arc::default() });
        let first = pool.start_instance().await?;
        pool.open.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        Ok(pool)
    }

    /// Answers one request; see [`crate::Program::call`].
    pub(crate) async fn call<B, H>(
        self: &Arc<Self>,
        request: Request<B>,
        id: RequestId,
        held: H,
    ) -> Result<Response<GuestBody<H>>, Fault>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
        H: Send + Unpin + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let mut job = Job { request, id, reply };
        let lease = loop {
            let (lease, jobs) = match self.reserve() {
                Some(reserved) => reserved,
                None => self.add_instance().await?,
            };
            match jobs.send(job) {
                Ok(()) => break lease,
                // It ended just now; another one will do.
                Err(refused) => job = refused.0,
            }
        };
        match answer.await {
            Ok(Ok(outgoing)) => Ok(GuestBody::shared(outgoing, lease, held)),
            Ok(Err(fault)) => {
                lease.complete();
                Err(fault)
            }
            Err(_) => Err(lease.lost()),
        }
    }

    /// Retires instances that have been idle for too long.
    pub(crate) fn sweep(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|handle| !handle.state.is_idle_for(self.reuse));
    }

    pub(crate) fn instance_counts(&self) -> InstanceCounts {
        let is_idle = |handle: &&Handle| {
            !handle.state.is_retired() && handle.state.in_flight.load(Ordering::Relaxed) == 0
        };
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = open.iter().filter(is_idle).count();
        InstanceCounts { busy: self.alive.load(Ordering::Relaxed).saturating_sub(idle), idle }
    }

    /// A place in an open instance, the last one added first.
    fn reserve(self: &Arc<Self>) -> Option<(Lease, Jobs)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|handle| {
            !handle.state.is_retired() && self.reuse.allows_another(handle.served)
        });
        let handle = open.iter_mut().rev().find(|handle| handle.state.has_place(self.reuse))?;
        Some((self.lease(handle), handle.jobs.clone()))
    }

    fn lease(self: &Arc<Self>, handle: &mut Handle) -> Lease {
        handle.served += 1;
        handle.state.in_flight.fetch_add(1, Ordering::Relaxed);
        Lease { pool: Arc::clone(self), state: Arc::clone(&handle.state), completed: false }
    }

    /// A place in a new instance, which is open for others from now on.
    async fn add_instance(self: &Arc<Self>) -> Result<(Lease, Jobs), Fault> {
        let mut handle = self.start_instance().await?;
        let reserved = (self.lease(&mut handle), handle.jobs.clone());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(reserved)
    }

    async fn start_instance(&self) -> Result<Handle, Fault> {
        let state = Arc::new(State::default());
        state.mark_idle();
        let alive = Counted::new(Arc::clone(&self.alive));
        let instance = self.template.instantiate().await?;
        let (jobs, incoming) = mpsc::unbounded_channel();
        let surroundings = drive::Surroundings {
            engine: Arc::clone(&self.template.engine),
            route: Arc::clone(self.template.route()),
            after_response_timeout: self.template.after_response_timeout,
            _alive: alive,
        };
        let driver = drive::drive(instance, incoming, Arc::clone(&state), surroundings);
        // Tokio counts what a task does and makes it wait when it was much. An instance has
        // the work of many requests, and turns of its own.
        self.template.engine.tasks.spawn(unconstrained(driver));
        Ok(Handle { jobs, state, served: 0 })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.state.retired.store(true, Ordering::Relaxed);
        self.state.driver.wake();
    }
}

impl State {
    fn has_place(&self, reuse: Reuse) -> bool {
        self.in_flight.load(Ordering::Relaxed) < reuse.max_concurrency
            && !self.burning.load(Ordering::Relaxed)
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    fn is_idle_for(&self, reuse: Reuse) -> bool {
        let idle_since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_flight.load(Ordering::Relaxed) == 0
            && idle_since.is_some_and(|since| reuse.is_stale(since))
    }

    fn mark_idle(&self) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Ends the life of the instance; `fault` is what its requests hear.
    fn fail(&self, fault: Fault) {
        self.retired.store(true, Ordering::Relaxed);
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// Why the instance failed, if it did.
    fn fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lease {
    /// Why the instance failed, if it did.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.state.fault()
    }

    /// Why there is no answer.
    fn lost(&self) -> Fault {
        self.fault().unwrap_or_else(|| Fault::Trap("the instance ended".to_owned()))
    }

    /// The response is complete: the instance can go on serving.
    pub(super) fn complete(mut self) {
        self.completed = true;
    }

    /// Lets the response go on without anybody reading it.
    pub(super) fn detach<H: Send + 'static>(self, mut body: WasiBody, held: H) {
        let limit = self.pool.template.after_response_timeout;
        let tasks = self.pool.template.engine.tasks.clone();
        tasks.spawn(async move {
            let _held = held;
            let discard = async { while let Some(Ok(_)) = body.frame().await {} };
            if tokio::time::timeout(limit, discard).await.is_ok() {
                self.complete();
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.completed {
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
