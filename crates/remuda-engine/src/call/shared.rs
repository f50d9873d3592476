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
        Arc, Mutex, MutexGuard, PoisonError,
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
    sync::{Semaphore, mpsc, oneshot},
    task::coop::unconstrained,
};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{Error, WasiBody};

use self::afterwork::Afterwork;
use super::{
    Allowance, GuestBody, Instance, Reuse,
    floor::{Floor, Stock, refill},
    instance::Counted,
    outgoing::Outgoing,
};
use crate::{
    Fault, RequestId,
    herd::Herd,
    lifecycle::Purpose,
    memory::Usage,
    program::{InstanceCounts, Template},
};

/// The instances of a program that take requests.
pub(crate) struct SharedPool {
    template: Arc<Template>,
    reuse: Reuse,
    open: Mutex<Vec<Handle>>,
    /// Instances that have not ended, open or not.
    alive: Arc<AtomicUsize>,
    floor: Floor,
    /// Startups for requests that have no place.
    starts: Semaphore,
}

/// Startups at the same time for requests that have no place: each makes places for many.
const STARTS_AT_ONCE: usize = 4;

/// The way into an instance.
type Jobs = mpsc::UnboundedSender<Job>;

/// The pool's view of an instance.
struct Handle {
    jobs: Jobs,
    state: Arc<State>,
    usage: Arc<Usage>,
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
    /// All that was in it has ended, and its hook is called.
    shuts_down: AtomicBool,
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
    pub(crate) async fn start(template: Arc<Template>, reuse: Reuse) -> Result<Arc<Self>, Fault> {
        let first = template.start(Purpose::Request).await?;
        let pool = Arc::new(Self {
            floor: Floor::of(&template),
            template,
            reuse,
            open: Mutex::default(),
            alive: Arc::default(),
            starts: Semaphore::new(STARTS_AT_ONCE),
        });
        pool.template.watch(&pool);
        pool.keep(first);
        refill(&pool);
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
            let Some((lease, jobs)) = self.reserve(&allowance) else {
                // Rare, and it should not enlarge every request's task.
                Box::pin(self.add_instance(&allowance)).await?;
                continue;
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
    pub(crate) fn sweep(self: &Arc<Self>) {
        let limit = self.template.after_response_timeout;
        let mut spare = self.floor.spare(Stock::idle(&**self));
        self.open().retain(|handle| {
            let goes = spare > 0 && handle.state.is_idle_for(self.reuse);
            spare -= usize::from(goes);
            !goes && !handle.state.afterwork.may_hide(limit)
        });
        refill(self);
    }

    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    pub(crate) fn instance_counts(&self) -> InstanceCounts {
        let idle = Stock::idle(self);
        InstanceCounts { busy: self.alive.load(Ordering::Relaxed).saturating_sub(idle), idle }
    }

    /// The open instance that has been idle for longest, and since when.
    fn idlest(&self, open: &[Handle]) -> Option<(usize, Instant)> {
        let resting = |handle: &Handle| {
            handle.state.idle_since().filter(|_| !handle.state.afterwork.is_working())
        };
        let since = |(index, handle)| Some((index, resting(handle)?));
        open.iter().enumerate().filter_map(since).min_by_key(|(_, since)| *since)
    }

    /// A place in an open instance, the last one added first.
    fn reserve(self: &Arc<Self>, allowance: &Arc<Allowance>) -> Option<(Lease, Jobs)> {
        let reserved = {
            let mut open = self.open();
            open.retain(|handle| !handle.state.is_retired() && !handle.usage.is_worn_out());
            let at = open.iter().rposition(|handle| handle.state.has_place(self.reuse));
            at.map(|at| {
                let handle = &mut open[at];
                let reserved = (self.lease(handle, allowance), handle.jobs.clone());
                // After its last request nothing is to be waited for.
                if !self.reuse.allows_another(handle.served) {
                    open.remove(at);
                }
                reserved
            })
        };
        refill(self);
        reserved
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

    /// Retires all idle instances.
    pub(crate) fn close(&self) {
        let idle: Vec<Handle> =
            self.open().extract_if(.., |handle| handle.state.is_idle()).collect();
        for handle in idle {
            let ended = handle.state.ended.clone();
            self.template.engine.spawn_hook(async move { ended.cancelled().await });
        }
    }

    /// Adds an instance in which there is a place for this request, unless others take all
    /// of them first.
    async fn add_instance(self: &Arc<Self>, allowance: &Arc<Allowance>) -> Result<(), Fault> {
        if !self.template.has_hooks() {
            let instance = self.template.instantiate(Some(Arc::clone(allowance))).await?;
            self.keep(instance);
            return Ok(());
        }
        let Ok(_start) = self.starts.acquire().await else {
            unreachable!("this semaphore is never closed");
        };
        if self.open().iter().any(|handle| handle.state.has_place(self.reuse)) {
            return Ok(());
        }
        // Not for this request alone: if that does not wait for it, another one will use it.
        let (tell, told) = oneshot::channel();
        let pool = Arc::clone(self);
        self.template.engine.spawn(async move {
            let started =
                pool.template.start(Purpose::Request).await.map(|instance| pool.keep(instance));
            let _ = tell.send(started);
        });
        told.await.unwrap_or_else(|_| Err(Fault::Startup("the worker ends".to_owned())))
    }

    fn open(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock for SharedPool {
    fn floor(&self) -> &Floor {
        &self.floor
    }

    fn template(&self) -> &Arc<Template> {
        &self.template
    }

    fn idle(&self) -> usize {
        self.open().iter().filter(|handle| handle.state.is_idle()).count()
    }

    /// Lets it drive itself, open for requests from now on.
    fn keep(self: &Arc<Self>, mut instance: Instance) {
        let state = Arc::new(State::default());
        state.mark_idle();
        let alive = Counted::new(Arc::clone(&self.alive));
        instance.store.data_mut().work_for(None);
        let usage = Arc::clone(instance.usage());
        let (jobs, incoming) = mpsc::unbounded_channel();
        let template = Arc::clone(&self.template);
        let driver = drive::drive(instance, incoming, Arc::clone(&state), template, alive);
        // Tokio counts what a task does and makes it wait when it was much. An instance has
        // the work of many requests, and turns of its own.
        self.template.engine.spawn(unconstrained(driver));
        self.open().push(Handle { jobs, state, usage, served: 0 });
    }
}

impl Herd for SharedPool {
    fn idle_since(&self) -> Option<Instant> {
        self.idlest(&self.open()).map(|(_, since)| since)
    }

    fn retire_idlest(&self) -> bool {
        let mut open = self.open();
        let retired = self.idlest(&open).map(|(index, _)| open.remove(index));
        drop(open);
        retired.is_some()
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

    fn is_idle(&self) -> bool {
        !self.is_retired() && self.in_flight.load(Ordering::Relaxed) == 0
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    fn is_idle_for(&self, reuse: Reuse) -> bool {
        self.idle_since().is_some_and(|since| reuse.is_stale(since))
    }

    fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.in_flight.load(Ordering::Relaxed) == 0;
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.filter(|_| is_idle)
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
