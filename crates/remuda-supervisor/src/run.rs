//! The loop.
//!
//! Owner: whoever calls [`run`]. Invariant: waiting yields an event, the
//! [fleet](crate::fleet) decides, this file acts; nothing else happens here.

mod commands;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use remuda_control::{FromWorker, Scoreboard, ToWorker};
use rustix::process::Pid;
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    Plan, SupervisorError,
    admin::call::{Call, Health, Refused},
    backoff::Jitter,
    compile::compile_all,
    fleet::{Action, Event, Fleet, Outcome, Policy},
    helpers::Helpers,
    ledger::Ledger,
    lifecycle::{GenerationId, WorkerId},
    link::{Heard, Inbox, Link},
    listeners::Listeners,
    orders::Orders,
    reap::{Exit, reap},
    roster::Roster,
    signals::{Received, Signals},
    spawn::{Berth, Launcher},
    upgrade::Handover,
    view,
    watch::{self as kernel, Watch},
};

/// Messages of all workers together that may wait for the loop.
const INBOX: usize = 256;

/// Orders and questions of operators that may wait for the loop.
const CALLS: usize = 64;

/// Later than this, a timer says more about this process than about its workers.
const LATE: Duration = Duration::from_millis(500);

/// Serves `plan` until it is told to end or cannot go on.
///
/// Must run on a current-thread Tokio runtime with I/O and time enabled, on the main
/// thread of a process that waits for no children elsewhere.
///
/// # Errors
/// When an address cannot be bound, a component is unusable, or no worker starts; see
/// [`SupervisorError::exit_code`].
pub async fn run(plan: Plan) -> Result<(), SupervisorError> {
    let started = Instant::now();
    let io = |action| move |source| SupervisorError::Io { action, source };
    let signals = Signals::listen().map_err(io("take over signals"))?;
    let mut handover = Handover::from_environment()?;
    let workers = &plan.config.workers;
    let listeners = Listeners::bind(
        &plan.config.bind,
        workers.backlog,
        workers.accept,
        workers.count,
        handover.as_mut(),
    )?;
    let scoreboard = Scoreboard::create().map_err(io("share memory with workers"))?;
    let supervisor = Supervisor::new(plan, listeners, scoreboard, signals, started);
    match supervisor.run().await? {
        Outcome::AsAsked => Ok(()),
        Outcome::NoWorkerStarts { attempts, reason } => {
            Err(SupervisorError::Boot { attempts, reason })
        }
    }
}

struct Supervisor {
    plan: Plan,
    /// One for each generation that has workers, or will.
    launchers: BTreeMap<GenerationId, Launcher>,
    last_generation: GenerationId,
    /// Reads and compiles the next generation.
    loading: Option<AbortOnDropHandle<Result<Launcher, SupervisorError>>>,
    /// `None` once a drain has begun.
    listeners: Option<Listeners>,
    scoreboard: Arc<Scoreboard>,
    fleet: Fleet,
    roster: Roster,
    helpers: Helpers,
    ledger: Ledger,
    orders: Orders,
    signals: Signals,
    inbox: mpsc::Receiver<(WorkerId, Heard)>,
    /// For new workers; as long as it is here, the inbox is never closed.
    to_inbox: Inbox,
    calls: mpsc::Receiver<Call>,
    health: watch::Sender<Health>,
    watch: Watch,
    looks: Interval,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    started: Instant,
}

/// Why the loop woke up.
enum Wake {
    Signal(Received),
    Heard(WorkerId, Heard),
    Loaded(Result<Launcher, SupervisorError>),
    Called(Call),
    /// Time to look at what the kernel says.
    Look,
    Deadline {
        late: bool,
    },
}

impl Supervisor {
    fn new(
        plan: Plan,
        listeners: Listeners,
        scoreboard: Scoreboard,
        signals: Signals,
        started: Instant,
    ) -> Self {
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        let (_to_loop, calls) = mpsc::channel(CALLS);
        let fleet = Fleet::new(Jitter::random());
        let (health, _) = watch::channel(view::health(&fleet, started));
        let mut looks = interval(kernel::INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            plan,
            launchers: BTreeMap::new(),
            last_generation: GenerationId(0),
            loading: None,
            listeners: Some(listeners),
            scoreboard: Arc::new(scoreboard),
            fleet,
            roster: Roster::default(),
            helpers: Helpers::default(),
            ledger: Ledger::default(),
            orders: Orders::default(),
            signals,
            inbox,
            to_inbox,
            calls,
            health,
            watch: Watch::begin(),
            looks,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            started,
        }
    }

