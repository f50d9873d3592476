//! The loop.
//!
//! Owner: whoever calls [`run`]. Invariant: waiting yields an event, the
//! [fleet](crate::fleet) decides, this file acts; nothing else happens here.

mod actions;
mod bound;
mod commands;
mod generations;
mod slots;
mod upgrading;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bound::Bound;
use remuda_config::BoundAddress;
use remuda_control::{FromWorker, Scoreboard};
use rustix::process::Pid;
use slots::Slots;
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use upgrading::Upgrading;

use crate::{
    Plan, SupervisorError,
    admin::{
        Access, Admin,
        call::{Call, Health},
        sockets::Sockets,
    },
    backoff::Jitter,
    fleet::{Action, Event, Fleet, Outcome},
    helpers::Helpers,
    ledger::{Asker, Ledger},
    lifecycle::{GenerationId, WorkerId},
    link::{Heard, Inbox},
    listeners::Listeners,
    meter::Meter,
    notify::Notifier,
    orders::Orders,
    reap::{Exit, reap},
    roster::Roster,
    signals::{Received, Signals},
    spawn::Launcher,
    upgrade::{Handover, UpgradeOutcome},
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
    let handover = Handover::from_environment()?;
    let mut supervisor = Supervisor::bind(plan, handover)?;
    let result = match supervisor.run().await {
        Ok(Outcome::AsAsked) => Ok(()),
        Ok(Outcome::NoWorkerStarts { attempts, reason }) => {
            Err(SupervisorError::Boot { attempts, reason })
        }
        Err(error) => Err(error),
    };
    supervisor.end(result.as_ref().err()).await;
    result
}

type Mending = AbortOnDropHandle<Result<(), SupervisorError>>;

struct Supervisor {
    plan: Plan,
    /// One for each generation that has workers, or will.
    launchers: BTreeMap<GenerationId, Launcher>,
    last_generation: GenerationId,
    /// Reads and compiles the next generation.
    loading: Option<AbortOnDropHandle<Result<Launcher, SupervisorError>>>,
    /// Compiles again what somebody has removed from the cache.
    mending: Option<Mending>,
    /// How many workers were ordered since that began.
    scaled: Option<usize>,
    /// `None` once a drain has begun.
    listeners: Option<Listeners>,
    slots: Slots,
    sockets: Sockets,
    admin: Admin,
    /// Ends the admin server, which answers longer than anybody else.
    answering: CancellationToken,
    /// From the server before this one, until it is told that this one is ready.
    handover: Option<Handover>,
    upgrading: Option<Upgrading>,
    /// What the last upgrade has started.
    successor: Option<Pid>,
    scoreboard: Arc<Scoreboard>,
    fleet: Fleet,
    roster: Roster,
    helpers: Helpers,
    ledger: Ledger,
    meter: Meter,
    orders: Orders,
    signals: Signals,
    inbox: mpsc::Receiver<(WorkerId, Heard)>,
    /// For new workers; as long as it is here, the inbox is never closed.
    to_inbox: Inbox,
    calls: mpsc::Receiver<Call>,
    health: watch::Sender<Health>,
    notifier: Notifier,
    /// When to tell the service manager that the loop turns.
    watchdog: Option<Interval>,
    watch: Watch,
    looks: Interval,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// It is known to everybody that the server was told to end.
    is_ending: bool,
    started: Instant,
}

/// Why the loop woke up.
enum Wake {
    Signal(Received),
    Heard(WorkerId, Heard),
    Loaded(Box<Result<Launcher, SupervisorError>>),
    Called(Call),
    Upgraded(UpgradeOutcome),
    /// Time to look at what the kernel says.
    Look,
    /// Time to tell the service manager that the loop turns.
    Watchdog,
    Deadline,
}

