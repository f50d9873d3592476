//! The messages themselves.

use std::{path::PathBuf, time::Duration};

use remuda_config::{BoundAddress, Config};
use serde::{Deserialize, Serialize};

/// From the supervisor to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message: what to serve, and with what.
    Configure(Box<WorkerSetup>),
    /// Stop accepting, finish what is in flight, exit; drop guests after `grace`.
    Drain { grace: Duration },
}

/// Everything a worker needs before it can say [`FromWorker::Ready`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerSetup {
    /// The worker's place in the fleet, from 0; a replacement takes over the slot.
    pub slot: usize,
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
    /// All components are loaded and connections are being accepted.
    Ready,
    /// The worker accepts nothing new and ends when its requests have.
    Draining,
    /// The worker cannot serve; it exits after this.
    Failed { reason: String },
}