    async fn run(mut self) -> Result<Outcome, SupervisorError> {
        let mut events = VecDeque::new();
        self.load(self.plan.config.clone());
        loop {
            let wake = self.wake().await;
            self.interpret(wake, &mut events)?;
            while let Some(event) = events.pop_front() {
                if let Event::Exited { worker, .. } = event {
                    self.ledger.gone(worker);
                }
                for action in self.fleet.handle_event(event, Instant::now()) {
                    if let Action::Finish(outcome) = action {
                        self.end().await;
                        return Ok(outcome);
                    }
                    events.extend(self.act(action));
                }
            }
            self.settle();
        }
    }

    async fn end(mut self) {
        self.orders.give_up();
        self.loading = None;
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn wake(&mut self) -> Wake {
        let deadlines =
            [self.fleet.next_deadline(), self.ledger.deadline(), self.orders.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        let timer = async {
            match deadline {
                Some(deadline) => {
                    tokio::time::sleep_until(deadline.into()).await;
                    deadline.elapsed() > LATE
                }
                None => std::future::pending().await,
            }
        };
        let loading = self.loading.as_mut();
        let loaded = async {
            match loading {
                Some(loading) => loading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = self.signals.next() => Wake::Signal(signal),
            Some((worker, heard)) = self.inbox.recv() => Wake::Heard(worker, heard),
            Some(call) = self.calls.recv() => Wake::Called(call),
            loaded = loaded => Wake::Loaded(loaded.unwrap_or_else(|error| {
                Err(SupervisorError::Io { action: "load the configuration", source: error.into() })
            })),
            late = timer => Wake::Deadline { late },
            _ = self.looks.tick() => Wake::Look,
        }
    }

    fn interpret(
        &mut self,
        wake: Wake,
        events: &mut VecDeque<Event>,
    ) -> Result<(), SupervisorError> {
        match wake {
            Wake::Signal(Received::Order(signal)) => {
                self.loading = None;
                events.push_back(Event::Signal(signal));
            }
            Wake::Signal(Received::Command(command, signal)) => {
                events.extend(self.command(command, signal));
            }
            Wake::Signal(Received::ChildEnded) => {
                let ended = reap();
                events.extend(ended.into_iter().filter_map(|(pid, exit)| self.reaped(pid, exit)));
            }
            Wake::Heard(worker, Heard::Said(FromWorker::Snapshot(snapshot))) => {
                self.ledger.told(worker, *snapshot);
            }
            Wake::Heard(worker, Heard::Said(message)) => {
                events.push_back(Event::Said { worker, message })
            }
            Wake::Heard(worker, Heard::Garbage(reason)) => {
                events.push_back(Event::Broken { worker, reason })
            }
            Wake::Heard(worker, Heard::End) => events.extend(self.roster.fell_silent(worker)),
            Wake::Loaded(loaded) => {
                self.loading = None;
                events.extend(self.loaded(loaded)?);
            }
            Wake::Called(call) => events.extend(self.called(call)),
            Wake::Look => {
                self.watch.look(Instant::now());
                let rss = |(worker, pid)| Some(Event::Measured { worker, rss: kernel::rss(pid)? });
                events.extend(self.roster.running().filter_map(rss));
            }
            Wake::Deadline { late } => {
                events.extend(late.then_some(Event::Late));
                events.push_back(Event::Timer);
            }
        }
        Ok(())
    }

    fn reaped(&mut self, pid: Pid, exit: Exit) -> Option<Event> {
        if let Some(worker) = self.roster.owner(pid) {
            return self.roster.reaped(worker, exit);
        }
        if !self.helpers.reaped(pid, exit) {
            tracing::debug!(pid = pid.as_raw_pid(), %exit, "reaped a process of somebody else");
        }
        None
    }

    /// Carries out one action; what follows from it at once is an event again.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { worker, slot, generation } => {
                return self.spawn(worker, slot, generation);
            }
            Action::Send { worker, message } => return self.send(worker, message),
            Action::Kill { worker, signal } => self.roster.kill(worker, signal),
            Action::LogReady => self.log_ready(),
            Action::Reloaded { generation } => {
                if let Some(launcher) = self.launchers.get(&generation) {
                    self.plan.config = launcher.config.clone();
                }
                self.orders.reloaded(generation, self.fleet.wanted(), Instant::now());
            }
            Action::ReloadFailed { generation, reason } => {
                let refused = Refused::new(crate::orders::CANNOT, reason);
                self.orders.reload_failed(generation, &refused);
            }
            Action::Shrink { .. } => {}
            Action::StopListening { handed_over } => {
                if let Some(listeners) = self.listeners.take().filter(|_| !handed_over) {
                    listeners.last_call();
                }
            }
            Action::Finish(_) => {}
        }
        None
    }

