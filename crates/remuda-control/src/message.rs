//! The messages themselves.

use std::{path::PathBuf, time::Duration};

use remuda_config::{BoundAddress, Config};
use serde::{Deserialize, Serialize};

use crate::Snapshot;

/// From the supervisor to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message: what to serve, and with what.
    Configure(Box<WorkerSetup>),
    /// Answer to [`FromWorker::Ready`]: accept connections from now on. A generation
    /// serves when all of it can, or not at all.
    Serve,
    /// Stop accepting, finish what is in flight, exit; drop guests after `grace`.
    Drain {
        grace: Duration,
        /// Nobody else accepts from these listeners: first take what is in their queues.
        empty_queue: bool,
    },
    /// Answer with a [`FromWorker::Snapshot`].
    Snapshot,
}

/// Everything a worker needs before it can say [`FromWorker::Ready`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerSetup {
    /// The worker's place in the fleet, from 0; a replacement takes over the slot.
    pub slot: usize,
    /// Counts the configurations that this server has had, from 1.
    pub generation: u64,
    /// Where the worker writes on the scoreboard; no other living process has the same.
    pub seat: usize,
    pub config: Config,
    pub listeners: Vec<InheritedListener>,
    /// The compiled component of each route, in the order of `config.routes`.
    pub artifacts: Vec<PathBuf>,
}

/// A listening socket that the worker inherits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InheritedListener {
    /// Its file descriptor in the worker.
    pub descriptor: i32,
    pub address: BoundAddress,
}

/// From a worker to the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// All components are loaded; connections are accepted once the supervisor says so.
    Ready,
    /// The event loop turns; at least every [`Heartbeat::INTERVAL`].
    Heartbeat(Heartbeat),
    /// Everything it has counted since its start. The last one comes just before its end.
    Snapshot(Box<Snapshot>),
    /// The worker accepts nothing new and ends when its requests have.
    Draining,
    /// The worker cannot serve; it exits after this.
    Failed { reason: String },
}

/// How a worker does, told by its event loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The longest that the loop was late since the last heartbeat.
    pub lag: Duration,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that wait for a place.
    pub queued: usize,
    /// Open connections.
    pub connections: usize,
    /// Requests that have ended since the worker's start.
    pub served: u64,
}

impl Heartbeat {
    /// Time between two heartbeats of a healthy worker.
    pub const INTERVAL: Duration = Duration::from_millis(500);
}
