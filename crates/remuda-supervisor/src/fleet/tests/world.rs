//! The processes a fleet believes in, and the rules that no sequence of events breaks.

use std::collections::{BTreeSet, VecDeque};

use remuda_control::Heartbeat;

use super::super::*;
use crate::lifecycle::Patience;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const GRACE: Duration = Duration::from_secs(20);
pub(super) const SILENCE: Duration = Duration::from_secs(30);
pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn policy(workers: usize) -> Policy {
    Policy {
        workers,
        patience: Patience { boot: BOOT_TIMEOUT, silence: SILENCE },
        drain_delay: Duration::ZERO,
        grace: GRACE,
        max_requests: Some(1000),
        max_requests_jitter: 0,
        max_lifetime: None,
        recycle_rss: 85 * MIB,
        kill_rss: 95 * MIB,
        own_sockets: false,
    }
}

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) now: Instant,
    /// Processes that run.
    pub(super) live: BTreeMap<WorkerId, Process>,
    pub(super) spawns_fail: bool,
    pub(super) finished: Option<Outcome>,
    /// The generation that was loaded last.
    pub(super) loaded: u64,
    killed: BTreeSet<WorkerId>,
    /// Reloads that have begun and not come to an end.
    pub(super) reloading: Option<GenerationId>,
}

/// What a fleet has made of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) slot: usize,
    pub(super) generation: GenerationId,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It was not told to serve.
    Waits,
    Serves,
    /// It was told to leave, or leaves by itself.
    Leaves,
}

impl World {
    pub(super) fn with(policy: Policy) -> Self {
        let mut world = Self {
            fleet: Fleet::new(Jitter::seeded(1)),
            now: Instant::now(),
            live: BTreeMap::new(),
            spawns_fail: false,
            finished: None,
            loaded: 0,
            killed: BTreeSet::new(),
            reloading: None,
        };
        world.load(policy);
        world
    }

    /// The next generation is compiled.
    pub(super) fn load(&mut self, policy: Policy) -> Vec<Action> {
        self.loaded += 1;
        let generation = GenerationId(self.loaded);
        let is_first = self.fleet.generation().is_none();
        self.reloading = (!is_first).then_some(generation);
        self.happens(Event::Loaded { generation, policy })
    }

    /// Workers `0..workers` were spawned.
    pub(super) fn started(workers: usize) -> Self {
        Self::with(policy(workers))
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
        if matches!(message, FromWorker::Draining | FromWorker::Failed { .. }) {
            self.leaves(WorkerId(worker));
        }
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

    /// The slots of the processes that were not told to leave.
    pub(super) fn live_slots(&self) -> Vec<usize> {
        let staying = self.live.values().filter(|process| process.role != Role::Leaves);
        let mut slots: Vec<_> = staying.map(|process| process.slot).collect();
        slots.sort_unstable();
        slots
    }

    /// How many processes serve.
    pub(super) fn serving(&self) -> usize {
        self.live.values().filter(|process| process.role == Role::Serves).count()
    }

    /// A healthy worker's heartbeat.
    pub(super) fn beats(&mut self, worker: u64, served: u64) -> Vec<Action> {
        self.says(worker, FromWorker::Heartbeat(Heartbeat { served, ..Heartbeat::default() }))
    }

    /// Time passes, and this worker is heard all the while, whatever it does.
    pub(super) fn passes_beating(&mut self, worker: u64, time: Duration) -> Vec<Action> {
        let mut all = Vec::new();
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + SECOND / 2).min(end);
            all.extend(self.beats(worker, 0));
            all.extend(self.happens(Event::Timer));
        }
        all
    }

    /// Time passes, and every worker that is ready is heard all the while.
    pub(super) fn passes_well(&mut self, time: Duration) -> Vec<Action> {
        let mut all = Vec::new();
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + SECOND / 2).min(end);
            for worker in self.live.keys().map(|worker| worker.0).collect::<Vec<_>>() {
                if self.fleet.is_ready(WorkerId(worker)) {
                    all.extend(self.beats(worker, 0));
                }
            }
            all.extend(self.happens(Event::Timer));
        }
        all
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
            Action::Spawn { worker, slot, generation } => {
                assert!(self.fleet.is_serving(), "a worker was spawned although the server ends");
                self.check_room(*slot, *generation);
                if self.spawns_fail {
                    return Some(Event::SpawnFailed {
                        worker: *worker,
                        reason: "no more processes".into(),
                    });
                }
                let role = Role::Waits;
                self.live.insert(*worker, Process { slot: *slot, generation: *generation, role });
                Some(Event::Spawned { worker: *worker, pid: Pid::INIT })
            }
            Action::Kill { worker, signal } => {
                if *signal == process::Signal::KILL {
                    assert!(self.killed.insert(*worker), "{worker:?} was killed twice");
                }
                if *signal != process::Signal::USR1 {
                    self.leaves(*worker);
                }
                None
            }
            Action::Send { worker, message: ToWorker::Serve } => {
                let process = self.live.get_mut(worker).expect("told to serve while it lives");
                assert_eq!(process.role, Role::Waits, "told to serve twice");
                process.role = Role::Serves;
                None
            }
            Action::Send { worker, message: ToWorker::Drain { .. } } => {
                let process = self.live.get(worker).expect("told to leave while it lives");
                assert_ne!(process.role, Role::Leaves, "told to leave twice");
                self.leaves(*worker);
                None
            }
            Action::Finish(outcome) => {
                assert!(self.live.is_empty(), "finished while {:?} live", self.live);
                self.finished = Some(outcome.clone());
                None
            }
            Action::Reloaded { generation } | Action::ReloadFailed { generation, .. } => {
                assert_eq!(self.reloading.take(), Some(*generation), "a reload ends once");
                None
            }
            Action::Send { .. }
            | Action::LogReady
            | Action::Shrink { .. }
            | Action::StopListening => None,
        }
    }

    pub(super) fn leaves(&mut self, worker: WorkerId) {
        if let Some(process) = self.live.get_mut(&worker) {
            process.role = Role::Leaves;
        }
    }

    /// A slot has one worker that serves, and at most one that is about to; of a generation
    /// that is starting just the latter.
    fn check_room(&self, slot: usize, generation: GenerationId) {
        let there = self.live.values().filter(|process| {
            process.slot == slot && process.generation == generation && process.role != Role::Leaves
        });
        let there: Vec<_> = there.collect();
        assert!(
            there.is_empty() || (there.len() == 1 && there[0].role == Role::Serves),
            "a worker for slot {slot} of {generation:?} beside {there:?}"
        );
    }

    fn check(&self) {
        let ended = !self.fleet.is_serving() && self.live.is_empty();
        assert_eq!(self.finished.is_some(), ended, "finish comes when the last worker is gone");
        let deadline = self.fleet.next_deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "the loop would spin");
        let is_vacant = |slot| self.live.values().all(|process| process.slot != slot);
        let vacant = (0..self.fleet.wanted()).any(is_vacant);
        if self.fleet.is_serving() && vacant {
            let wait = self.until_next_deadline().expect("an attempt is planned");
            assert!(wait <= 30 * SECOND, "a slot stays empty for {wait:?}");
        }
    }
}
