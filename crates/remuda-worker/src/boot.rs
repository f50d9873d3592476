//! From an empty process to one that accepts connections.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use remuda_config::{BoundAddress, Log};
use remuda_control::{
    CONTROL_DESCRIPTOR, ControlError, ControlReader, ControlWriter, FromWorker, InheritedListener,
    ToWorker, WorkerSetup,
};
use remuda_engine::{Engine, EngineError};
use remuda_http::{Listener, Server};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::{
    handler::{Guests, Programs},
    life::{self, Life},
    sys,
};

/// Why a worker could not begin to serve.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("failed to use the control socket (is this process started by `remuda serve`?): {0}")]
    Control(#[from] ControlError),
    #[error("failed to take over descriptor {descriptor}: {source}")]
    Descriptor { descriptor: i32, source: io::Error },
    #[error("the supervisor went away before it said what to serve")]
    NoSetup,
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("failed to start the event loop: {0}")]
    EventLoop(#[source] io::Error),
}

/// Runs the worker to its end. `init_logging` is called once the configuration is known.
///
/// # Errors
/// When the worker cannot begin to serve; the supervisor has been told by then.
pub fn run(init_logging: impl FnOnce(&Log)) -> Result<(), BootError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BootError::EventLoop)?;
    let result = runtime.block_on(boot_and_live(init_logging));
    // What still runs has had its time; nobody waits for threads in system calls.
    runtime.shutdown_background();
    result
}

async fn boot_and_live(init_logging: impl FnOnce(&Log)) -> Result<(), BootError> {
    let (mut orders, mut reports) = control_socket()?;
    let Some(ToWorker::Configure(setup)) = orders.receive().await? else {
        return Err(BootError::NoSetup);
    };
    init_logging(&setup.config.log);
    match boot(*setup).await {
        Ok(life) => {
            reports.send(&FromWorker::Ready).await?;
            life::live(life, orders, reports).await;
            Ok(())
        }
        Err(error) => {
            let reason = error.to_string();
            // If the supervisor has gone, there is nobody left to tell.
            let _ = reports.send(&FromWorker::Failed { reason }).await;
            Err(error)
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

async fn boot(setup: WorkerSetup) -> Result<Life, BootError> {
    let WorkerSetup { slot, config, listeners, artifacts } = setup;
    let engine = Engine::build(&config, &artifacts)?;
    let mut programs = Vec::new();
    for (route, artifact) in config.routes.iter().zip(artifacts) {
        let program = engine.load(route, artifact).await?;
        tracing::debug!(
            route = route.path,
            handler = %program.handler(),
            instances = ?program.instances(),
            "route loaded"
        );
        programs.push((route.path.clone(), program));
    }
    let programs = Arc::new(Programs::new(programs));
    let listeners = listeners.iter().map(take_listener).collect::<Result<Vec<_>, _>>()?;
    let server = Server::build(&config, Guests(Arc::clone(&programs)), first_request_id(slot));
    let grace = config.shutdown.graceful_timeout;
    Ok(Life { server, listeners, engine, programs, grace })
}

fn take_listener(inherited: &InheritedListener) -> Result<Listener, BootError> {
    let listen = |socket: OwnedFd| match inherited.address {
        BoundAddress::Tcp(_) => {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(TcpListener::from_std(listener)?))
        }
        BoundAddress::Unix(_) => {
            let listener = std::os::unix::net::UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(Listener::Unix(UnixListener::from_std(listener)?))
        }
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
