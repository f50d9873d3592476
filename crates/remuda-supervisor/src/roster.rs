//! The processes behind the workers.
//!
//! Owner: the [supervisor](crate::run). Invariant: a process is in here from its start
//! until it has been reaped *and* its last message was read, so that a worker's reason
//! for dying is known before its death; it is never signalled after it was reaped, for
//! its pid may be somebody else's by then.

use std::{collections::BTreeMap, sync::Arc};

use remuda_control::{Scoreboard, ToWorker};
use rustix::process::{Pid, Signal, kill_process};

use crate::{fleet::Event, lifecycle::WorkerId, link::Link, reap::Exit};

#[derive(Debug, Default)]
pub(crate) struct Roster(BTreeMap<WorkerId, Process>);

#[derive(Debug)]
struct Process {
    pid: Pid,
    seat: TakenSeat,
    link: Link,
    /// How it ended, once it was reaped.
    exit: Option<Exit>,
    /// Its last message was read.
    silent: bool,
}

/// A seat on the scoreboard, vacant again when it is dropped.
#[derive(Debug)]
pub(crate) struct TakenSeat {
    scoreboard: Arc<Scoreboard>,
    pub(crate) number: usize,
}

impl Drop for TakenSeat {
    fn drop(&mut self) {
        self.scoreboard.clear(self.number);
    }
}

impl Roster {
    /// A seat that no process has, if there is one.
    pub(crate) fn take_seat(&self, scoreboard: &Arc<Scoreboard>) -> Option<TakenSeat> {
        let number = Scoreboard::vacant(self.0.values().map(|process| process.seat.number))?;
        Some(TakenSeat { scoreboard: Arc::clone(scoreboard), number })
    }

    pub(crate) fn add(&mut self, worker: WorkerId, pid: Pid, seat: TakenSeat, link: Link) {
        self.0.insert(worker, Process { pid, seat, link, exit: None, silent: false });
    }

    /// The processes that have not been reaped.
    pub(crate) fn running(&self) -> impl Iterator<Item = (WorkerId, Pid)> {
        let running = self.0.iter().filter(|(_, process)| process.exit.is_none());
        running.map(|(worker, process)| (*worker, process.pid))
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

    /// Whose process this is, if it is a worker's and has not been reaped.
    pub(crate) fn owner(&self, pid: Pid) -> Option<WorkerId> {
        self.running().find(|(_, running)| *running == pid).map(|(worker, _)| worker)
    }

    /// A worker's process was reaped.
    pub(crate) fn reaped(&mut self, worker: WorkerId, exit: Exit) -> Option<Event> {
        let process = self.0.get_mut(&worker)?;
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
        let scoreboard = Arc::new(Scoreboard::create().expect("a scoreboard"));
        let seat = roster.take_seat(&scoreboard).expect("a seat");
        roster.add(WORKER, PID, seat, link);
        let next = roster.take_seat(&scoreboard).expect("another seat");
        assert_ne!(next.number, roster.0[&WORKER].seat.number);
        roster
    }

    fn is_exit(event: Option<Event>) -> bool {
        matches!(event, Some(Event::Exited { worker: WORKER, exit: Exit::Code(3) }))
    }

    #[tokio::test]
    async fn a_worker_is_gone_once_it_is_reaped_and_silent_in_either_order() {
        let mut roster = self::roster();
        assert!(roster.reaped(WORKER, Exit::Code(3)).is_none());
        assert!(is_exit(roster.fell_silent(WORKER)));

        let mut roster = self::roster();
        assert!(matches!(roster.fell_silent(WORKER), Some(Event::HungUp { worker: WORKER })));
        assert!(is_exit(roster.reaped(WORKER, Exit::Code(3))));
    }

    #[tokio::test]
    async fn strangers_and_pids_that_come_back_are_nobody_here() {
        let mut roster = self::roster();
        assert_eq!(roster.owner(Pid::from_raw(4_000_000).expect("a pid")), None);
        assert_eq!(roster.owner(PID), Some(WORKER));
        assert!(roster.reaped(WORKER, Exit::Code(3)).is_none());
        assert_eq!(roster.owner(PID), None);
        assert!(is_exit(roster.fell_silent(WORKER)));
    }
}
