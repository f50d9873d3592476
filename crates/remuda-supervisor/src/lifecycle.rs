//! The life of one worker process: its states, and every way from one to the next.
//!
//! Pure. Owner: the [fleet](crate::fleet), one [`Worker`] per process. Invariants: a
//! worker always has an instant at which patience ends: with its start, with its silence,
//! with its leaving; it is killed at most once.

use std::time::{Duration, Instant};

use remuda_control::Heartbeat;
use rustix::process::Pid;

use crate::backoff::EARLY;

/// Names one worker process for as long as the server runs, as a pid cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// Names the workers of one configuration; counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GenerationId(pub(crate) u64);

/// Why a worker was or is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It ended by itself.
    Exited,
    /// A signal ended it that nobody here sent.
    Killed,
    /// It broke the rules of the control socket, or a deadline.
    Broken,
    Silent,
    MaxRequests,
    MaxLifetime,
    Rss,
    /// An operator wants it.
    Restart,
}

impl Why {
    /// As in the label of the metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Killed => "killed",
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::MaxRequests => "max_requests",
            Self::MaxLifetime => "max_lifetime",
            Self::Rss => "rss",
            Self::Restart => "restart",
        }
    }
}

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
    pub(crate) generation: GenerationId,
    pub(crate) pid: Option<Pid>,
    /// What it said last of itself.
    pub(crate) heartbeat: Heartbeat,
    /// Resident bytes when they were measured last.
    pub(crate) rss: u64,
    pub(crate) limits: Limits,
    state: State,
    started: Instant,
    was_ready: bool,
    /// It was told to accept connections.
    serves: bool,
    /// It closed its control socket without having been told to leave.
    hung_up: bool,
    /// It has said itself that it accepts nothing any more.
    has_left: bool,
    /// When it was heard last, from its being ready on.
    heard: Instant,
    /// It has been asked what holds it up.
    asked: bool,
    patience: Patience,
    /// When patience with it ends; `None` while it is ready, and once it was killed.
    kill_at: Option<Instant>,
    killed: bool,
    /// The first thing that went wrong, in a word and in words.
    failure: Option<(Why, String)>,
}

/// What is left of a worker after its death.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    /// It never said that it was ready.
    pub(crate) failed_boot: bool,
    /// Too soon for the next one to be started without a pause.
    pub(crate) early: bool,
    /// What went wrong before its end, if anything did.
    pub(crate) why: Option<Why>,
    pub(crate) reason: String,
}

/// How long to wait for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Until it is ready.
    pub(crate) boot: Duration,
    /// For its next heartbeat.
    pub(crate) silence: Duration,
}

/// What a worker may use up before it is replaced: that of the configuration it was
/// started with, whatever came after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_requests: Option<u64>,
    /// Resident bytes at which it is replaced, or killed.
    pub(crate) recycle_rss: u64,
    pub(crate) kill_rss: u64,
}

/// What to do about a worker that is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Have it say what holds it up, once.
    Ask(Duration),
    /// It has been silent for as long as the configuration allows.
    TooLong(Duration),
}

/// Silent for this long, a worker is asked what it does.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// How long a silent worker may take to write its report and end.
pub(crate) const LAST_REPORT: Duration = Duration::from_secs(2);

