//! Replacing the server by another executable that takes over its sockets.
//!
//! # Theory of operation
//!
//! The running server starts the new one as a child of its own, with copies of all its
//! listening sockets and the write end of a pipe; the variable [`VARIABLE`] says what they
//! are ([`letter`]). Both serve the same sockets then, so no connection is ever without a
//! server. The new one takes what its own configuration asks for ([`Handover`]), binds what
//! is new, and says on the pipe when all its workers are ready, or why they are not. Only
//! then does the old one drain, and leaves alone what was taken; or it goes on as before.
//!
//! The new server stays in the process group of the old one, so that Ctrl-C on a terminal
//! reaches whichever serves, and inherits the environment, `NOTIFY_SOCKET` included.
//!
//! Owner: the [loop](crate::run) of each side. Invariant: a successor that has not said that
//! it is ready does not outlive its [`Upgrade`]; a predecessor's end is no failure.

mod handover;
mod letter;
mod program;
#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::OsString,
    io,
    os::fd::{AsFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    process::{self, Command},
};

use command_fds::{CommandFdExt, FdMapping};
use remuda_config::BindAddress;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

use crate::listeners::{Listener, Listeners, configured};

pub(crate) use handover::Handover;
pub use handover::{HandoverError, report_failed_start};
use letter::{Letter, Word};
pub(crate) use letter::{Offer, SocketKind, Taken};
pub use program::running_executable;

/// The variable that makes a server a successor.
pub(crate) const VARIABLE: &str = "REMUDA_HANDOVER";

/// By which systemd tells one process, and no other, to report that it lives.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// By which systemd tells how many sockets it has passed, and to which process
/// (sd_listen_fds(3)).
const LISTEN_FDS: &str = "LISTEN_FDS";
const LISTEN_PID: &str = "LISTEN_PID";

/// The successor's first descriptor that is not a standard stream.
const FIRST_DESCRIPTOR: RawFd = 3;

/// Bytes of the longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why an upgrade did not even begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error(
        "failed to upgrade: this server is PID 1, and its end would be the end of the container; \
         replace the container instead"
    )]
    Init,
    #[error("failed to start {} for the upgrade", program.display())]
    Start { program: PathBuf, source: io::Error },
}

/// A listening socket besides the workers', for the successor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra<'a> {
    pub(crate) kind: SocketKind,
    /// What it was bound as.
    pub(crate) configured: &'a BindAddress,
    pub(crate) listener: &'a Listener,
}

/// A successor that starts; killed when dropped, unless it was ready.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pid: Pid,
    /// Unlike the pid, it never comes to mean another process.
    process: OwnedFd,
    offers: Vec<Offer>,
    answers: Receiver,
    answer: Vec<u8>,
    was_ready: bool,
}

/// What became of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpgradeOutcome {
    /// The successor serves; it is this server's turn to drain.
    Ready(Taken),
    /// Why not; this server goes on.
    Failed(String),
}

impl Upgrade {
    /// Starts `program` with `arguments` as the successor. Whoever reaps children will get
    /// its pid some day.
    ///
    /// # Errors
    /// When the program cannot be started, or this process is PID 1. Nothing has changed.
    pub(crate) fn start(
        program: &Path,
        arguments: &[OsString],
        listeners: &Listeners,
        extras: &[Extra<'_>],
    ) -> Result<Self, UpgradeError> {
        if process::id() == 1 {
            return Err(UpgradeError::Init);
        }
        Self::spawn(program, arguments, listeners, extras)
            .map_err(|source| UpgradeError::Start { program: program.to_owned(), source })
    }

    fn spawn(
        program: &Path,
        arguments: &[OsString],
        listeners: &Listeners,
        extras: &[Extra<'_>],
    ) -> io::Result<Self> {
        let (answers, answer) = io::pipe()?;
        let answers = Receiver::from_owned_fd(answers.into())?;
        let extras = extras.iter().map(|extra| {
            (extra.listener.offer(extra.kind, &configured(extra.configured)), extra.listener)
        });
        let mut handed_over =
            vec![FdMapping { parent_fd: answer.into(), child_fd: FIRST_DESCRIPTOR }];
        let mut offers = Vec::new();
        for (descriptor, (offer, listener)) in
            (FIRST_DESCRIPTOR + 1..).zip(listeners.offers().chain(extras))
        {
            let parent_fd = listener.as_fd().try_clone_to_owned()?;
            handed_over.push(FdMapping { parent_fd, child_fd: descriptor });
            offers.push(Offer { descriptor, ..offer });
        }
        let letter = Letter { answer: FIRST_DESCRIPTOR, sockets: offers };

        let mut command = Command::new(program);
        command.args(arguments).env(VARIABLE, serde_json::to_string(&letter)?);
        command.env_remove(WATCHDOG_PID).env_remove(LISTEN_PID);
        // What was passed to this server is passed on with its other sockets.
        let is_ours = env::var(LISTEN_PID).is_ok_and(|pid| pid.parse() == Ok(process::id()));
        if !is_ours && env::var_os(VARIABLE).is_none() {
            command.env_remove(LISTEN_FDS);
        }
        command.fd_mappings(handed_over).map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let process = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            // Nobody has reaped it yet, as that happens in this thread.
            let _ = child.kill();
        })?;
        Ok(Self {
            pid,
            process,
            offers: letter.sockets,
            answers,
            answer: Vec::new(),
            was_ready: false,
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the successor says how it went, or can say nothing any more; cancel
    /// safe. It may never come: whoever waits has a limit, and drops the upgrade then.
    pub(crate) async fn outcome(&mut self) -> UpgradeOutcome {
        let mut bytes = [0; 1024];
        while !self.answer.contains(&b'\n') && self.answer.len() < LONGEST_ANSWER {
            match self.answers.read(&mut bytes).await {
                Ok(0) => break,
                Ok(count) => self.answer.extend_from_slice(&bytes[..count]),
                Err(error) => {
                    return UpgradeOutcome::Failed(format!("its answer was not read: {error}"));
                }
            }
        }
        let line = self.answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.is_empty() {
            return UpgradeOutcome::Failed("it ended without a word".to_owned());
        }
        match serde_json::from_slice(line) {
            Ok(Word::Ready { taken }) => {
                self.was_ready = true;
                UpgradeOutcome::Ready(Taken::new(&self.offers, &taken))
            }
            Ok(Word::Failed { reason }) => UpgradeOutcome::Failed(reason),
            Err(_) => UpgradeOutcome::Failed(format!(
                "its answer makes no sense: {}",
                String::from_utf8_lossy(line)
            )),
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if !self.was_ready {
            // It may have ended by itself.
            let _ = pidfd_send_signal(&self.process, Signal::KILL);
        }
    }
}
