//! A guest that answers one request, and what is held for it.
//!
//! Owner: the [`super::SingleCall`], then the response body, then, when nobody waits for what
//! the guest still does, a task. Invariant: dropping a [`Tenant`] ends its guest, and only then
//! is dropped what was held for it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use wasmtime_wasi_http::WasiBody;

use super::{
    super::{Allowance, outgoing::discard, run::HeadSlot},
    SinglePool,
};
use crate::{
    Fault, epoch,
    executor::{Movable, NoRoom, Ran, Work},
};

type Run = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// A guest call in progress; dropping it ends the guest.
pub(in crate::call) struct Guest {
    pool: Arc<SinglePool>,
    pub(super) allowance: Arc<Allowance>,
    pub(super) slot: HeadSlot,
    state: GuestState,
}

enum GuestState {
    Running(Movable<Running>),
    Ended(Result<(), Fault>),
}

/// What is polled of a guest, wherever it runs.
pub(super) struct Running {
    pub(super) run: Run,
    pub(super) pool: Arc<SinglePool>,
    pub(super) allowance: Arc<Allowance>,
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
    /// A guest that answers by way of `slot` when `run` is polled.
    pub(super) fn new(
        pool: Arc<SinglePool>,
        allowance: Arc<Allowance>,
        slot: HeadSlot,
        run: Run,
    ) -> Self {
        let (site, request) = (Arc::clone(&pool.template.site), Arc::clone(&allowance));
        let running = Running { run, pool: Arc::clone(&pool), allowance: request };
        Self { pool, allowance, slot, state: GuestState::Running(Movable::new(site, running)) }
    }

    /// Lets the guest run until it waits for something. `Ready` once it has ended.
    pub(in crate::call) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
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
    pub(in crate::call) fn leave_alone(&mut self) {
        if let GuestState::Running(running) = &mut self.state {
            running.leave_alone();
        }
    }

    /// Whether it would have gone on when it was last polled here.
    pub(super) fn was_interrupted(&self) -> bool {
        matches!(&self.state, GuestState::Running(running) if running.was_interrupted())
    }

    /// Ends the guest; `held` is dropped when it has ended.
    fn end<H: Send + 'static>(self, held: H) {
        if let GuestState::Running(running) = self.state {
            running.end(held);
        }
    }

    /// Why the guest failed, if it did.
    pub(in crate::call) fn fault(&self) -> Option<&Fault> {
        match &self.state {
            GuestState::Ended(Err(fault)) => Some(fault),
            GuestState::Ended(Ok(())) => None,
            GuestState::Running(_) => self.slot.fault(),
        }
    }

    pub(in crate::call) fn has_ended(&self) -> bool {
        matches!(self.state, GuestState::Ended(_))
    }

    /// The whole body has been read. The guest must be polled once more.
    pub(in crate::call) fn body_has_ended(&self) {
        self.slot.body_has_ended();
    }

    /// Lets the guest go on without anybody waiting for it, for as long as the route
    /// grants; `held` is dropped when it ends.
    pub(in crate::call) fn detach<H: Send + 'static>(self, mut body: Option<WasiBody>, held: H) {
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
pub(in crate::call) struct Tenant<H: Send + 'static>(Option<(Guest, H)>);

impl<H: Send + 'static> Tenant<H> {
    pub(in crate::call) fn new(guest: Guest, held: H) -> Self {
        Self(Some((guest, held)))
    }

    pub(in crate::call) fn guest(&mut self) -> &mut Guest {
        let Some((guest, _)) = &mut self.0 else { unreachable!("only moving out takes it") };
        guest
    }

    pub(in crate::call) fn move_out(mut self) -> (Guest, H) {
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