    fn spawn(&mut self, worker: WorkerId, slot: usize, generation: GenerationId) -> Option<Event> {
        // The fleet spawns nothing once it has ordered to stop listening, nor of a generation
        // that it does not use any more.
        let (listeners, launcher) = (self.listeners.as_ref()?, self.launchers.get(&generation)?);
        let failed = |reason: String| Some(Event::SpawnFailed { worker, reason });
        let Some(seat) = self.roster.take_seat(&self.scoreboard) else {
            return failed("too many workers".to_owned());
        };
        let launched = launcher.launch(&self.plan.program, &self.scoreboard, listeners.for_slot(slot));
        let launched = match launched {
            Ok(launched) => launched,
            Err(error) => return failed(error.to_string()),
        };
        let gone = self.shutdown.child_token();
        let link = Link::open(worker, launched.control, self.to_inbox.clone(), &self.tasks, gone);
        let setup = launcher.setup(Berth { slot, seat: seat.number }, listeners.for_slot(slot));
        link.send(ToWorker::Configure(Box::new(setup)));
        self.roster.add(worker, launched.pid, seat, link);
        Some(Event::Spawned { worker, pid: launched.pid })
    }

    fn send(&mut self, worker: WorkerId, message: ToWorker) -> Option<Event> {
        let reason = "does not read its control socket";
        let broken = || Event::Broken { worker, reason: reason.to_owned() };
        (!self.roster.send(worker, message)).then(broken)
    }

    fn log_ready(&self) {
        tracing::info!(
            addresses = self.listeners.as_ref().map(Listeners::addresses).unwrap_or_default(),
            workers = self.fleet.wanted(),
            pid = std::process::id(),
            elapsed_ms = self.started.elapsed().as_millis() as u64,
            "listening"
        );
    }

    // Generations

    /// Compiles what `config` serves, as the next generation.
    fn load(&mut self, config: remuda_config::Config) -> GenerationId {
        let generation = GenerationId(self.last_generation.0 + 1);
        self.last_generation = generation;
        let (program, helpers) = (self.plan.program.clone(), self.helpers.clone());
        let loading = self.tasks.spawn(async move {
            let artifacts = compile_all(&program, &config, &helpers).await?;
            Ok(Launcher { generation, config, artifacts })
        });
        self.loading = Some(AbortOnDropHandle::new(loading));
        generation
    }

    /// The next generation is compiled, or cannot be; without one that serves, that is the
    /// end.
    fn loaded(
        &mut self,
        loaded: Result<Launcher, SupervisorError>,
    ) -> Result<Option<Event>, SupervisorError> {
        match loaded {
            Ok(launcher) => {
                let generation = launcher.generation;
                let policy = Policy::of(&launcher.config);
                self.launchers.insert(generation, launcher);
                Ok(Some(Event::Loaded { generation, policy }))
            }
            Err(error) if self.fleet.generation().is_none() => Err(error),
            Err(error) => {
                let refused = Refused::new(error.exit_code(), chain(&error));
                self.orders.reload_failed(self.last_generation, &refused);
                Ok(None)
            }
        }
    }

    /// What is to be done after every event.
    fn settle(&mut self) {
        let now = Instant::now();
        self.launchers.retain(|generation, _| self.fleet.uses(*generation));
        self.orders.settle(&self.fleet, now);
        for reply in self.ledger.due(now) {
            // Whoever asked may have gone.
            let _ = reply.send(self.metrics(now));
        }
        if !self.fleet.is_staying() {
            self.orders.give_up();
        } else if self.fleet.generation().is_some()
            && let Some(replies) = self.orders.next_reload()
        {
            self.reload(replies);
        }
        let health = view::health(&self.fleet, now);
        self.health.send_if_modified(|known| {
            let changed = *known != health;
            *known = health;
            changed
        });
    }
}

/// What went wrong, with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}
