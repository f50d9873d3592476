//! Carrying out what the fleet wants.
//!
//! Owner: the [loop](super). Invariant: an action is carried out at once, and decides nothing.

use std::time::Instant;

use remuda_control::ToWorker;

use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{Mending, Supervisor, chain};
use crate::{
    Program, SupervisorError,
    admin::call::Refused,
    compile::compile_all,
    fleet::{Action, Event},
    helpers::Helpers,
    lifecycle::{GenerationId, WorkerId},
    link::Link,
    listeners::{Listener, Listeners},
    orders::{CANNOT, counted},
    spawn::{Berth, Launcher},
};

impl Supervisor {
    /// Carries out one action; what follows from it at once is an event again.
    pub(super) fn act(&mut self, action: Action) -> Result<Option<Event>, SupervisorError> {
        match action {
            Action::Spawn { worker, slot, generation } => {
                return Ok(self.spawn(worker, slot, generation));
            }
            Action::Send { worker, message } => return Ok(self.send(worker, message)),
            Action::Kill { worker, signal } => self.roster.kill(worker, signal),
            Action::LogReady => self.serves()?,
            Action::Reloaded { generation } => {
                if let Some(launcher) = self.launchers.get(&generation) {
                    self.plan.config = launcher.config.clone();
                }
                self.orders.reloaded(generation, self.fleet.wanted(), Instant::now());
                self.notifier.ready(&self.summary());
            }
            Action::ReloadFailed { generation, reason } => {
                let refused = Refused::new(CANNOT, reason);
                self.reload_failed(generation, &refused);
            }
            Action::Shrink { slots } => {
                if let Some(listeners) = &mut self.listeners {
                    self.slots.direct(listeners, slots);
                }
            }
            Action::StopListening => {
                if let Some(listeners) = self.listeners.take() {
                    listeners.last_call();
                }
            }
            Action::Finish(_) => {}
        }
        Ok(None)
    }

    fn spawn(&mut self, worker: WorkerId, slot: usize, generation: GenerationId) -> Option<Event> {
        // The fleet spawns nothing once it has ordered to stop listening, nor of a generation
        // that it does not use any more.
        let (listeners, launcher) = (self.listeners.as_mut()?, self.launchers.get(&generation)?);
        let failed = |reason: String| Some(Event::SpawnFailed { worker, reason });
        if let Some(gone) = launcher.artifacts.iter().find(|artifact| !artifact.exists()) {
            let reason = format!("{} has gone from the cache; compiling again", gone.display());
            self.mending.get_or_insert_with(|| {
                mend(launcher, &self.plan.program, &self.helpers, &self.tasks)
            });
            return failed(reason);
        }
        if let Err(error) = self.slots.make_room(listeners, slot) {
            return failed(chain(&error));
        }
        let Some(seat) = self.roster.take_seat(&self.scoreboard) else {
            return failed("too many workers".to_owned());
        };
        let launched =
            launcher.launch(&self.plan.program, &self.scoreboard, listeners.for_slot(slot));
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

    /// The first generation serves.
    pub(super) fn serves(&mut self) -> Result<(), SupervisorError> {
        if let Some(handover) = self.handover.take() {
            handover.ready();
            self.listeners.iter_mut().for_each(Listeners::take_over);
            self.sockets.take_over();
            self.answer()?;
            self.notifier.main_pid(std::process::id());
            let grace = self.plan.config.shutdown.graceful_timeout;
            self.slots.wait_for_predecessor(Instant::now(), grace);
        }
        self.notifier.ready(&self.summary());
        let shown = |listener: Option<&Listener>| {
            listener.map_or_else(|| "off".to_owned(), |listener| listener.address.to_string())
        };
        tracing::info!(
            addresses = self.addresses().join(","),
            workers = self.fleet.wanted(),
            admin = shown(self.sockets.admin().next()),
            control = shown(self.sockets.control()),
            pid = std::process::id(),
            elapsed_ms = self.started.elapsed().as_millis() as u64,
            "listening"
        );
        Ok(())
    }

    /// Where clients connect to, as the newest generation speaks there.
    pub(super) fn addresses(&self) -> Vec<String> {
        let newest = self.fleet.generation().and_then(|newest| self.launchers.get(&newest));
        let has_tls = newest.is_some_and(|launcher| launcher.config.http.tls.is_some());
        self.listeners.as_ref().map(|listeners| listeners.addresses(has_tls)).unwrap_or_default()
    }

    /// What the server does, in one line for people.
    pub(super) fn summary(&self) -> String {
        let addresses = self.addresses().join(",");
        let generation = self.fleet.generation().map_or(0, |generation| generation.0);
        format!("generation {generation}: {} on {addresses}", counted(self.fleet.wanted()))
    }
}

/// Compiles again what a generation serves; what is compiled comes to lie where it was.
fn mend(launcher: &Launcher, program: &Program, helpers: &Helpers, tasks: &TaskTracker) -> Mending {
    let (config, program, helpers) = (launcher.config.clone(), program.clone(), helpers.clone());
    AbortOnDropHandle::new(
        tasks.spawn(async move { compile_all(&program, &config, &helpers).await.map(drop) }),
    )
}
