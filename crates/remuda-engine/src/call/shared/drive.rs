//! The task of a shared instance.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::{Stream as _, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::{handler::Proxy, p3::bindings::Service};

use super::{
    Job, State,
    turn::{Again, Turn, TurnEnd},
};
use crate::{
    Fault,
    call::{
        Instance, Stop,
        instance::Counted,
        outgoing::{Drained, Outgoing, invalid},
        run::{Head, run_03},
    },
    epoch,
    executor::{Movable, NoRoom, Ran, Work},
    host::HostState,
    program::Template,
};

/// Runs the guest tasks of one instance until it is retired and empty, or fails.
pub(super) async fn drive(
    instance: Instance,
    jobs: mpsc::UnboundedReceiver<Job>,
    state: Arc<State>,
    template: Arc<Template>,
    alive: Counted<Arc<AtomicUsize>>,
) {
    let outbox = Arc::new(Outbox::default());
    let events =
        run(instance, jobs, Arc::clone(&outbox), Arc::clone(&state), Arc::clone(&template));
    let driving = Driving {
        events: Box::pin(events),
        turn: Turn::new(),
        outbox,
        state: Arc::clone(&state),
        template: Arc::clone(&template),
        _alive: alive,
    };
    let mut driving = Movable::new(Arc::clone(&template.site), driving);
    let mut lingering = None;
    std::future::poll_fn(|cx| {
        state.driver.register(cx.waker());
        match driving.poll(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(()),
            Poll::Ready(Err(NoRoom)) => {
                state.fail(Fault::NoThread, None);
                return Poll::Ready(());
            }
            // On a thread it burns, or will; the turn after that says otherwise.
            Poll::Pending if driving.has_moved() => state.burning.store(true, Ordering::Relaxed),
            Poll::Pending => {}
        }
        // It takes no longer than it may.
        if state.shuts_down.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // Whoever is left in an instance without requests is a guest that works on after
        // its response, for a while, or one whose request was given up.
        if state.in_flight.load(Ordering::Relaxed) > 0 {
            lingering = None;
            return Poll::Pending;
        }
        if state.cancelled.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        if !state.afterwork.is_working() && !state.is_retired() {
            lingering = None;
            return Poll::Pending;
        }
        let limit = template.after_response_timeout;
        let linger = lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(linger.as_mut().poll(cx));
        if state.afterwork.is_working() {
            tracing::warn!(
                route = &**template.route(),
                "guest ended by after_response_timeout, {limit:?} after its response"
            );
        }
        Poll::Ready(())
    })
    .await;
    state.retired.store(true, Ordering::Relaxed);
    state.ended.cancel();
    driving.end(AfterAll(state));
    // Requests in the outbox or the channel hear of the fault when their reply drops.
}

/// Lets go of what was held for work after responses, when nothing of the guest is left.
struct AfterAll(Arc<State>);

impl Drop for AfterAll {
    fn drop(&mut self) {
        self.0.afterwork.let_go();
    }
}

/// Owns the instance, and runs the events of its store to their end.
async fn run(
    mut instance: Instance,
    jobs: mpsc::UnboundedReceiver<Job>,
    outbox: Arc<Outbox>,
    state: Arc<State>,
    template: Arc<Template>,
) {
    let Proxy::P3(service) = &instance.proxy else {
        unreachable!("only 0.3 instances are shared");
    };
    let events = instance
        .store
        .run_concurrent(async |accessor| serve(accessor, service, jobs, &outbox, &state).await);
    if let Err(error) = events.await.flatten() {
        let refused = instance.store.data().limiter.refused();
        let blame = error.downcast_ref::<Stop>().map(|stop| stop.request);
        // Before the instance goes: on another thread somebody may see its bodies end.
        state.fail(Fault::from_call(&error, refused), blame);
    } else if instance.started && !state.cancelled.load(Ordering::Relaxed) {
        state.retired.store(true, Ordering::Relaxed);
        state.shuts_down.store(true, Ordering::Relaxed);
        template.shut_down(&mut instance).await;
    }
}

/// What is polled of an instance, wherever it runs.
struct Driving {
    events: Pin<Box<dyn Future<Output = ()> + Send>>,
    turn: Turn,
    outbox: Arc<Outbox>,
    state: Arc<State>,
    template: Arc<Template>,
    _alive: Counted<Arc<AtomicUsize>>,
}

impl Work for Driving {
    type Output = ();

