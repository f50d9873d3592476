//! The parent process: it holds the sockets and keeps the workers alive.
//!
//! # Theory of operation
//!
//! [`run`] is one thread and one loop. What can fail fails first: every listener is
//! bound ([`listeners`]), then every component is compiled in a child of its own
//! ([`compile`]), and only then do workers start ([`spawn`]): the same executable
//! again, with the listeners and one end of a control socket as inherited descriptors.
//!
//! From then on `run::Supervisor` waits for one of four things: a signal, the death of
//! a child ([`reap`]), a message of a worker ([`link`]), a deadline. Each becomes an
//! event for the [`fleet`], which is plain data: it knows the slots, the life of each
//! worker ([`lifecycle`]) and how long to wait before the next attempt ([`backoff`]),
//! and answers with actions. The loop carries them out and decides nothing.
//!
//! # Invariants
//!
//! - No guest code and no wasmtime in this process; nothing here blocks for longer than
//!   a name lookup at the start.
//! - The supervisor is the only one that waits for children, and it waits for all of
//!   them, strangers included, as PID 1 must; it signals only those it started.
//! - A worker that loses its control socket ends by itself, so that a supervisor killed
//!   with SIGKILL leaves no orphan.

mod backoff;
mod compile;
mod error;
mod fleet;
mod lifecycle;
mod link;
mod listeners;
mod reap;
mod roster;
mod run;
mod signals;
mod spawn;
mod sys;

use std::path::PathBuf;

use remuda_config::Config;

pub use error::SupervisorError;
pub use listeners::BindError;
pub use run::run;

/// What to serve, and how to start the processes that do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub config: Config,
    /// Started again as `EXECUTABLE worker` and `EXECUTABLE compile …`. `/proc/self/exe`
    /// goes on naming the running program after the file was replaced on disk.
    pub executable: PathBuf,
    /// Variables that workers and compilers get on top of the inherited environment.
    pub environment: Vec<(String, String)>,
}
