//! From an empty process to one that accepts connections.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use remuda_config::{Accept, BoundAddress, Log, Route};
use remuda_control::{
    CONTROL_DESCRIPTOR, ControlError, ControlReader, ControlWriter, FromWorker, InheritedListener,
    SCOREBOARD_DESCRIPTOR, Scoreboard, Seat, ToWorker, WorkerSetup,
};
use remuda_engine::{Engine, EngineError};
use remuda_http::{Listener, Peers, Server, Tls, TlsError};
use tokio::net::UnixStream;

use crate::{
    figures::OutboundTimes,
    handler::{Guests, Programs},
    jobs::Jobs,
    life::{self, Life},
    oom,
    peers::Neighbours,
    report::Reporter,
    sys,
};

/// Why a worker could not begin to serve.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("failed to use the control socket (is this process started by `remuda serve`?): {0}")]
    Control(#[from] ControlError),
    #[error("failed to take over descriptor {descriptor}: {source}")]
    Descriptor { descriptor: i32, source: io::Error },
    #[error("failed to take seat {0} of the scoreboard: there is none")]
    NoSeat(usize),
    #[error("failed to start the reporter: {0}")]
    Reporter(#[source] io::Error),
    #[error("the supervisor went away before it said what to serve")]
    NoSetup,
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("failed to start the event loop: {0}")]
    EventLoop(#[source] io::Error),
}

/// How a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has served.
    Served,
    /// It could not begin to; the supervisor knows why, and says so.
    Failed,
}

/// Runs the worker to its end. `init_logging` is called once the configuration is known.
///
/// # Errors
/// When the worker cannot begin to serve, and cannot tell the supervisor.
pub fn run(init_logging: impl FnOnce(&Log)) -> Result<Ended, BootError> {
    // Before anything else: until then, a question is death.
    let reporter = Reporter::start().map_err(BootError::Reporter)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BootError::EventLoop)?;
    let result = runtime.block_on(boot_and_live(init_logging, reporter));
    // What still runs has had its time; nobody waits for threads in system calls.
    runtime.shutdown_background();
    result
}

async fn boot_and_live(
    init_logging: impl FnOnce(&Log),
    reporter: Reporter,
) -> Result<Ended, BootError> {
    let (mut orders, mut reports) = control_socket()?;
    let Some(ToWorker::Configure(setup)) = orders.receive().await? else {
        return Err(BootError::NoSetup);
    };
    init_logging(&setup.config.log);
    oom::volunteer();
    match boot(*setup, reporter).await {
        Ok(life) => {
            reports.send(&FromWorker::Ready).await?;
            life::live(life, orders, reports).await;
            Ok(Ended::Served)
        }
        Err(error) => {
            let reason = error.to_string();
            let told = reports.send(&FromWorker::Failed { reason }).await;
            // If the supervisor has gone, there is nobody left to tell.
            told.map(|()| Ended::Failed).map_err(|_| error)
        }
    }
}

fn control_socket() -> Result<(ControlReader<ToWorker>, ControlWriter<FromWorker>), BootError> {
    let failed = |source| BootError::Descriptor { descriptor: CONTROL_DESCRIPTOR, source };
    let socket = sys::take(CONTROL_DESCRIPTOR).map_err(failed)?;
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(remuda_control::split(UnixStream::from_std(socket).map_err(failed)?))
}

async fn boot(setup: WorkerSetup, reporter: Reporter) -> Result<Life, BootError> {
    let WorkerSetup { slot, generation, seat, config, listeners, artifacts } = setup;
    let seat = take_seat(seat)?;
    let engine = Engine::build(&config, &artifacts)?;
    let outbound = Arc::new(OutboundTimes::default());
    let times = Arc::clone(&outbound);
    engine.watch_outbound(move |authority, time| times.observe(authority, time));
    let routes: Arc<[String]> = config.routes.iter().map(Route::name).collect();
    let jobs = Arc::new(Jobs::new(Arc::clone(&routes)));
    let ended = Arc::clone(&jobs);
    engine.watch_jobs(move |end| ended.observe(end));
    let mut programs = Vec::new();
    for (route, artifact) in config.routes.iter().zip(artifacts) {
        let program = engine.load(route, artifact).await?;
        tracing::debug!(
            generation,
            route = route.name(),
            handler = %program.handler(),
            instances = ?program.instances(),
            "route loaded"
        );
        programs.push(program);
    }
    let programs = Arc::new(Programs::new(programs));
    let listeners = listeners.iter().map(take_listener).collect::<Result<Vec<_>, _>>()?;
    // Where each slot has sockets of its own, nobody else could take their connections.
    let shares_sockets = config.workers.accept == Accept::Shared;
    let peers = shares_sockets.then(|| Box::new(Neighbours(seat.clone())) as Box<dyn Peers>);
    let guests = Guests(Arc::clone(&programs));
    let tls = config.http.tls.as_ref().map(Tls::build).transpose()?;
    let server = Server::build(&config, guests, first_request_id(slot), peers, tls);
    reporter.watch(server.observer(), Arc::clone(&routes));
    Ok(Life {
        server,
        listeners,
        engine,
        programs,
        routes,
        outbound,
        jobs,
        reporter,
        seat,
        grace: config.shutdown.graceful_timeout,
        max_requests: config.workers.max_requests,
    })
}

fn take_seat(seat: usize) -> Result<Seat, BootError> {
    let failed = |source| BootError::Descriptor { descriptor: SCOREBOARD_DESCRIPTOR, source };
    let board = sys::take(SCOREBOARD_DESCRIPTOR).and_then(Scoreboard::open).map_err(failed)?;
    Arc::new(board).seat(seat).ok_or(BootError::NoSeat(seat))
}

fn take_listener(inherited: &InheritedListener) -> Result<Listener, BootError> {
    let listen = |socket: OwnedFd| match inherited.address {
        BoundAddress::Tcp(_) => Listener::tcp(socket.into()),
        BoundAddress::Unix(_) => Listener::unix(socket.into()),
    };
    let descriptor = inherited.descriptor;
    let result: io::Result<Listener> = sys::take(descriptor).and_then(listen);
    result.map_err(|source| BootError::Descriptor { descriptor, source })
}

/// Requests of different workers, and of one slot's successive workers, do not share ids:
/// the upper half is this process's own, the lower half counts.
fn first_request_id(slot: usize) -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let own = since_epoch.as_millis() as u64 ^ u64::from(std::process::id()).rotate_left(16);
    (own.wrapping_add(slot as u64) & 0xffff_ffff) << 32
}
