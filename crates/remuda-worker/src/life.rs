//! A worker's life after its boot: serve until told to drain, drain, end.

use std::{
    cell::{Cell, RefCell},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use remuda_control::{ControlReader, ControlWriter, FromWorker, Queue, Seat, ToWorker};
use remuda_engine::Engine;
use remuda_http::{LastAccepts, Listener, Server};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, oneshot},
    time::{Instant, MissedTickBehavior, Sleep, interval, sleep, timeout},
};

use crate::{
    beat::Beat,
    figures::{Figures, OutboundTimes},
    handler::{Guests, Programs},
    jobs::Jobs,
    outbox::Outbox,
    report::Reporter,
};

/// How often idle instances are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a supervisor may take to read what its worker said last.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long hooks of instances may take after the end of a drain; the supervisor waits for
/// 5 s before it kills.
const LAST_HOOKS: Duration = Duration::from_secs(3);

/// Everything that a booted worker owns.
pub(crate) struct Life {
    pub(crate) server: Server<Guests>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) engine: Engine,
    pub(crate) programs: Arc<Programs>,
    /// Names of the routes, in the order of the configuration.
    pub(crate) routes: Arc<[String]>,
    pub(crate) outbound: Arc<OutboundTimes>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) reporter: Reporter,
    pub(crate) seat: Seat,
    /// How long a drain may take that the supervisor has not ordered.
    pub(crate) grace: Duration,
    /// Requests after which the supervisor may want to replace this worker.
    pub(crate) max_requests: Option<u64>,
}

/// What ends the time of serving.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Ordered { grace: Duration, queue: Queue },
    SupervisorGone,
    Signal,
}

/// Serves until the end, then drains.
pub(crate) async fn live(
    life: Life,
    orders: ControlReader<ToWorker>,
    reports: ControlWriter<FromWorker>,
) {
    let (outbox, writer) = Outbox::new(reports);
    let mut writing = pin!(writer.run());
    tokio::select! {
        () = serve_and_drain(life, orders, outbox) => {}
        () = &mut writing => unreachable!("the writer ends only after the outbox is closed"),
    }
    // Whoever does not read it has had its time.
    let _ = timeout(LAST_WORDS, writing).await;
}

async fn serve_and_drain(life: Life, orders: ControlReader<ToWorker>, outbox: Outbox) {
    let Life { server, listeners, engine, programs, grace, .. } = life;
    let figures = Figures {
        observer: server.observer(),
        routes: life.routes,
        programs: Arc::downgrade(&programs),
        outbound: life.outbound,
        jobs: life.jobs,
        stalls: Cell::new(0),
        last_usage: RefCell::default(),
        engine: &engine,
    };
    let (serve, told_to_serve) = (Notify::new(), Cell::new(false));
    let mut orders = Orders {
        socket: orders,
        figures: &figures,
        outbox: &outbox,
        serve: &serve,
        told_to_serve: &told_to_serve,
    };
    let (accepting, leaving) = (Cell::new(false), Cell::new(false));
    let beat = Beat {
        figures: &figures,
        engine: &engine,
        outbox: &outbox,
        reporter: &life.reporter,
        seat: &life.seat,
        max_requests: life.max_requests,
        accepting: &accepting,
    };
    let mut beating = pin!(beat.run());
    let (drain, drained) = oneshot::channel();
    let enough = async { drained.await.unwrap_or(LastAccepts::Leave) };
    let mut serving = Box::pin(async {
        serve.notified().await;
        if !leaving.get() {
            accepting.set(true);
            life.seat.beat();
        }
        server.run(listeners, enough, || outbox.draining()).await;
    });

    let end = tokio::select! {
        end = next_end(&mut orders) => end,
        () = sweep(&programs) => unreachable!("the sweeper never ends"),
        () = &mut beating => unreachable!("the pulse never ends"),
        () = &mut serving => unreachable!("the server ends only after the drain has begun"),
    };
    let (grace, queue) = match &end {
        End::Ordered { grace, queue } => (*grace, *queue),
        // All workers may have got the same signal, and nobody accept any more.
        End::SupervisorGone | End::Signal => (grace, Queue::CLOSING),
    };
    tracing::debug!(?end, ?grace, "draining");
    leaving.set(true);
    accepting.set(false);
    life.seat.leave();
    // The server waits for this message until it ends.
    let _ = drain.send(match queue {
        Queue::Leave => LastAccepts::Leave,
        Queue::Empty { wait } => LastAccepts::Take { wait },
    });
    let ended = async {
        // Told to serve and to leave in one breath, it still has a queue to empty.
        if told_to_serve.get() {
            serving.await;
        } else {
            drop(serving);
        }
        // Idle instances that drive themselves end with their pools.
        drop(programs);
        engine.finished().await;
    };
    let mut grace_ends = pin!(sleep(grace));
    let in_time = tokio::select! {
        () = ended => true,
        () = shorten(&mut orders, grace_ends.as_mut()) => false,
        () = &mut beating => unreachable!("the pulse never ends"),
    };
    if !in_time {
        tracing::warn!(?grace, "requests were still in flight after shutdown.graceful_timeout");
        // Idle instances have no part in that, and end with their hooks.
        if let Some(programs) = figures.programs.upgrade() {
            programs.close();
        }
        let _ = timeout(LAST_HOOKS, engine.hooks_finished()).await;
    }
    outbox.snapshot(figures.snapshot());
}

/// What comes from the supervisor; whoever listens to it answers questions on the way.
struct Orders<'a> {
    socket: ControlReader<ToWorker>,
    figures: &'a Figures<'a>,
    outbox: &'a Outbox,
    serve: &'a Notify,
    told_to_serve: &'a Cell<bool>,
}

impl Orders<'_> {
    /// The next order to drain, or `None` once the supervisor is gone.
    async fn next(&mut self) -> Option<(Duration, Queue)> {
        loop {
            match self.socket.receive().await {
                Ok(Some(ToWorker::Drain { grace, queue })) => return Some((grace, queue)),
                Ok(Some(ToWorker::Serve)) => {
                    self.told_to_serve.set(true);
                    self.serve.notify_one();
                }
                Ok(Some(ToWorker::Snapshot)) => self.outbox.snapshot(self.figures.snapshot()),
                Ok(Some(ToWorker::Configure(_))) => {
                    tracing::warn!("a running worker cannot be configured again");
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::error!(%error, "lost the supervisor");
                    return None;
                }
            }
        }
    }
}

async fn next_end(orders: &mut Orders<'_>) -> End {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM will end this worker at once");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminated => End::Signal,
        order = orders.next() => match order {
            Some((grace, queue)) => End::Ordered { grace, queue },
            None => End::SupervisorGone,
        },
    }
}

/// Waits until the time for a drain is over, which further orders may shorten.
async fn shorten(orders: &mut Orders<'_>, mut end: Pin<&mut Sleep>) {
    loop {
        tokio::select! {
            () = &mut end => return,
            order = orders.next() => match order {
                Some((grace, _)) => {
                    let earlier = Instant::now().checked_add(grace);
                    if let Some(earlier) = earlier.filter(|earlier| *earlier < end.deadline()) {
                        end.as_mut().reset(earlier);
                    }
                }
                None => return end.await,
            },
        }
    }
}

async fn sweep(programs: &Programs) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        programs.sweep();
    }
}