impl Worker {
    /// A worker that starts now.
    pub(crate) fn starting(
        slot: usize,
        generation: GenerationId,
        patience: Patience,
        limits: Limits,
        now: Instant,
    ) -> Self {
        Self {
            slot,
            generation,
            pid: None,
            heartbeat: Heartbeat::default(),
            rss: 0,
            limits,
            state: State::Starting,
            started: now,
            was_ready: false,
            serves: false,
            hung_up: false,
            has_left: false,
            heard: now,
            asked: false,
            patience,
            kill_at: Some(later(now, patience.boot)),
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

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Time since it was heard last, or since its start.
    pub(crate) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// It accepts connections, as far as anybody knows.
    pub(crate) fn is_well(&self, now: Instant) -> bool {
        self.serves && self.state == State::Ready && self.silent_for(now) < 2 * ASK_AFTER
    }

    /// It can serve; false if that comes too late to matter.
    pub(crate) fn became_ready(&mut self, now: Instant) -> bool {
        self.was_ready = true;
        self.heard = now;
        let became_ready = self.change(Change::BecameReady);
        if became_ready && !self.killed {
            self.kill_at = None;
        }
        became_ready
    }

    /// Its event loop turns; how long it did not, if it has been asked why.
    pub(crate) fn beat(&mut self, heartbeat: Heartbeat, now: Instant) -> Option<Duration> {
        let silent = self.silent_for(now);
        self.heartbeat = heartbeat;
        self.heard = now;
        std::mem::take(&mut self.asked).then_some(silent)
    }

    /// Nobody listened, so its silence means nothing.
    pub(crate) fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// What to do about its silence, if anything.
    pub(crate) fn silence(&mut self, now: Instant) -> Option<Silence> {
        let deadline = self.silence_deadline()?;
        if deadline > now {
            return None;
        }
        let silent = self.silent_for(now);
        if silent >= self.patience.silence {
            return Some(Silence::TooLong(silent));
        }
        self.asked = true;
        Some(Silence::Ask(silent))
    }

    /// When its silence calls for something next.
    fn silence_deadline(&self) -> Option<Instant> {
        let timeout = self.patience.silence;
        let patience = if self.asked { timeout } else { timeout.min(ASK_AFTER) };
        let expected = self.was_ready && !self.killed && self.failure.is_none();
        expected.then(|| later(self.heard, patience))
    }

    /// It is told to accept connections.
    pub(crate) fn is_told_to_serve(&mut self) {
        self.serves = true;
    }

    /// It closed its control socket, which it may have done by dying.
    pub(crate) fn hangs_up(&mut self) {
        self.hung_up = true;
    }

    /// Whether it was first heard of its end when its control socket closed.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.hung_up
    }

    /// It says that it accepts nothing any more.
    pub(crate) fn says_it_left(&mut self) {
        self.has_left = true;
    }

    /// Whether it may still accept connections.
    pub(crate) fn may_accept(&self) -> bool {
        self.serves && !self.has_left && !self.killed && self.state != State::Exited
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
    pub(crate) fn fails(&mut self, why: Why, reason: String) {
        self.failure.get_or_insert((why, reason));
    }

    /// What went wrong, if anything did.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|(_, reason)| reason.as_str())
    }

    /// Nobody waits for it any more; false if it was killed before.
    pub(crate) fn kill(&mut self) -> bool {
        self.change(Change::Leaves);
        self.kill_at = None;
        !std::mem::replace(&mut self.killed, true)
    }

    /// When something has to be done about it, if it does nothing itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.kill_at.into_iter().chain(self.silence_deadline()).min()
    }

    /// Why it must be killed now, if it must.
    pub(crate) fn overdue(&self, now: Instant) -> Option<String> {
        self.kill_at.filter(|kill_at| *kill_at <= now).map(|_| match self.state {
            State::Starting => {
                format!("not ready {:.1?} after its start (workers.boot_timeout)", self.age(now))
            }
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
            why: self.failure.as_ref().map(|(why, _)| *why),
            reason: match self.failure {
                Some((_, failure)) => format!("{failure} ({how})"),
                None => how,
            },
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
        let patience = Patience { boot: 60 * SECOND, silence: 30 * SECOND };
        let limits = Limits { max_requests: None, recycle_rss: u64::MAX, kill_rss: u64::MAX };
        Worker::starting(0, GenerationId(1), patience, limits, now)
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
            Some("not ready 60.0s after its start (workers.boot_timeout)")
        );
        assert!(worker.became_ready(now));
        assert_eq!(worker.deadline(), Some(now + ASK_AFTER));
        assert_eq!(worker.overdue(now + 3600 * SECOND), None);
    }

    #[test]
    fn a_worker_that_leaves_keeps_its_first_time() {
        let now = Instant::now();
        let mut worker = worker(now);
        assert!(worker.leaves(now + 5 * SECOND));
        assert!(!worker.leaves(now + 50 * SECOND));
        assert_eq!(worker.deadline(), Some(now + 5 * SECOND));
        assert!(!worker.became_ready(now));
    }

    #[test]
    fn a_silent_worker_is_asked_once_and_given_up_at_the_timeout() {
        let now = Instant::now();
        let mut worker = worker(now);
        assert_eq!(worker.silence(now + 50 * SECOND), None, "it is starting");
        worker.became_ready(now);
        assert_eq!(worker.silence(now + SECOND / 2), None);
        assert!(!worker.is_well(now + SECOND), "it was not told to serve");
        worker.is_told_to_serve();
        assert!(worker.is_well(now + SECOND));
        assert_eq!(worker.silence(now + SECOND), Some(Silence::Ask(SECOND)));
        assert_eq!(worker.silence(now + 2 * SECOND), None);
        assert!(!worker.is_well(now + 2 * SECOND));
        assert_eq!(worker.deadline(), Some(now + 30 * SECOND));
        let late = worker.silence(now + 31 * SECOND);
        assert_eq!(late, Some(Silence::TooLong(31 * SECOND)));
    }

    #[test]
    fn a_heartbeat_ends_a_silence() {
        let now = Instant::now();
        let mut worker = worker(now);
        worker.became_ready(now);
        assert_eq!(worker.beat(Heartbeat::default(), now + SECOND / 2), None);
        worker.silence(now + 3 * SECOND);
        let silent = worker.beat(Heartbeat::default(), now + 4 * SECOND);
        assert_eq!(silent, Some(7 * SECOND / 2));
        assert_eq!(worker.deadline(), Some(now + 5 * SECOND));
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
        worker.became_ready(now);
        worker.fails(Why::Exited, "no memory".into());
        worker.fails(Why::Broken, "something after that".into());
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
