//! From a configuration to a generation.
//!
//! Owner: the [loop](super). Invariant: what goes wrong before a generation serves leaves the
//! one before it as it was; without one before it, it is the end of the server.

use std::time::Instant;

use remuda_config::Config;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Supervisor, chain};
use crate::{
    SupervisorError,
    admin::call::Refused,
    compile::compile_all,
    fleet::{Event, Policy},
    lifecycle::GenerationId,
    orders::Reply,
    spawn::Launcher,
};

/// How many times as long as a worker's boot compiling all components may take.
const COMPILING: u32 = 10;

impl Supervisor {
    /// Compiles what `config` serves, as the next generation.
    pub(super) fn load(&mut self, config: remuda_config::Config) -> GenerationId {
        let generation = GenerationId(self.last_generation.0 + 1);
        self.last_generation = generation;
        self.scaled = None;
        let (program, helpers) = (self.plan.program.clone(), self.helpers.clone());
        let limit = config.workers.boot_timeout.saturating_mul(COMPILING);
        let loading = self.tasks.spawn(async move {
            let compiled = timeout(limit, compile_all(&program, &config, &helpers)).await;
            let artifacts = compiled.map_err(|_| SupervisorError::CompilerHangs { limit })??;
            Ok(Launcher { generation, config, artifacts })
        });
        self.loading = Some(AbortOnDropHandle::new(loading));
        generation
    }

    /// The next generation is compiled, or cannot be; without one that serves, that is the
    /// end.
    pub(super) fn loaded(
        &mut self,
        loaded: Result<Launcher, SupervisorError>,
    ) -> Result<Option<Event>, SupervisorError> {
        match loaded {
            Ok(launcher) => {
                let generation = launcher.generation;
                let mut policy = Policy::of(&launcher.config);
                if let Some(workers) = self.scaled.take() {
                    policy.workers = workers;
                }
                self.launchers.insert(generation, launcher);
                Ok(Some(Event::Loaded { generation, policy }))
            }
            Err(error) if self.fleet.generation().is_none() => Err(error),
            Err(error) => {
                let refused = Refused::new(error.exit_code(), chain(&error));
                self.reload_failed(self.last_generation, &refused);
                Ok(None)
            }
        }
    }

    /// Reads the configuration and begins to load it.
    pub(super) fn reload(&mut self, replies: Vec<Reply>) {
        let now = Instant::now();
        self.notifier.reloading();
        let config = (self.plan.source.0)().and_then(|config| self.compatible(config));
        match config {
            Ok(config) => {
                let generation = self.load(config);
                self.orders.reload_began(generation, replies, now);
            }
            Err(reason) => {
                self.last_generation.0 += 1;
                self.orders.reload_began(self.last_generation, replies, now);
                self.reload_failed(self.last_generation, &Refused::new(78, reason));
            }
        }
    }

    pub(super) fn reload_failed(&mut self, generation: GenerationId, refused: &Refused) {
        self.orders.reload_failed(generation, refused);
        if self.fleet.is_staying() {
            self.notifier.ready(&self.summary());
        }
    }

    /// What a reload cannot change is refused rather than ignored.
    fn compatible(&self, new: Config) -> Result<Config, String> {
        let old = &self.plan.config;
        let changed = [
            ("bind", new.bind != old.bind),
            ("admin", new.admin != old.admin),
            ("control", new.control != old.control),
            ("workers.accept", new.workers.accept != old.workers.accept),
            ("workers.backlog", new.workers.backlog != old.workers.backlog),
        ];
        let changed: Vec<_> = changed.iter().filter(|(_, it)| *it).map(|(key, _)| *key).collect();
        if changed.is_empty() {
            return Ok(new);
        }
        Err(format!(
            "{} cannot change while the server runs, for its sockets stay open: undo it, or restart \
             the server (SIGUSR2 does so without losing a request)",
            changed.join(", ")
        ))
    }
}
