//! Several requests at a time in one instance, which drives itself.
//!
//! Owner: each instance belongs to a task of the engine's tracker, requests come to it
//! over a channel, and every request holds a [`Lease`] on it. Invariants: an instance
//! takes a request only while it has a place free, has not burnt its turn and has not
//! been retired; a lease that is dropped before its response was complete retires the
//! instance, because a guest task cannot be ended alone; a retired instance ends when
//! its last lease has. What a guest still does after the last response holds that
//! request's place, and has an end (see [`afterwork`]).

mod afterwork;
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
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{Error, WasiBody};

use self::afterwork::Afterwork;
use super::{Allowance, GuestBody, Reuse, instance::Counted, outgoing::Outgoing};
use crate::{
    Fault, RequestId,
    program::{InstanceCounts, Template},
};

/// The instances of a program that take requests.
pub(crate) struct SharedPool {
    template: Arc<Template>,
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
    allowance: Arc<Allowance>,
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
    /// Why it ended, for the requests that were in it, and whose fault that was if one alone
    /// is to blame.
    fault: Mutex<Option<(Fault, Option<RequestId>)>>,
    idle_since: Mutex<Option<Instant>>,
    afterwork: Afterwork,
    /// Nothing more comes of it.
    ended: CancellationToken,
    driver: AtomicWaker,
}

/// The right of one request to an instance.
pub(super) struct Lease {
    pool: Arc<SharedPool>,
    state: Arc<State>,
    allowance: Arc<Allowance>,
    completed: bool,
}

impl SharedPool {
    /// Makes a first instance to see that it can be done, and keeps it.
    pub(crate) async fn start(template: Template, reuse: Reuse) -> Result<Arc<Self>, Fault> {
        let (template, open) = (Arc::new(template), Mutex::default());
        let pool = Arc::new(Self { template, reuse, open, alive: Arc::default() });
        let first = pool.start_instance(None).await?;
        pool.open.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        Ok(pool)
    }

    /// Answers one request; see [`crate::Program::call`].
    pub(crate) async fn call<B, H>(
        self: &Arc<Self>,
        request: Request<B>,
        id: RequestId,
        deadline: Instant,
        held: H,
    ) -> Result<Response<GuestBody<H>>, Fault>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
        H: Send + Unpin + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let allowance = self.template.allowance(id, deadline);
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let mut job = Job { request, allowance: Arc::clone(&allowance), reply };
        let lease = loop {
            let (lease, jobs) = match self.reserve(&allowance) {
                Some(reserved) => reserved,
                // Rare, and it should not enlarge every request's task.
                None => Box::pin(self.add_instance(&allowance)).await?,
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
                lease.complete(held);
                Err(fault)
            }
            Err(_) => {
                // It may be ending on another thread, and not have said why.
                lease.state.ended.cancelled().await;
                Err(lease.lost())
            }
        }
    }

    /// Retires instances that have been idle for too long.
    pub(crate) fn sweep(&self) {
        let limit = self.template.after_response_timeout;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|handle| {
            !handle.state.is_idle_for(self.reuse) && !handle.state.afterwork.may_hide(limit)
        });
    }

    pub(crate) fn template(&self) -> &Template {
        &self.template
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
    fn reserve(self: &Arc<Self>, allowance: &Arc<Allowance>) -> Option<(Lease, Jobs)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|handle| {
            !handle.state.is_retired() && self.reuse.allows_another(handle.served)
        });
        let handle = open.iter_mut().rev().find(|handle| handle.state.has_place(self.reuse))?;
        Some((self.lease(handle, allowance), handle.jobs.clone()))
    }

    fn lease(self: &Arc<Self>, handle: &mut Handle, allowance: &Arc<Allowance>) -> Lease {
        handle.served += 1;
        handle.state.in_flight.fetch_add(1, Ordering::Relaxed);
        Lease {
            pool: Arc::clone(self),
            state: Arc::clone(&handle.state),
            allowance: Arc::clone(allowance),
            completed: false,
        }
    }

    /// A place in a new instance, which is open for others from now on.
    async fn add_instance(
        self: &Arc<Self>,
        allowance: &Arc<Allowance>,
    ) -> Result<(Lease, Jobs), Fault> {
        let mut handle = self.start_instance(Some(Arc::clone(allowance))).await?;
        let reserved = (self.lease(&mut handle, allowance), handle.jobs.clone());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(reserved)
    }

    async fn start_instance(&self, request: Option<Arc<Allowance>>) -> Result<Handle, Fault> {
        let state = Arc::new(State::default());
        state.mark_idle();
        let alive = Counted::new(Arc::clone(&self.alive));
        let mut instance = self.template.instantiate(request).await?;
        instance.store.data_mut().work_for(None);
        let (jobs, incoming) = mpsc::unbounded_channel();
        let template = Arc::clone(&self.template);
        let driver = drive::drive(instance, incoming, Arc::clone(&state), template, alive);
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

    fn has_failed(&self) -> bool {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).is_some()
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

    /// Ends the life of the instance; `fault` is what its requests hear, or that one of them
    /// which is to blame.
    fn fail(&self, fault: Fault, blame: Option<RequestId>) {
        self.retired.store(true, Ordering::Relaxed);
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((fault, blame));
    }

    /// Why the instance failed, if it did, as this request hears it.
    fn fault(&self, request: RequestId) -> Option<Fault> {
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
    /// Why the instance failed, if it did.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.state.fault(self.allowance.id)
    }

    /// Why there is no answer.
    fn lost(&self) -> Fault {
        self.fault().unwrap_or_else(|| Fault::Trap("the instance ended".to_owned()))
    }

    /// The response is complete: the instance can go on serving. Gives `held` back, unless
    /// it is dropped when what the guest still does has ended.
    pub(super) fn complete<H: Send + 'static>(mut self, held: H) -> Option<H> {
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
    pub(super) fn detach<H: Send + 'static>(self, mut body: WasiBody, held: H) {
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
