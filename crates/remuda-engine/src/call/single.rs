//! One request at a time per instance, polled by whoever sent the request.
//!
//! Owner: the connection's task owns the [`SingleCall`], then the response body owns the
//! guest. Invariant: an instance is in the idle list or inside exactly one guest's
//! future; dropping that future drops the instance.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody, handler::Proxy};

use super::{
    Allowance, GuestBody, Instance, Reuse,
    floor::{Floor, Stock, refill},
    instance::Counted,
    outgoing::{Drained, Outgoing, discard, invalid},
    run::{HeadSlot, run_02, run_03_to_end},
};
use crate::{
    Fault, RequestId, epoch,
    executor::{Movable, NoRoom, Ran, Work},
    herd::Herd,
    lifecycle::Purpose,
    program::{InstanceCounts, Template},
};

/// The instances of a program, idle ones at hand.
pub(crate) struct SinglePool {
    template: Arc<Template>,
    reuse: Reuse,
    /// The last one used is the first one reused: its memory is still in the caches.
    idle: Mutex<Vec<Instance>>,
    busy: AtomicUsize,
    floor: Floor,
}

impl SinglePool {
    /// Makes a first instance to see that it can be done.
    pub(crate) async fn start(template: Arc<Template>, reuse: Reuse) -> Result<Arc<Self>, Fault> {
        let first = template.start(Purpose::Request).await?;
        let floor = Floor::of(&template);
        let (idle, busy) = (Mutex::default(), AtomicUsize::new(0));
        let pool = Arc::new(Self { template, reuse, idle, busy, floor });
        pool.template.watch(&pool);
        pool.keep(first);
        refill(&pool);
        Ok(pool)
    }

    /// Answers one request; see [`crate::Program::call`].
    pub(crate) fn call<B, H>(
        self: &Arc<Self>,
        request: Request<B>,
        id: RequestId,
        deadline: Instant,
        held: H,
    ) -> SingleCall<H>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
        H: Send + 'static,
    {
        let slot = HeadSlot::default();
        let allowance = self.template.allowance(id, deadline);
        let run = run(Arc::clone(self), request, Arc::clone(&allowance), slot.clone());
        let pool = Arc::clone(self);
        let running = Running { run: Box::pin(run), pool, allowance: Arc::clone(&allowance) };
        let state = GuestState::Running(Movable::new(Arc::clone(&self.template.site), running));
        let guest = Guest { pool: Arc::clone(self), allowance, slot, state };
        SingleCall { tenant: Some(Tenant::new(guest, held)), outgoing: None, waited: false }
    }

    /// Retires instances that have been idle for too long.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let stale = {
            let mut idle = self.idle();
            let mut spare = self.floor.spare(idle.len());
            // The one that has been idle for longest comes first.
            let goes = |instance: &mut Instance| {
                let goes = spare > 0 && self.reuse.is_stale(instance.idle_since);
                spare -= usize::from(goes);
                goes
            };
            idle.extract_if(.., goes).collect::<Vec<_>>()
        };
        stale.into_iter().for_each(|instance| self.template.retire(instance));
        refill(self);
    }

    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    pub(crate) fn instance_counts(&self) -> InstanceCounts {
        InstanceCounts { busy: self.busy.load(Ordering::Relaxed), idle: self.idle().len() }
    }

    /// An instance for a request.
    async fn take(self: &Arc<Self>, allowance: &Arc<Allowance>) -> Result<Instance, Fault> {
        let idle = self.idle().pop();
        refill(self);
        let mut instance = match idle {
            Some(idle) => idle,
            None if self.template.has_hooks() => Box::pin(self.started()).await?,
            None => return self.template.instantiate(Some(Arc::clone(allowance))).await,
        };
        instance.store.data_mut().work_for(Some(Arc::clone(allowance)));
        Ok(instance)
    }

    /// A new instance that has been started: not for a request alone, so that one that does
    /// not wait for it leaves it to the next.
    async fn started(self: &Arc<Self>) -> Result<Instance, Fault> {
        let (give, get) = oneshot::channel();
        let pool = Arc::clone(self);
        self.template.engine.spawn(async move {
            if let Err(Ok(instance)) = give.send(pool.template.start(Purpose::Request).await) {
                pool.keep(instance);
            }
        });
        get.await.unwrap_or_else(|_| Err(Fault::Startup("the worker ends".to_owned())))
    }

    fn give_back(self: &Arc<Self>, instance: Instance) {
        let is_worn_out = instance.usage().is_worn_out();
        if self.reuse.allows_another(instance.served) && !is_worn_out {
            self.keep(instance);
        } else {
            self.template.retire(instance);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SinglePool {
    /// Retires all idle instances.
    pub(crate) fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        idle.into_iter().for_each(|instance| self.template.retire(instance));
    }
}

impl Stock for SinglePool {
    fn floor(&self) -> &Floor {
        &self.floor
    }

    fn template(&self) -> &Arc<Template> {
        &self.template
    }

    fn idle(&self) -> usize {
        Self::idle(self).len()
    }

    fn keep(self: &Arc<Self>, mut instance: Instance) {
        instance.idle_since = Instant::now();
        Self::idle(self).push(instance);
    }
}

impl Herd for SinglePool {
    fn idle_since(&self) -> Option<Instant> {
        Self::idle(self).first().map(|instance| instance.idle_since)
    }

    fn retire_idlest(&self) -> bool {
        let idlest = {
            let mut idle = Self::idle(self);
            // They are taken from the end, and put there.
            (!idle.is_empty()).then(|| idle.remove(0))
        };
        idlest.map(|instance| self.template.retire(instance)).is_some()
    }
}

impl Drop for SinglePool {
    fn drop(&mut self) {
        self.close();
    }
}

/// Gets an instance, runs the guest to its end, gives the instance back.
async fn run<B>(
    pool: Arc<SinglePool>,
    request: Request<B>,
    allowance: Arc<Allowance>,
    slot: HeadSlot,
) -> Result<(), Fault>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let _busy = Counted::new(&pool.busy);
    let mut instance = pool.take(&allowance).await?;
    let Instance { store, proxy, .. } = &mut instance;
    let result = match &*proxy {
        Proxy::P2(proxy) => run_02(store, proxy, request, slot.clone()).await,
        Proxy::P3(service) => {
            let slot = slot.clone();
            let run = store.run_concurrent(async |accessor| {
                run_03_to_end(accessor, service, request, allowance, slot).await
            });
            run.await.flatten()
        }
    };
    let state = instance.store.data_mut();
    if let Err(error) = result {
        let fault = Fault::from_call(&error, state.limiter.refused());
        slot.fail(&fault);
        return Err(fault);
    }
    state.work_for(None);
    state.forget_tasks();
    state.limiter.rest();
    instance.served += 1;
    pool.give_back(instance);
    Ok(())
}

