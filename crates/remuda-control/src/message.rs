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
    Drain { grace: Duration, queue: Queue },
    /// Answer with a [`FromWorker::Snapshot`].
    Snapshot,
}

/// What becomes of connections in the queues of the listeners of a worker that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Queue {
    /// They are left to somebody else who accepts from the same listeners.
    Leave,
    /// Nobody else accepts from them: they are taken, until none has come for so long. What
    /// is half-way through its handshake may still come.
    Empty { wait: Duration },
}

impl Queue {
    /// For listeners that close with the server: one round trip of most clients.
    pub const CLOSING: Self = Self::Empty { wait: Duration::from_millis(250) };
    /// For listeners of a slot that goes while the server stays, so that nobody waits for
    /// it: the first retransmission of a SYN-ACK (RFC 6298, section 2).
    pub const RETIRED: Self = Self::Empty { wait: Duration::from_secs(1) };
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
