//! The life of one worker process: its states, and every way from one to the next.
//!
//! Pure. Owner: the [fleet](crate::fleet), one [`Worker`] per process. Invariant: a
//! worker always has an instant at which patience ends, except while it is ready, and
//! is killed at most once.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::backoff::EARLY;

/// Names one worker process for as long as the server runs, as a pid cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// Where in its life a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Starting,
    Ready,
    /// Takes nothing new and is on its way out, by order or by itself.
    Draining,
    Exited,
}

/// What can happen to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    BecameReady,
    Leaves,
    Exits,
}

impl State {
    /// The state after `change`, or `None` if it has no meaning in this one: messages
    /// cross on the wire.
    fn after(self, change: Change) -> Option<Self> {
        match (self, change) {
            (Self::Starting, Change::BecameReady) => Some(Self::Ready),
            (Self::Starting | Self::Ready, Change::Leaves) => Some(Self::Draining),
            (Self::Starting | Self::Ready | Self::Draining, Change::Exits) => Some(Self::Exited),
            (Self::Ready | Self::Draining | Self::Exited, Change::BecameReady)
            | (Self::Draining | Self::Exited, Change::Leaves)
            | (Self::Exited, Change::Exits) => None,
        }
    }
}

/// One worker process, as far as the fleet is concerned.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) slot: usize,
    pub(crate) pid: Option<Pid>,
    state: State,
    started: Instant,
    was_ready: bool,
    /// When patience with it ends; `None` while it is ready, and once it was killed.
    kill_at: Option<Instant>,
    killed: bool,
    /// The first thing that went wrong, in words.
    failure: Option<String>,
}

/// What is left of a worker after its death.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    /// It never said that it was ready.
    pub(crate) failed_boot: bool,
    /// Too soon for the next one to be started without a pause.
    pub(crate) early: bool,
    pub(crate) reason: String,
}

impl Worker {
    /// A worker that starts now and must be ready `boot_timeout` later.
    pub(crate) fn starting(slot: usize, now: Instant, boot_timeout: Duration) -> Self {
        Self {
            slot,
            pid: None,
            state: State::Starting,
            started: now,
            was_ready: false,
            kill_at: Some(later(now, boot_timeout)),
            killed: false,
            failure: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Time since its start.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// It can serve; false if that comes too late to matter.
    pub(crate) fn became_ready(&mut self) -> bool {
        self.was_ready = true;
        let became_ready = self.change(Change::BecameReady);
        if became_ready && !self.killed {
            self.kill_at = None;
        }
        became_ready
    }

    /// It takes nothing new from now on and should be gone by `kill_at`; false if it was
    /// leaving before, and then keeps its time.
    pub(crate) fn leaves(&mut self, kill_at: Instant) -> bool {
        let leaves = self.change(Change::Leaves);
        if leaves && !self.killed {
            self.kill_at = Some(kill_at);
        }
        leaves
    }

    /// Moves the end of patience of a worker that leaves.
    pub(crate) fn wait_until(&mut self, kill_at: Instant) {
        if self.state == State::Draining && !self.killed {
            self.kill_at = Some(kill_at);
        }
    }

    /// Remembers what went wrong, if nothing did before.
    pub(crate) fn fails(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
    }

    /// Nobody waits for it any more; false if it was killed before.
    pub(crate) fn kill(&mut self) -> bool {
        self.change(Change::Leaves);
        self.kill_at = None;
        !std::mem::replace(&mut self.killed, true)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.kill_at
    }

    /// Why it must be killed now, if it must.
    pub(crate) fn overdue(&self, now: Instant) -> Option<String> {
        self.kill_at.filter(|kill_at| *kill_at <= now).map(|_| match self.state {
            State::Starting => format!("not ready {:.1?} after its start", self.age(now)),
            State::Ready | State::Draining | State::Exited => "did not leave in time".to_owned(),
        })
    }

    /// The process is gone.
    pub(crate) fn exited(mut self, how: String, now: Instant) -> Remains {
        let early = self.age(now) < EARLY;
        self.change(Change::Exits);
        Remains {
            failed_boot: !self.was_ready,
            early: early || !self.was_ready,
            reason: self.failure.map_or(how.clone(), |failure| format!("{failure} ({how})")),
        }
    }

    fn change(&mut self, change: Change) -> bool {
        let next = self.state.after(change);
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }
}

/// `now + wait`, or as far away as makes no difference.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    now.checked_add(wait.min(YEAR)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn worker(now: Instant) -> Worker {
        Worker::starting(0, now, 60 * SECOND)
    }

    #[test]
    fn a_life_goes_one_way() {
        use {Change::*, State::*};
        let states = [Starting, Ready, Draining, Exited];
        let table = [
            (BecameReady, [Some(Ready), None, None, None]),
            (Leaves, [Some(Draining), Some(Draining), None, None]),
            (Exits, [Some(Exited), Some(Exited), Some(Exited), None]),
        ];
        for (change, expected) in table {
            assert_eq!(states.map(|state| state.after(change)), expected, "{change:?}");
        }
    }

    #[test]
    fn patience_ends_after_the_boot_timeout_unless_it_is_ready() {
        let now = Instant::now();
        let mut worker = worker(now);
        assert_eq!(worker.overdue(now + 59 * SECOND), None);
        assert_eq!(
            worker.overdue(now + 60 * SECOND).as_deref(),
            Some("not ready 60.0s after its start")
        );
        assert!(worker.became_ready());
        assert_eq!(worker.deadline(), None);
        assert_eq!(worker.overdue(now + 3600 * SECOND), None);
    }

    #[test]
    fn a_worker_that_leaves_keeps_its_first_time() {
        let now = Instant::now();
        let mut worker = worker(now);
        assert!(worker.leaves(now + 5 * SECOND));
        assert!(!worker.leaves(now + 50 * SECOND));
        assert_eq!(worker.deadline(), Some(now + 5 * SECOND));
        assert!(!worker.became_ready());
    }

    #[test]
    fn a_worker_is_killed_once() {
        let now = Instant::now();
        let mut worker = worker(now);
        assert!(worker.kill());
        assert!(!worker.kill());
        worker.leaves(now);
        worker.wait_until(now);
        assert_eq!(worker.overdue(now + SECOND), None);
    }

    #[test]
    fn a_death_before_ready_is_a_failed_boot_and_early() {
        let now = Instant::now();
        let remains = worker(now).exited("exited with code 1".into(), now + 30 * SECOND);
        assert!(remains.failed_boot && remains.early);
        assert_eq!(remains.reason, "exited with code 1");
    }

    #[test]
    fn what_the_worker_said_comes_before_how_it_ended() {
        let now = Instant::now();
        let mut worker = worker(now);
        worker.became_ready();
        worker.fails("no memory".into());
        worker.fails("something after that".into());
        let remains = worker.exited("exited with code 70".into(), now + 6 * SECOND);
        assert!(!remains.failed_boot && !remains.early);
        assert_eq!(remains.reason, "no memory (exited with code 70)");
    }

    #[test]
    fn an_endless_timeout_is_no_overflow() {
        let now = Instant::now();
        assert!(later(now, Duration::MAX) > now);
    }
}
