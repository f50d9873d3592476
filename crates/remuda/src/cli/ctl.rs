//! The command line of `remuda ctl`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) const HELP: &str = "\
Without --control, the server is looked for where the configuration file (remuda.toml here, or \
--config) puts its control socket, else among the running servers of this user.

Exit codes: 0 done, 64 usage, 69 no server answers; an order that the server refuses ends with \
the code with which a start would have failed: 65 component unusable, 70 workers cannot start, \
78 configuration.";

#[derive(Args, Debug)]
pub(crate) struct CtlArgs {
    #[command(subcommand)]
    pub(crate) action: CtlAction,
    /// The server's control socket; auto looks among the running servers
    #[arg(long, value_name = "PATH", env = "REMUDA_CONTROL", global = true)]
    pub(crate) control: Option<String>,
    /// The server's configuration file
    #[arg(long, short, value_name = "FILE", env = "REMUDA_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the server's answer, which is JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CtlAction {
    /// Show workers, routes and reloads
    Status,
    /// Read the configuration again; returns when the new workers serve, or why they do not
    Reload,
    /// Finish what is in flight and end the server; returns when that has begun
    Drain,
    /// Run so many workers; returns when there are
    Scale {
        /// Number of worker processes
        #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        workers: u32,
    },
    /// Replace one worker; returns when the new one serves
    Restart {
        /// Number of the worker, as in status
        #[arg(value_name = "WORKER")]
        worker: u32,
    },
}