type Run = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// A guest call in progress; dropping it ends the guest.
pub(super) struct Guest {
    pool: Arc<SinglePool>,
    allowance: Arc<Allowance>,
    slot: HeadSlot,
    state: GuestState,
}

enum GuestState {
    Running(Movable<Running>),
    Ended(Result<(), Fault>),
}

/// What is polled of a guest, wherever it runs.
struct Running {
    run: Run,
    pool: Arc<SinglePool>,
    allowance: Arc<Allowance>,
}

impl Work for Running {
    type Output = Result<(), Fault>;

    fn turn(&mut self, cx: &mut Context<'_>) -> (Poll<Self::Output>, Ran) {
        let template = &self.pool.template;
        let who = || (Arc::clone(template.route()), Some(self.allowance.id));
        let (polled, used) = template.engine.ticker.turn(who, || self.run.as_mut().poll(cx));
        template.count(used.all);
        let ran = Ran { used: used.all, interrupted: epoch::was_interrupted() };
        // Many short turns are a long one.
        match (polled, self.allowance.charge(used.uncharged)) {
            (Poll::Pending, Err(stop)) => (Poll::Ready(Err(stop.exhausted.into())), ran),
            (polled, _) => (polled, ran),
        }
    }
}

impl Guest {
    /// Lets the guest run until it waits for something. `Ready` once it has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if let GuestState::Running(running) = &mut self.state {
            // One more turn of each that is late would make the last of many very late.
            if running.was_interrupted()
                && let Err(stop) = self.allowance.check_deadline()
            {
                self.state = GuestState::Ended(Err(stop.exhausted.into()));
                return self.poll(cx);
            }
            match running.poll(cx) {
                Poll::Ready(Ok(result)) => self.state = GuestState::Ended(result),
                Poll::Ready(Err(NoRoom)) => {
                    self.state = GuestState::Ended(Err(Fault::NoThread));
                }
                Poll::Pending if running.is_away() => self.slot.wake_with(cx.waker()),
                Poll::Pending => {}
            }
        }
        match &self.state {
            GuestState::Running(_) => Poll::Pending,
            GuestState::Ended(result) => Poll::Ready(result.clone()),
        }
    }

    /// From now on it is polled when its body is.
    pub(super) fn leave_alone(&mut self) {
        if let GuestState::Running(running) = &mut self.state {
            running.leave_alone();
        }
    }

    /// Whether it would have gone on when it was last polled here.
    fn was_interrupted(&self) -> bool {
        matches!(&self.state, GuestState::Running(running) if running.was_interrupted())
    }

    /// Ends the guest; `held` is dropped when it has ended.
    fn end<H: Send + 'static>(self, held: H) {
        if let GuestState::Running(running) = self.state {
            running.end(held);
        }
    }

    /// Why the guest failed, if it did.
    pub(super) fn fault(&self) -> Option<&Fault> {
        match &self.state {
            GuestState::Ended(Err(fault)) => Some(fault),
            GuestState::Ended(Ok(())) => None,
            GuestState::Running(_) => self.slot.fault(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, GuestState::Ended(_))
    }

    /// The whole body has been read. The guest must be polled once more.
    pub(super) fn body_has_ended(&self) {
        self.slot.body_has_ended();
    }

    /// Lets the guest go on without anybody waiting for it, for as long as the route
    /// grants; `held` is dropped when it ends.
    pub(super) fn detach<H: Send + 'static>(self, mut body: Option<WasiBody>, held: H) {
        let limit = self.pool.template.after_response_timeout;
        let tasks = self.pool.template.engine.tasks.clone();
        let (pool, id) = (Arc::clone(&self.pool), self.allowance.id);
        let mut tenant = Tenant::new(self, held);
        tasks.spawn(async move {
            let guest = tenant.guest();
            let route = &**pool.template.route();
            let ended = std::future::poll_fn(|cx| {
                loop {
                    let polled = guest.poll(cx);
                    match &mut body {
                        Some(rest) if polled.is_pending() => {
                            ready!(discard(rest, cx));
                            guest.body_has_ended();
                            body = None;
                        }
                        _ => return polled,
                    }
                }
            });
            match tokio::time::timeout(limit, ended).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => {
                    tracing::warn!(route, request = %id, %fault, "guest failed after its response");
                }
                Err(_) => tracing::warn!(
                    route,
                    request = %id,
                    "guest ended by after_response_timeout, {limit:?} after its response"
                ),
            }
        });
    }
}