    fn requests(&self) -> usize {
        self.state.in_flight.load(Ordering::Relaxed)
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> (Poll<()>, Ran) {
        let Self { events, turn, outbox, state, template, .. } = self;
        let who = || (Arc::clone(template.route()), None);
        let ((polled, end), used) = template
            .engine
            .ticker
            .turn(who, || turn.take(cx, |cx| poll_once(events.as_mut(), outbox, state, cx)));
        template.count(used.all);
        // Of an instance that failed, only what is complete can be sent; the others
        // hear of the fault.
        let failed = polled.is_ready() && state.has_failed();
        outbox.deliver(if failed { TurnEnd::Limit } else { end });
        (polled, Ran { used: used.all, interrupted: end == TurnEnd::Interrupted })
    }
}

/// Responses that guests have begun in this turn.
#[derive(Default)]
struct Outbox(Mutex<Vec<Delivery>>);

struct Delivery {
    reply: oneshot::Sender<Result<Outgoing, Fault>>,
    outgoing: Result<Outgoing, Fault>,
    /// It has been held back for an interrupted turn.
    waited: bool,
}

impl Outbox {
    fn put(&self, reply: oneshot::Sender<Result<Outgoing, Fault>>, head: Head) {
        let outgoing = head.map(Outgoing::new);
        self.lock().push(Delivery { reply, outgoing, waited: false });
    }

    /// Collects what the guests have written. True if there was something, so that it
    /// is worth letting them go on.
    fn drain(&self, cx: &mut Context<'_>) -> bool {
        let mut worth_another_turn = false;
        for delivery in self.lock().iter_mut() {
            if let Ok(outgoing) = &mut delivery.outgoing {
                match outgoing.drain(cx) {
                    Ok(Drained::Some) => worth_another_turn |= !outgoing.collected.ended,
                    Ok(Drained::Nothing) => {}
                    Err(error) => {
                        delivery.outgoing = Err(invalid(&error));
                    }
                }
            }
        }
        worth_another_turn
    }

    /// Sends off what is complete, and what its guest leaves waiting. After a turn that
    /// ended early, a guest may be about to complete its response: it gets another turn,
    /// but not one more for each turn that it burns.
    fn deliver(&self, end: TurnEnd) {
        let is_due = |delivery: &mut Delivery| {
            let complete = delivery.outgoing.as_ref().map_or(true, |head| head.collected.ended);
            complete
                || match end {
                    TurnEnd::NothingToDo => true,
                    TurnEnd::Limit => false,
                    TurnEnd::Interrupted => std::mem::replace(&mut delivery.waited, true),
                }
        };
        let mut deliveries = self.lock();
        for Delivery { reply, outgoing, .. } in deliveries.extract_if(.., is_due) {
            // A request that was given up has dropped its end; its lease tells the rest.
            let _ = reply.send(outgoing);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the guests run, and collects what they answered.
fn poll_once<F: Future + ?Sized>(
    events: Pin<&mut F>,
    outbox: &Outbox,
    state: &State,
    cx: &mut Context<'_>,
) -> (Poll<F::Output>, Again) {
    let polled = events.poll(cx);
    let (wrote, burning) = (outbox.drain(cx), epoch::was_interrupted());
    state.burning.store(burning, Ordering::Relaxed);
    let again = if burning {
        Again::No
    } else if wrote {
        Again::Yes
    } else {
        Again::IfWoken
    };
    (polled, again)
}

/// Takes requests and runs them side by side, within the store's event loop.
async fn serve(
    accessor: &wasmtime::component::Accessor<HostState>,
    service: &Service,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    outbox: &Outbox,
    state: &State,
) -> wasmtime::Result<()> {
    let mut calls = pin!(FuturesUnordered::new());
    let mut open = true;
    std::future::poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(result)) = calls.as_mut().poll_next(cx) {
                if let Err(error) = result {
                    return Poll::Ready(Err(error));
                }
            }
            match jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => calls.push(answer(accessor, service, job, outbox)),
                Poll::Ready(None) if open => open = false,
                _ => break,
            }
        }
        if !calls.is_empty() || accessor.poll_no_interesting_tasks(cx).is_pending() {
            state.afterwork.works();
        } else {
            state.afterwork.rests();
            accessor.with(|mut access| {
                let state = access.data_mut();
                if state.has_tasks() {
                    state.rest();
                }
            });
            // The store's event loop still moves the bodies of responses.
            if !open && state.in_flight.load(Ordering::Relaxed) == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    })
    .await
}

async fn answer(
    accessor: &wasmtime::component::Accessor<HostState>,
    service: &Service,
    job: Job,
    outbox: &Outbox,
) -> wasmtime::Result<()> {
    let Job { request, allowance, reply } = job;
    let head = run_03(accessor, service, request, allowance).await?;
    outbox.put(reply, head);
    Ok(())
}
