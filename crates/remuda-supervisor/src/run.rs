//! The loop.
//!
//! Owner: whoever calls [`run`]. Invariant: waiting yields an event, the
//! [fleet](crate::fleet) decides, this file acts; nothing else happens here.

use std::{collections::VecDeque, time::Instant};

use remuda_control::ToWorker;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Plan, SupervisorError,
    backoff::Jitter,
    compile::compile_all,
    fleet::{Action, Event, Fleet, Outcome, Policy},
    lifecycle::WorkerId,
    link::{Heard, Inbox, Link},
    listeners::Listeners,
    reap::reap,
    roster::Roster,
    signals::{Received, Signals},
    spawn::Launcher,
};

/// Messages of all workers together that may wait for the loop.
const INBOX: usize = 256;

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
    let mut signals = Signals::listen()
        .map_err(|source| SupervisorError::Io { action: "take over signals", source })?;
    let listeners = Listeners::bind(&plan.config.bind, plan.config.workers.backlog)?;
    let Some(artifacts) = compile_all(&plan, &mut signals).await? else { return Ok(()) };
    let supervisor = Supervisor::new(Launcher { plan, artifacts }, listeners, signals, started);
    match supervisor.run().await {
        Outcome::AsAsked => Ok(()),
        Outcome::NoWorkerStarts { attempts, reason } => {
            Err(SupervisorError::Boot { attempts, reason })
        }
    }
}

struct Supervisor {
    launcher: Launcher,
    /// `None` once a drain has begun.
    listeners: Option<Listeners>,
    fleet: Fleet,
    roster: Roster,
    signals: Signals,
    inbox: mpsc::Receiver<(WorkerId, Heard)>,
    /// For new workers; as long as it is here, the inbox is never closed.
    to_inbox: Inbox,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    started: Instant,
}

/// Why the loop woke up.
enum Wake {
    Signal(Received),
    Heard(WorkerId, Heard),
    Deadline,
}

impl Supervisor {
    fn new(launcher: Launcher, listeners: Listeners, signals: Signals, started: Instant) -> Self {
        let config = &launcher.plan.config;
        let policy = Policy {
            workers: config.workers.count,
            boot_timeout: config.workers.boot_timeout,
            grace: config.shutdown.graceful_timeout,
        };
        let (to_inbox, inbox) = mpsc::channel(INBOX);
        Self {
            fleet: Fleet::new(policy, Jitter::random(), Instant::now()),
            launcher,
            listeners: Some(listeners),
            roster: Roster::default(),
            signals,
            inbox,
            to_inbox,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            started,
        }
    }

    async fn run(mut self) -> Outcome {
        let mut events = VecDeque::new();
        loop {
            let wake = self.wake().await;
            self.interpret(wake, &mut events);
            while let Some(event) = events.pop_front() {
                for action in self.fleet.handle_event(event, Instant::now()) {
                    if let Action::Finish(outcome) = action {
                        self.shutdown.cancel();
                        self.tasks.close();
                        self.tasks.wait().await;
                        return outcome;
                    }
                    events.extend(self.act(action));
                }
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let deadline = self.fleet.next_deadline();
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = self.signals.next() => Wake::Signal(signal),
            Some((worker, heard)) = self.inbox.recv() => Wake::Heard(worker, heard),
            () = timer => Wake::Deadline,
        }
    }

    fn interpret(&mut self, wake: Wake, events: &mut VecDeque<Event>) {
        match wake {
            Wake::Signal(Received::Order(signal)) => events.push_back(Event::Signal(signal)),
            Wake::Signal(Received::ChildEnded) => {
                events.extend(
                    reap().into_iter().filter_map(|(pid, exit)| self.roster.reaped(pid, exit)),
                );
            }
            Wake::Heard(worker, Heard::Said(message)) => {
                events.push_back(Event::Said { worker, message })
            }
            Wake::Heard(worker, Heard::Garbage(reason)) => {
                events.push_back(Event::Broken { worker, reason })
            }
            Wake::Heard(worker, Heard::End) => events.extend(self.roster.fell_silent(worker)),
            Wake::Deadline => events.push_back(Event::Timer),
        }
    }

    /// Carries out one action; what follows from it at once is an event again.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { worker, slot } => return self.spawn(worker, slot),
            Action::Send { worker, message } => return self.send(worker, message),
            Action::Kill { worker, signal } => self.roster.kill(worker, signal),
            Action::LogReady => self.log_ready(),
            Action::StopListening => {
                if let Some(listeners) = self.listeners.take() {
                    listeners.last_call();
                }
            }
            Action::Finish(_) => {}
        }
        None
    }

    fn spawn(&mut self, worker: WorkerId, slot: usize) -> Option<Event> {
        // The fleet spawns nothing once it has ordered to stop listening.
        let listeners = self.listeners.as_ref()?;
        let launched = match self.launcher.launch(listeners) {
            Ok(launched) => launched,
            Err(error) => return Some(Event::SpawnFailed { worker, reason: error.to_string() }),
        };
        let gone = self.shutdown.child_token();
        let link = Link::open(worker, launched.control, self.to_inbox.clone(), &self.tasks, gone);
        let configure = ToWorker::Configure(Box::new(self.launcher.setup(slot, listeners)));
        link.send(configure);
        self.roster.add(worker, launched.pid, link);
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
            workers = self.launcher.plan.config.workers.count,
            pid = std::process::id(),
            elapsed_ms = self.started.elapsed().as_millis() as u64,
            "listening"
        );
    }
}