impl Supervisor {
    /// Binds everything, and starts nothing but the admin server.
    fn bind(plan: Plan, mut handover: Option<Handover>) -> Result<Self, SupervisorError> {
        let bound = Bound::new(&plan.config, handover.as_mut());
        let Bound { signals, listeners, sockets, scoreboard } = match bound {
            Ok(bound) => bound,
            Err(error) => {
                if let Some(handover) = handover {
                    handover.failed(&chain(&error));
                }
                return Err(error);
            }
        };
        let started = Instant::now();
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        let (to_loop, calls) = mpsc::channel(CALLS);
        let fleet = Fleet::new(Jitter::random());
        let (health, known) = watch::channel(view::health(&fleet, started));
        let control = sockets.control().and_then(|listener| match &listener.address {
            BoundAddress::Unix(path) => Some(path.clone()),
            BoundAddress::Tcp(_) => None,
        });
        let notifier = Notifier::from_environment();
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let supervisor = Self {
            launchers: BTreeMap::new(),
            last_generation: GenerationId(0),
            loading: None,
            mending: None,
            scaled: None,
            slots: Slots::new(listeners.widest()),
            listeners: Some(listeners),
            sockets,
            admin: Admin { calls: to_loop, health: known, control },
            answering: CancellationToken::new(),
            handover,
            upgrading: None,
            successor: None,
            scoreboard,
            fleet,
            roster: Roster::default(),
            helpers: Helpers::default(),
            ledger: Ledger::default(),
            meter: Meter::default(),
            orders: Orders::default(),
            signals,
            inbox,
            to_inbox,
            calls,
            health,
            watchdog: notifier.watchdog_interval().map(every),
            notifier,
            watch: Watch::begin(),
            looks: every(kernel::INTERVAL),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            is_ending: false,
            started,
            plan,
        };
        if supervisor.handover.is_none() {
            // Health is asked for while components are compiled.
            supervisor.answer()?;
        }
        Ok(supervisor)
    }

    /// Serves the admin listeners.
    fn answer(&self) -> Result<(), SupervisorError> {
        let serve = |listener, access| {
            let answering = self.answering.clone();
            let served = self.admin.serve(listener, access, &self.tasks, answering);
            served.map_err(|source| SupervisorError::Io { action: "serve administration", source })
        };
        for listener in self.sockets.admin() {
            serve(listener, Access::ReadOnly)?;
        }
        self.sockets.control().map_or(Ok(()), |listener| serve(listener, Access::Full))
    }

    async fn run(&mut self) -> Result<Outcome, SupervisorError> {
        let mut events = VecDeque::new();
        self.load(self.plan.config.clone());
        loop {
            let deadline = self.deadline();
            let wake = self.wake(deadline).await;
            // Who was not heard may not have been listened to.
            let is_late = deadline.is_some_and(|deadline| deadline.elapsed() > LATE);
            events.extend(is_late.then_some(Event::Late));
            self.interpret(wake, &mut events)?;
            while let Some(event) = events.pop_front() {
                if let Event::Exited { worker, .. } = event {
                    self.ledger.gone(worker);
                    self.meter.gone(worker);
                }
                for action in self.fleet.handle_event(event, Instant::now()) {
                    if let Action::Finish(outcome) = action {
                        return Ok(outcome);
                    }
                    events.extend(self.act(action)?);
                }
            }
            self.settle();
        }
    }

    /// Lets go of everything; `error` is why, if it is not as asked.
    async fn end(mut self, error: Option<&SupervisorError>) {
        if let (Some(handover), Some(error)) = (self.handover.take(), error) {
            handover.failed(&chain(error));
        }
        self.orders.give_up();
        self.loading = None;
        self.mending = None;
        self.upgrading = None;
        self.inbox.close();
        self.shutdown.cancel();
        self.answering.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if error.is_none() {
            tracing::info!(uptime_s = self.started.elapsed().as_secs(), "stopped");
        }
    }

    /// When something is to be done at the latest.
    fn deadline(&self) -> Option<Instant> {
        let deadlines =
            [self.fleet.next_deadline(), self.ledger.deadline(), self.orders.deadline()];
        deadlines.into_iter().flatten().min()
    }

