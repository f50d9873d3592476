//! Waiting for children, all of them.
//!
//! Owner: the [supervisor](crate::run). Invariant: nothing else in this crate waits, so that
//! a pid is known to be ours until it comes out of here.

use std::fmt;

use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, WaitStatus, wait},
};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// Collects every child that has ended since the last call, without waiting.
///
/// `wait` and not `waitpid(None)`: the latter means the own process group only, and
/// workers have groups of their own.
pub(crate) fn reap() -> Vec<(Pid, Exit)> {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                ended.extend(Exit::from_status(status).map(|exit| (pid, exit)))
            }
            Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return ended,
            Err(error) => {
                tracing::warn!(%error, "failed to wait for children");
                return ended;
            }
        }
    }
}

impl Exit {
    fn from_status(status: WaitStatus) -> Option<Self> {
        let code = status.exit_status().map(Self::Code);
        code.or_else(|| status.terminating_signal().map(Self::Signal))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match signal_name(number) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// The signals that processes die of; the numbers are the same on every Linux we build for.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// Children of one test would be reaped by another.
#[cfg(test)]
pub(crate) static ONE_REAPS: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_says_how_it_came_about() {
        assert_eq!(Exit::Code(1).to_string(), "exited with code 1");
        assert_eq!(Exit::Signal(9).to_string(), "killed by SIGKILL");
        assert_eq!(Exit::Signal(64).to_string(), "killed by signal 64");
    }
}
