//! The parent process: it holds the sockets and keeps the workers alive.
//!
//! # Theory of operation
//!
//! [`run`] is one thread and one loop. What can fail fails first: every listener is
//! bound ([`listeners`]), then every component is compiled in a child of its own
//! ([`compile`]), and only then do workers start ([`spawn`]): the same executable
//! again, with the listeners and one end of a control socket as inherited descriptors.
//!
//! From then on `run::Supervisor` waits for whatever comes first: a signal, the death of
//! a child ([`reap`]), a message of a worker ([`link`]), an order or a question from the
//! [`admin`] server, a new generation that is compiled, a deadline. What concerns workers
//! becomes an event for the [`fleet`], which is plain data: it knows the generations and
//! their slots, the life of each worker ([`lifecycle`]) and how long to wait before the
//! next attempt ([`backoff`]), and answers with actions. The loop carries them out and
//! decides nothing.
//!
//! # Invariants
//!
//! - No guest code and no wasmtime in this process; nothing here blocks for longer than
//!   a name lookup at the start, and reading the configuration for a reload.
//! - The supervisor is the only one that waits for children, and it waits for all of
//!   them, strangers included, as PID 1 must; it signals only those it started.
//! - A worker that loses its control socket ends by itself, so that a supervisor killed
//!   with SIGKILL leaves no orphan.

mod admin;
mod backoff;
mod compile;
mod error;
mod fleet;
mod helpers;
mod ledger;
mod lifecycle;
mod link;
mod listeners;
mod meter;
mod notify;
mod orders;
mod reap;
mod roster;
mod run;
mod signals;
mod spawn;
mod sys;
mod upgrade;
mod view;
mod watch;

use std::{ffi::OsString, fmt, path::PathBuf, process::Command};

use remuda_config::Config;

pub use error::SupervisorError;
pub use listeners::BindError;
pub use run::run;
pub use upgrade::{HandoverError, report_failed_start, running_executable};

/// What to serve, and how to start the processes that do.
#[derive(Debug)]
pub struct Plan {
    pub config: Config,
    pub program: Program,
    /// Where the next configuration comes from.
    pub source: ConfigSource,
    /// What an upgrade starts.
    pub upgrade: Upgrade,
}

/// How the server was started, and would be by its successor.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// See [`running_executable`].
    pub executable: PathBuf,
    pub arguments: Vec<OsString>,
}

/// How to start this program once more, as worker or compiler.
#[derive(Clone, Debug)]
pub struct Program {
    /// Started again as `EXECUTABLE worker` and `EXECUTABLE compile …`. `/proc/self/exe`
    /// goes on naming the running program after the file was replaced on disk.
    pub executable: PathBuf,
    /// Variables that workers and compilers get on top of the inherited environment.
    pub environment: Vec<(String, String)>,
}

/// Reads the configuration again, for a reload; says what is wrong with it otherwise.
pub struct ConfigSource(pub Box<dyn FnMut() -> Result<Config, String> + Send>);

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigSource")
    }
}

impl Program {
    /// Gives a child the environment that it is to have: nothing that is meant for the server.
    fn prepare(&self, command: &mut Command) {
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        for name in notify::NOT_FOR_CHILDREN.into_iter().chain([upgrade::VARIABLE]) {
            command.env_remove(name);
        }
    }
}