    async fn wake(&mut self, deadline: Option<Instant>) -> Wake {
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let loaded = async {
            match &mut self.loading {
                Some(loading) => loading.await,
                None => std::future::pending().await,
            }
        };
        let upgraded = async {
            match &mut self.upgrading {
                Some(upgrading) => upgrading.outcome().await,
                None => std::future::pending().await,
            }
        };
        let watchdog = async {
            match &mut self.watchdog {
                Some(ticks) => ticks.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = self.signals.next() => Wake::Signal(signal),
            // Before the workers, any of which may have much to say.
            _ = watchdog => Wake::Watchdog,
            Some(call) = self.calls.recv() => Wake::Called(call),
            Some((worker, heard)) = self.inbox.recv() => Wake::Heard(worker, heard),
            loaded = loaded => Wake::Loaded(Box::new(loaded.unwrap_or_else(|error| {
                Err(SupervisorError::Io { action: "load the configuration", source: error.into() })
            }))),
            outcome = upgraded => Wake::Upgraded(outcome),
            () = timer => Wake::Deadline,
            _ = self.looks.tick() => Wake::Look,
        }
    }

    fn interpret(
        &mut self,
        wake: Wake,
        events: &mut VecDeque<Event>,
    ) -> Result<(), SupervisorError> {
        match wake {
            Wake::Signal(Received::Order(signal)) => events.push_back(Event::Signal(signal)),
            Wake::Signal(Received::Command(command, signal)) => {
                events.extend(self.command(command, signal));
            }
            Wake::Signal(Received::ChildEnded) => {
                // What they have used goes with them.
                self.read_meter();
                let ended = reap();
                events.extend(ended.into_iter().filter_map(|(pid, exit)| self.reaped(pid, exit)));
            }
            Wake::Heard(worker, Heard::Said(FromWorker::Snapshot(snapshot))) => {
                self.ledger.told(worker, *snapshot);
            }
            Wake::Heard(worker, Heard::Said(message)) => {
                events.extend(self.measured_at_first(worker, &message));
                events.push_back(Event::Said { worker, message });
            }
            Wake::Heard(worker, Heard::Garbage(reason)) => {
                events.push_back(Event::Broken { worker, reason })
            }
            Wake::Heard(worker, Heard::End) => events.extend(self.roster.fell_silent(worker)),
            Wake::Loaded(loaded) => {
                self.loading = None;
                events.extend(self.loaded(*loaded)?);
            }
            Wake::Called(call) => events.extend(self.called(call)),
            Wake::Upgraded(outcome) => events.extend(self.upgraded(outcome)),
            Wake::Watchdog => self.notifier.watchdog(),
            Wake::Look => {
                self.watch.look(Instant::now());
                // What a worker has counted is not to be lost with it.
                self.refresh();
                events.extend(self.roster.running().filter_map(measured));
            }
            Wake::Deadline => events.push_back(Event::Timer),
        }
        Ok(())
    }

    /// A worker that has just become ready has memory to show.
    fn measured_at_first(&self, worker: WorkerId, message: &FromWorker) -> Option<Event> {
        let is_ready = matches!(message, FromWorker::Ready);
        measured(self.roster.running().find(|(running, _)| is_ready && *running == worker)?)
    }

    /// Reads what the workers have used that were not waited for.
    fn read_meter(&mut self) {
        let running: BTreeMap<_, _> = self.roster.running().collect();
        for (id, worker) in self.fleet.workers() {
            if let Some(pid) = running.get(&id) {
                self.meter.read(id, worker.slot, *pid);
            }
        }
    }

    fn reaped(&mut self, pid: Pid, exit: Exit) -> Option<Event> {
        if let Some(worker) = self.roster.owner(pid) {
            return self.roster.reaped(worker, exit);
        }
        if self.successor == Some(pid) {
            tracing::info!(pid = pid.as_raw_pid(), %exit, "the new server ended");
        } else if !self.helpers.reaped(pid, exit) {
            tracing::debug!(pid = pid.as_raw_pid(), %exit, "reaped a process of somebody else");
        }
        None
    }

    /// The server was told to end: nothing new begins, and nobody is left without an answer.
    fn prepare_to_end(&mut self) {
        if !std::mem::replace(&mut self.is_ending, true) {
            self.notifier.stopping();
        }
        self.loading = None;
        if self.upgrading.take().is_some() {
            tracing::warn!("the upgrade is given up, the server is stopping");
        }
        self.orders.give_up();
    }

    /// What is to be done after every event.
    fn settle(&mut self) {
        let now = Instant::now();
        self.mending.take_if(|mending| mending.is_finished());
        self.launchers.retain(|generation, _| self.fleet.uses(*generation));
        self.orders.settle(&self.fleet, now);
        for asker in self.ledger.due(now) {
            // Whoever asked may have gone.
            match asker {
                Asker::Status(reply) => drop(reply.send(self.status(now))),
                Asker::Metrics(reply) => drop(reply.send(self.metrics(now))),
            }
        }
        if let Some(listeners) = &mut self.listeners {
            self.slots.settle(listeners, &self.fleet, now);
        }
        if !self.fleet.is_staying() {
            self.prepare_to_end();
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

fn measured((worker, pid): (WorkerId, Pid)) -> Option<Event> {
    Some(Event::Measured { worker, rss: kernel::rss(pid)? })
}

/// What went wrong, with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}
