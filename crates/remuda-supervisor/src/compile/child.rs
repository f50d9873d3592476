//! One run of the compiler as a child process.
//!
//! Owner: [`compile`](super). Invariant: the process does not outlive its [`Child`].

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver, sync::oneshot};

use crate::{Program, helpers::Helpers, reap::Exit};

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
    pub(super) fn start(
        program: &Program,
        cache: &Path,
        component: &Path,
        helpers: &Helpers,
    ) -> io::Result<Self> {
        let mut command = Command::new(&program.executable);
        command.args(["compile", "--json", "--supervised", "--cache"]).arg(cache).arg(component);
        program.prepare(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on a terminal is for the supervisor, which then ends this one.
        command.process_group(0);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let process = Running { pid, exit: helpers.expect(pid) };
        Ok(Self {
            process,
            stdout: pipe(child.stdout.take().map(OwnedFd::from))?,
            stderr: pipe(child.stderr.take().map(OwnedFd::from))?,
        })
    }

    /// Waits for its end.
    pub(super) async fn finish(mut self) -> io::Result<Finished> {
        let (stdout, stderr) = tokio::try_join!(read(self.stdout), read(self.stderr))?;
        let exit = (&mut self.process.exit).await.map_err(io::Error::other)?;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Finished { exit, stdout, stderr })
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
    exit: oneshot::Receiver<Exit>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Reaped or not, nobody else can have its pid before the loop goes on; the loop
        // reaps it then, and the kernel does when this process ends.
        if self.exit.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}
