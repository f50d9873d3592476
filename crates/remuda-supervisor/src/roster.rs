//! The processes behind the workers.
//!
//! Owner: the [supervisor](crate::run). Invariant: a process is in here from its start
//! until it has been reaped *and* its last message was read, so that a worker's reason
//! for dying is known before its death; it is never signalled after it was reaped, for
//! its pid may be somebody else's by then.

use std::collections::BTreeMap;

use remuda_control::ToWorker;
use rustix::process::{Pid, Signal, kill_process};

use crate::{fleet::Event, lifecycle::WorkerId, link::Link, reap::Exit};

#[derive(Debug, Default)]
pub(crate) struct Roster(BTreeMap<WorkerId, Process>);

#[derive(Debug)]
struct Process {
    pid: Pid,
    link: Link,
    /// How it ended, once it was reaped.
    exit: Option<Exit>,
    /// Its last message was read.
    silent: bool,
}

impl Roster {
    pub(crate) fn add(&mut self, worker: WorkerId, pid: Pid, link: Link) {
        self.0.insert(worker, Process { pid, link, exit: None, silent: false });
    }

    /// Sends `message`; false if the worker does not read its messages.
    pub(crate) fn send(&self, worker: WorkerId, message: ToWorker) -> bool {
        self.0.get(&worker).is_none_or(|process| process.link.send(message))
    }

    pub(crate) fn kill(&self, worker: WorkerId, signal: Signal) {
        let Some(process) = self.0.get(&worker).filter(|process| process.exit.is_none()) else {
            return;
        };
        if let Err(error) = kill_process(process.pid, signal) {
            tracing::warn!(pid = process.pid.as_raw_pid(), %error, "failed to kill a worker");
        }
    }

    /// A child was reaped.
    pub(crate) fn reaped(&mut self, pid: Pid, exit: Exit) -> Option<Event> {
        let mut alive = self.0.iter_mut().filter(|(_, process)| process.exit.is_none());
        let Some((&worker, process)) = alive.find(|(_, process)| process.pid == pid) else {
            tracing::debug!(pid = pid.as_raw_pid(), %exit, "reaped a process of somebody else");
            return None;
        };
        process.exit = Some(exit);
        process.link.process_is_gone();
        self.remove_if_gone(worker)
    }

    /// A worker's last message was read.
    pub(crate) fn fell_silent(&mut self, worker: WorkerId) -> Option<Event> {
        self.0.get_mut(&worker)?.silent = true;
        self.remove_if_gone(worker).or(Some(Event::HungUp { worker }))
    }

    fn remove_if_gone(&mut self, worker: WorkerId) -> Option<Event> {
        let exit = self.0.get(&worker).filter(|process| process.silent)?.exit?;
        self.0.remove(&worker);
        Some(Event::Exited { worker, exit })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::UnixStream, sync::mpsc};
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;

    const WORKER: WorkerId = WorkerId(7);
    const PID: Pid = Pid::INIT;

    fn roster() -> Roster {
        let (ours, _) = UnixStream::pair().expect("a socket pair");
        let (inbox, _) = mpsc::channel(1);
        let link = Link::open(WORKER, ours, inbox, &TaskTracker::new(), CancellationToken::new());
        let mut roster = Roster::default();
        roster.add(WORKER, PID, link);
        roster
    }

    fn is_exit(event: Option<Event>) -> bool {
        matches!(event, Some(Event::Exited { worker: WORKER, exit: Exit::Code(3) }))
    }

    #[tokio::test]
    async fn a_worker_is_gone_once_it_is_reaped_and_silent_in_either_order() {
        let mut roster = self::roster();
        assert!(roster.reaped(PID, Exit::Code(3)).is_none());
        assert!(is_exit(roster.fell_silent(WORKER)));

        let mut roster = self::roster();
        assert!(matches!(roster.fell_silent(WORKER), Some(Event::HungUp { worker: WORKER })));
        assert!(is_exit(roster.reaped(PID, Exit::Code(3))));
    }

    #[tokio::test]
    async fn strangers_and_pids_that_come_back_are_nobody_here() {
        let mut roster = self::roster();
        let stranger = Pid::from_raw(4_000_000).expect("a pid");
        assert!(roster.reaped(stranger, Exit::Code(0)).is_none());
        assert!(roster.reaped(PID, Exit::Code(3)).is_none());
        assert!(roster.reaped(PID, Exit::Code(0)).is_none());
        assert!(is_exit(roster.fell_silent(WORKER)));
    }
}
