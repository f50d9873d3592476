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
mod lease;
mod turn;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::coop::unconstrained,
};
use wasmtime_wasi_http::{Error, WasiBody};

pub(super) use self::lease::Lease;
use self::lease::State;
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

    /// A place in an open instance: the last one added first, or where guests burn the one with
    /// the fewest requests, for one processor alone works for all that are in an instance.
    fn reserve(self: &Arc<Self>, allowance: &Arc<Allowance>) -> Option<(Lease, Jobs)> {
        let reserved = {
            let mut open = self.open();
            open.retain(|handle| !handle.state.is_retired() && !handle.usage.is_worn_out());
            let places = open.iter().map(|handle| handle.state.has_place(self.reuse));
            let at = choose(places, self.template.site.crowd().burns());
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
        Lease::new(Arc::clone(self), Arc::clone(&handle.state), Arc::clone(allowance))
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
        if self.open().iter().any(|handle| handle.state.has_place(self.reuse).is_some()) {
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

/// Of instances that have a place, if there is one: it comes with the requests in each of them.
fn choose(
    places: impl DoubleEndedIterator<Item = Option<usize>> + ExactSizeIterator,
    spread: bool,
) -> Option<usize> {
    let mut free = places.enumerate().rev().filter_map(|(at, in_flight)| Some((at, in_flight?)));
    let (at, _) = if spread { free.min_by_key(|(_, in_flight)| *in_flight) } else { free.next() }?;
    Some(at)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_together_unless_guests_burn() {
        let places = [Some(3), Some(1), None, Some(1), Some(2), None];
        assert_eq!(choose(places.into_iter(), false), Some(4));
        assert_eq!(choose(places.into_iter(), true), Some(3));
        assert_eq!(choose([None, None].into_iter(), false), None);
        assert_eq!(choose([None, None].into_iter(), true), None);
    }
}
