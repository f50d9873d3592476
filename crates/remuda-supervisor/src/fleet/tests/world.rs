//! The processes a fleet believes in, and the rules that no sequence of events breaks.

use std::collections::{BTreeSet, VecDeque};

use super::super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const GRACE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) now: Instant,
    /// Processes that run, with their slots.
    pub(super) live: BTreeMap<WorkerId, usize>,
    pub(super) spawns_fail: bool,
    pub(super) finished: Option<Outcome>,
    killed: BTreeSet<WorkerId>,
}

impl World {
    pub(super) fn new(workers: usize) -> Self {
        let now = Instant::now();
        let policy = Policy { workers, boot_timeout: BOOT_TIMEOUT, grace: GRACE };
        Self {
            fleet: Fleet::new(policy, Jitter::seeded(1), now),
            now,
            live: BTreeMap::new(),
            spawns_fail: false,
            finished: None,
            killed: BTreeSet::new(),
        }
    }

    /// Workers `0..workers` were spawned.
    pub(super) fn started(workers: usize) -> Self {
        let mut world = Self::new(workers);
        world.happens(Event::Timer);
        world
    }

    /// Workers `0..workers` are ready.
    pub(super) fn ready(workers: usize) -> Self {
        let mut world = Self::started(workers);
        for worker in 0..workers as u64 {
            world.says(worker, FromWorker::Ready);
        }
        world
    }

    pub(super) fn says(&mut self, worker: u64, message: FromWorker) -> Vec<Action> {
        self.happens(Event::Said { worker: WorkerId(worker), message })
    }

    pub(super) fn exits(&mut self, worker: u64, code: i32) -> Vec<Action> {
        let worker = WorkerId(worker);
        assert!(self.live.remove(&worker).is_some(), "{worker:?} is not alive");
        self.happens(Event::Exited { worker, exit: Exit::Code(code) })
    }

    pub(super) fn passes(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.happens(Event::Timer)
    }

    pub(super) fn until_next_deadline(&self) -> Option<Duration> {
        self.fleet.next_deadline().map(|deadline| deadline.saturating_duration_since(self.now))
    }

    pub(super) fn live_slots(&self) -> Vec<usize> {
        let mut slots: Vec<_> = self.live.values().copied().collect();
        slots.sort_unstable();
        slots
    }

    pub(super) fn newest(&self) -> u64 {
        self.live.keys().next_back().map_or(0, |worker| worker.0)
    }

    /// Lets the fleet handle an event, and what follows from its own actions.
    pub(super) fn happens(&mut self, event: Event) -> Vec<Action> {
        let mut all = Vec::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.fleet.handle_event(event, self.now);
            for action in &actions {
                events.extend(self.carry_out(action));
            }
            all.extend(actions);
        }
        self.check();
        all
    }

    fn carry_out(&mut self, action: &Action) -> Option<Event> {
        assert_eq!(self.finished, None, "{action:?} after the last action");
        match action {
            Action::Spawn { worker, slot } => {
                assert!(self.fleet.is_serving(), "a worker was spawned although the server ends");
                assert!(!self.live_slots().contains(slot), "two workers for slot {slot}");
                if self.spawns_fail {
                    return Some(Event::SpawnFailed {
                        worker: *worker,
                        reason: "no more processes".into(),
                    });
                }
                self.live.insert(*worker, *slot);
                Some(Event::Spawned { worker: *worker, pid: Pid::INIT })
            }
            Action::Kill { worker, .. } => {
                assert!(self.killed.insert(*worker), "{worker:?} was killed twice");
                None
            }
            Action::Finish(outcome) => {
                assert!(self.live.is_empty(), "finished while {:?} live", self.live);
                self.finished = Some(outcome.clone());
                None
            }
            Action::Send { .. } | Action::LogReady | Action::StopListening => None,
        }
    }

    fn check(&self) {
        let ended = !self.fleet.is_serving() && self.live.is_empty();
        assert_eq!(self.finished.is_some(), ended, "finish comes when the last worker is gone");
        let deadline = self.fleet.next_deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "the loop would spin");
        let vacant = self.live.len() < self.fleet.slots.len();
        if self.fleet.is_serving() && vacant {
            let wait = self.until_next_deadline().expect("an attempt is planned");
            assert!(wait <= 30 * SECOND, "a slot stays empty for {wait:?}");
        }
    }
}