/// A guest, and what is held for as long as it runs, wherever that is.
pub(super) struct Tenant<H: Send + 'static>(Option<(Guest, H)>);

impl<H: Send + 'static> Tenant<H> {
    pub(super) fn new(guest: Guest, held: H) -> Self {
        Self(Some((guest, held)))
    }

    pub(super) fn guest(&mut self) -> &mut Guest {
        let Some((guest, _)) = &mut self.0 else { unreachable!("only moving out takes it") };
        guest
    }

    pub(super) fn move_out(mut self) -> (Guest, H) {
        let Some(both) = self.0.take() else { unreachable!("only moving out takes it") };
        both
    }
}

impl<H: Send + 'static> Drop for Tenant<H> {
    fn drop(&mut self) {
        if let Some((guest, held)) = self.0.take() {
            guest.end(held);
        }
    }
}

/// The way from a request to the head of its response.
pub(crate) struct SingleCall<H: Send + 'static> {
    tenant: Option<Tenant<H>>,
    outgoing: Option<Outgoing>,
    /// The head has waited a turn for the guest to complete the body.
    waited: bool,
}

impl<H: Send + Unpin + 'static> Future for SingleCall<H> {
    type Output = Result<Response<GuestBody<H>>, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self;
        let Some(tenant) = &mut call.tenant else {
            unreachable!("a call is not polled after it has answered");
        };
        let guest = tenant.guest();
        loop {
            let polled = guest.poll(cx);
            // Nothing has been sent yet, so a failure is still the whole answer.
            if let Poll::Ready(Err(fault)) = polled {
                return Poll::Ready(Err(fault));
            }
            if call.outgoing.is_none() {
                match guest.slot.take() {
                    Some(Ok(response)) => {
                        guest.allowance.answered();
                        call.outgoing = Some(Outgoing::new(response));
                    }
                    Some(Err(fault)) => return Poll::Ready(Err(fault)),
                    None if polled.is_ready() => return Poll::Ready(Err(Fault::NoResponse)),
                    None => return Poll::Pending,
                }
            }
            let Some(outgoing) = &mut call.outgoing else { continue };
            match outgoing.drain(cx) {
                Err(error) => {
                    return Poll::Ready(Err(invalid(&error)));
                }
                Ok(_) if polled.is_ready() => break,
                Ok(_) if outgoing.collected.ended => {
                    // It may have waited for just that, or goes on after its response.
                    guest.body_has_ended();
                    if let Poll::Ready(Err(fault)) = guest.poll(cx) {
                        return Poll::Ready(Err(fault));
                    }
                    break;
                }
                Ok(Drained::Some) => {}
                Ok(_) if guest.was_interrupted() && !call.waited => {
                    call.waited = true;
                    return Poll::Pending;
                }
                Ok(_) => break,
            }
        }
        let (Some(outgoing), Some(tenant)) = (call.outgoing.take(), call.tenant.take()) else {
            unreachable!("both are there until the call has answered");
        };
        Poll::Ready(Ok(GuestBody::single(outgoing, tenant)))
    }
}
