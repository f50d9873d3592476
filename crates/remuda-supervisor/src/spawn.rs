//! Starting one worker: the same executable again, with sockets for descriptors.
//!
//! Owner: the [supervisor](crate::run), one [`Launcher`] for all workers that are started
//! from one configuration. Invariant: a worker has its control socket as descriptor
//! [`CONTROL_DESCRIPTOR`], the listeners right after it, and a process group of its own,
//! so that Ctrl-C on a terminal reaches the supervisor alone, which then drains.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use command_fds::{CommandFdExt, FdMapping};
use remuda_config::LogLevel;
use remuda_control::{CONTROL_DESCRIPTOR, FIRST_LISTENER_DESCRIPTOR, InheritedListener, WorkerSetup};
use rustix::process::Pid;

use crate::{Plan, listeners::Listeners};

/// What workers are started with.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) plan: Plan,
    /// The compiled component of each route.
    pub(crate) artifacts: Vec<PathBuf>,
}

/// A process that has just been started, and our end of its control socket.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: Pid,
    pub(crate) control: tokio::net::UnixStream,
}

impl Launcher {
    /// Starts a worker; it waits for its [`setup`](Self::setup) then.
    pub(crate) fn launch(&self, listeners: &Listeners) -> io::Result<Launched> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let mut handed_over =
            vec![FdMapping { parent_fd: theirs.into(), child_fd: CONTROL_DESCRIPTOR }];
        for (child_fd, listener) in (FIRST_LISTENER..).zip(listeners.iter()) {
            let parent_fd: OwnedFd = listener.as_fd().try_clone_to_owned()?;
            handed_over.push(FdMapping { parent_fd, child_fd });
        }

        let mut command = Command::new(&self.plan.executable);
        command.arg("worker").stdin(Stdio::null()).process_group(0);
        if self.plan.config.log.level != LogLevel::Debug {
            // Backtraces of guest errors would be captured on the hot path otherwise.
            command.env("RUST_BACKTRACE", "0");
        }
        command.envs(self.plan.environment.iter().map(|(key, value)| (key, OsStr::new(value))));
        command.fd_mappings(handed_over).map_err(io::Error::other)?;
        let child = command.spawn()?;

        let control = tokio::net::UnixStream::from_std(ours)?;
        Ok(Launched { pid: Pid::from_child(&child), control })
    }

    /// The first message to a worker started with the same listeners.
    pub(crate) fn setup(&self, slot: usize, listeners: &Listeners) -> WorkerSetup {
        let inherited = (FIRST_LISTENER..).zip(listeners.iter());
        WorkerSetup {
            slot,
            generation: 1,
            seat: 0,
            config: self.plan.config.clone(),
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

const FIRST_LISTENER: RawFd = FIRST_LISTENER_DESCRIPTOR;
