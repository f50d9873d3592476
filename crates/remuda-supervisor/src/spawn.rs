//! Starting one worker: the same executable again, with sockets for descriptors.
//!
//! Owner: the [supervisor](crate::run), one [`Launcher`] for all workers that are started
//! from one configuration. Invariant: a worker has its control socket as descriptor
//! [`CONTROL_DESCRIPTOR`], the scoreboard as [`SCOREBOARD_DESCRIPTOR`], its listeners from
//! [`FIRST_LISTENER_DESCRIPTOR`] on, and a process group of its own, so that Ctrl-C on a
//! terminal reaches the supervisor alone, which then drains.

use std::{
    env, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use command_fds::{CommandFdExt, FdMapping};
use remuda_config::{Config, LogLevel};
use remuda_control::{
    CONTROL_DESCRIPTOR, FIRST_LISTENER_DESCRIPTOR, InheritedListener, SCOREBOARD_DESCRIPTOR,
    Scoreboard, WorkerSetup,
};
use rustix::process::Pid;

use crate::{Program, lifecycle::GenerationId, listeners::Listener};

/// How many heaps glibc makes for several threads. Each keeps what was freed in it, so that
/// with several a worker would hold the most that its guests needed once for each thread.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// What the workers of one generation are started with.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) generation: GenerationId,
    pub(crate) config: Config,
    /// The compiled component of each route.
    pub(crate) artifacts: Vec<PathBuf>,
}

/// Where a worker is to live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Berth {
    pub(crate) slot: usize,
    /// On the scoreboard.
    pub(crate) seat: usize,
}

/// A process that has just been started, and our end of its control socket.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: Pid,
    pub(crate) control: tokio::net::UnixStream,
}

impl Launcher {
    /// Starts a worker; it waits for its [`setup`](Self::setup) then.
    pub(crate) fn launch<'a>(
        &self,
        program: &Program,
        scoreboard: &Scoreboard,
        listeners: impl Iterator<Item = &'a Listener>,
    ) -> io::Result<Launched> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let copy = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned();
        let mut handed_over: Vec<(OwnedFd, i32)> =
            vec![(theirs.into(), CONTROL_DESCRIPTOR), (copy(scoreboard)?, SCOREBOARD_DESCRIPTOR)];
        for (descriptor, listener) in (FIRST_LISTENER_DESCRIPTOR..).zip(listeners) {
            handed_over.push((copy(listener)?, descriptor));
        }

        let mut command = Command::new(&program.executable);
        command.arg("worker").stdin(Stdio::null()).process_group(0);
        if self.config.log.level != LogLevel::Debug {
            // Backtraces of guest errors would be captured on the hot path otherwise.
            command.env("RUST_BACKTRACE", "0");
        }
        if env::var_os(ARENAS).is_none() {
            command.env(ARENAS, "1");
        }
        program.prepare(&mut command);
        let mapping = |(parent_fd, child_fd)| FdMapping { parent_fd, child_fd };
        command
            .fd_mappings(handed_over.into_iter().map(mapping).collect())
            .map_err(io::Error::other)?;
        let child = command.spawn()?;

        let control = tokio::net::UnixStream::from_std(ours)?;
        Ok(Launched { pid: Pid::from_child(&child), control })
    }

    /// The first message to a worker started with the same listeners.
    pub(crate) fn setup<'a>(
        &self,
        Berth { slot, seat }: Berth,
        listeners: impl Iterator<Item = &'a Listener>,
    ) -> WorkerSetup {
        let inherited = (FIRST_LISTENER_DESCRIPTOR..).zip(listeners);
        WorkerSetup {
            slot,
            generation: self.generation.0,
            seat,
            config: self.config.clone(),
            listeners: inherited
                .map(|(descriptor, listener)| InheritedListener {
                    descriptor,
                    address: listener.address.clone(),
                })
                .collect(),
            artifacts: self.artifacts.clone(),
        }
    }
}
