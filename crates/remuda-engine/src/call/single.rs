//! One request at a time per instance, polled by whoever sent the request.
//!
//! Owner: the connection's task owns the [`SingleCall`], then the response body owns the
//! guest. Invariant: an instance is in the idle list or inside exactly one guest's
//! future; dropping that future drops the instance.

mod guest;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, handler::Proxy};

pub(super) use self::guest::{Guest, Tenant};
use super::{
    Allowance, GuestBody, Instance, Reuse,
    floor::{Floor, Stock, refill},
    instance::Counted,
    outgoing::{Drained, Outgoing, invalid},
    run::{HeadSlot, run_02, run_03_to_end},
};
use crate::{
    Fault, RequestId,
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
        let guest = Guest::new(Arc::clone(self), allowance, slot, Box::pin(run));
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
    state.rest();
    instance.served += 1;
    pool.give_back(instance);
    Ok(())
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
