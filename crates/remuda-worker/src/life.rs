//! A worker's life after its boot: serve until told to drain, drain, end.

use std::{sync::Arc, time::Duration};

use remuda_control::{ControlReader, ControlWriter, FromWorker, ToWorker};
use remuda_engine::Engine;
use remuda_http::{Listener, Server};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::handler::{Guests, Programs};

/// How often idle instances are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Everything that a booted worker owns.
pub(crate) struct Life {
    pub(crate) server: Server<Guests>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) engine: Engine,
    pub(crate) programs: Arc<Programs>,
    /// How long a drain may take that the supervisor has not ordered.
    pub(crate) grace: Duration,
}

/// What ends the time of serving.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Ordered { grace: Duration },
    SupervisorGone,
    Signal,
}

/// Serves until the end, then drains.
pub(crate) async fn live(
    life: Life,
    mut orders: ControlReader<ToWorker>,
    mut reports: ControlWriter<FromWorker>,
) {
    let Life { server, listeners, engine, programs, grace } = life;
    let drain = CancellationToken::new();
    let serving = server.run(listeners, drain.clone());
    tokio::pin!(serving);

    let end = tokio::select! {
        end = next_end(&mut orders) => end,
        () = sweep(&programs) => unreachable!("the sweeper never ends"),
        () = &mut serving => unreachable!("the server ends only after the drain has begun"),
    };
    let grace = match &end {
        End::Ordered { grace } => *grace,
        End::SupervisorGone | End::Signal => grace,
    };
    tracing::debug!(?end, ?grace, "draining");
    drain.cancel();
    // A supervisor that has gone need not be told.
    let _ = reports.send(&FromWorker::Draining).await;
    let drained = async {
        serving.await;
        // Idle instances that drive themselves end with their pools.
        drop(programs);
        engine.finished().await;
    };
    if timeout(grace, drained).await.is_err() {
        tracing::warn!(?grace, "requests were still in flight after shutdown.graceful_timeout");
    }
}

async fn next_end(orders: &mut ControlReader<ToWorker>) -> End {
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
    tokio::pin!(terminated);
    loop {
        tokio::select! {
            () = &mut terminated => return End::Signal,
            order = orders.receive() => match order {
                Ok(Some(ToWorker::Drain { grace, .. })) => return End::Ordered { grace },
                Ok(Some(ToWorker::Snapshot)) => {}
                Ok(Some(ToWorker::Configure(_))) => {
                    tracing::warn!("a running worker cannot be configured again");
                }
                Ok(None) => return End::SupervisorGone,
                Err(error) => {
                    tracing::error!(%error, "lost the supervisor");
                    return End::SupervisorGone;
                }
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
