//! One run of the compiler as a child process.
//!
//! Owner: [`compile`](super). Invariant: the process does not outlive its [`Child`].

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

use crate::{
    Plan,
    reap::{Exit, reap},
    signals::{Received, Signals},
};

/// Bytes kept of each of the compiler's streams; the rest is read and dropped.
const KEPT: u64 = 256 * 1024;

pub(super) struct Child {
    process: Running,
    stdout: Receiver,
    stderr: Receiver,
}

/// What a compiler left behind.
pub(super) struct Finished {
    pub(super) exit: Exit,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Child {
    /// Starts `EXECUTABLE compile --json --supervised --cache DIR COMPONENT`, in which
    /// `--supervised` makes it end with this process, however that ends.
    pub(super) fn start(plan: &Plan, component: &Path) -> io::Result<Self> {
        let mut command = Command::new(&plan.executable);
        command
            .args(["compile", "--json", "--supervised", "--cache"])
            .arg(&plan.config.cache)
            .arg(component);
        command.envs(plan.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on a terminal is for the supervisor, which then ends this one.
        command.process_group(0);
        let mut child = command.spawn()?;
        let process = Running { pid: Pid::from_child(&child), exit: None };
        Ok(Self {
            process,
            stdout: pipe(child.stdout.take().map(OwnedFd::from))?,
            stderr: pipe(child.stderr.take().map(OwnedFd::from))?,
        })
    }

    /// Waits for its end, or for an order to end the server: then there is no result.
    pub(super) async fn finish(mut self, signals: &mut Signals) -> io::Result<Option<Finished>> {
        let output = async { tokio::try_join!(read(self.stdout), read(self.stderr)) };
        tokio::pin!(output);
        let mut streams = None;
        loop {
            tokio::select! {
                biased;
                received = signals.next() => match received {
                    Received::Order(signal) => {
                        tracing::info!(signal = signal.name(), "stopping before the start");
                        return Ok(None);
                    }
                    Received::ChildEnded => self.process.reap(),
                },
                read = &mut output, if streams.is_none() => streams = Some(read?),
            }
            if let (Some(exit), Some((stdout, stderr))) = (self.process.exit, &mut streams) {
                let stdout = std::mem::take(stdout);
                let stderr = String::from_utf8_lossy(stderr).into_owned();
                return Ok(Some(Finished { exit, stdout, stderr }));
            }
        }
    }
}

fn pipe(end: Option<OwnedFd>) -> io::Result<Receiver> {
    Receiver::from_owned_fd(end.ok_or(io::ErrorKind::BrokenPipe)?)
}

async fn read(mut stream: Receiver) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    (&mut stream).take(KEPT).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(kept)
}

/// A process that is killed when it is no longer wanted.
struct Running {
    pid: Pid,
    exit: Option<Exit>,
}

impl Running {
    fn reap(&mut self) {
        let ours = reap().into_iter().find(|(pid, _)| *pid == self.pid);
        self.exit = self.exit.or(ours.map(|(_, exit)| exit));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.is_none() {
            // Whatever goes wrong here, the kernel kills it when this process ends.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}
