//! Why a server ended otherwise than asked.
//!
//! Owner: [`run`](crate::run) returns it, the binary prints it with its sources.
//! Invariant: no message repeats its source.

use std::{io, path::PathBuf, time::Duration};

use crate::{listeners::BindError, upgrade::HandoverError};

/// Why [`run`](crate::run) failed.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The compiler's own words about a component that cannot be served.
    #[error("{message}")]
    Component { message: String },
    /// The compiler's own words about a cache folder that cannot be used.
    #[error("{message}")]
    Cache { message: String },
    /// The compiler itself went wrong, which says nothing about the component.
    #[error("failed to compile {}: {reason}", component.display())]
    Compiler { component: PathBuf, reason: String },
    #[error(
        "failed to compile within {limit:.0?} (10 times workers.boot_timeout): raise that, or run \
         remuda compile beforehand"
    )]
    CompilerHangs { limit: Duration },
    /// No worker became ready, however often it was tried.
    #[error("failed to start workers: {attempts} attempts in a row failed, the last one: {reason}")]
    Boot { attempts: u32, reason: String },
    #[error("failed to {action}")]
    Io { action: &'static str, source: io::Error },
}

impl SupervisorError {
    /// The exit code of the process, as in the design's section 10 and `sysexits.h`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Component { .. } => 65,
            Self::Bind(_) => 69,
            Self::Compiler { .. }
            | Self::CompilerHangs { .. }
            | Self::Boot { .. }
            | Self::Io { .. } => 70,
            Self::Handover(error) => error.exit_code(),
            Self::Cache { .. } => 78,
        }
    }
}
