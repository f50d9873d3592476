//! What the fleet is told, and what it wants done.

use std::time::Duration;

use remuda_config::{Accept, Config};
use remuda_control::{FromWorker, ToWorker};
use rustix::process::{self, Pid};

use crate::{
    lifecycle::{GenerationId, Patience, WorkerId},
    reap::Exit,
    signals::Signal,
};

/// What the operator asked for, in one configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) workers: usize,
    pub(crate) patience: Patience,
    /// How long connections are accepted after readiness went false.
    pub(crate) drain_delay: Duration,
    /// How long a drain waits for requests in flight.
    pub(crate) grace: Duration,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_requests_jitter: u64,
    pub(crate) max_lifetime: Option<Duration>,
    /// Resident bytes of a worker that is to be replaced, or killed.
    pub(crate) recycle_rss: u64,
    pub(crate) kill_rss: u64,
    /// Each slot has listening sockets of its own.
    pub(crate) own_sockets: bool,
}

impl Policy {
    pub(crate) fn of(config: &Config) -> Self {
        let (workers, shutdown) = (&config.workers, &config.shutdown);
        Self {
            workers: workers.count,
            patience: Patience { boot: workers.boot_timeout, silence: workers.heartbeat_timeout },
            drain_delay: shutdown.drain_delay,
            grace: shutdown.graceful_timeout,
            max_requests: workers.max_requests,
            max_requests_jitter: workers.max_requests_jitter,
            max_lifetime: workers.max_lifetime,
            recycle_rss: workers.recycle_rss,
            kill_rss: workers.kill_rss,
            own_sockets: workers.accept == Accept::ReusePort,
        }
    }
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A configuration was read and all of its components are compiled.
    Loaded {
        generation: GenerationId,
        policy: Policy,
    },
    Spawned {
        worker: WorkerId,
        pid: Pid,
    },
    SpawnFailed {
        worker: WorkerId,
        reason: String,
    },
    Said {
        worker: WorkerId,
        message: FromWorker,
    },
    /// It sent what is no message, or does not take ours.
    Broken {
        worker: WorkerId,
        reason: String,
    },
    /// Its end of the control socket is closed.
    HungUp {
        worker: WorkerId,
    },
    /// It is gone, and so is its last message.
    Exited {
        worker: WorkerId,
        exit: Exit,
    },
    /// What the kernel says of its memory.
    Measured {
        worker: WorkerId,
        rss: u64,
    },
    Signal(Signal),
    Drain,
    Scale(usize),
    Restart {
        slot: usize,
    },
    /// A new server process serves, on the same listeners.
    HandedOver,
    /// This process did not run for a while, and has listened to nobody.
    Late,
    /// [`Fleet::next_deadline`](super::Fleet::next_deadline) is reached.
    Timer,
}

/// What to do about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Spawn {
        worker: WorkerId,
        slot: usize,
        generation: GenerationId,
    },
    Send {
        worker: WorkerId,
        message: ToWorker,
    },
    Kill {
        worker: WorkerId,
        signal: process::Signal,
    },
    /// All workers are ready for the first time.
    LogReady,
    /// The new generation serves, and the old one is on its way out.
    Reloaded {
        generation: GenerationId,
    },
    /// The new generation is given up, and the old one serves.
    ReloadFailed {
        generation: GenerationId,
        reason: String,
    },
    /// Slots from this one on take no new connections.
    Shrink {
        slots: usize,
    },
    /// Nobody here takes new connections any more.
    StopListening,
    /// The last action ever.
    Finish(Outcome),
}

/// How the server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    AsAsked,
    NoWorkerStarts { attempts: u32, reason: String },
}
