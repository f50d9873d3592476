//! Why there is no component.

use std::{io, path::PathBuf, process::ExitStatus};

use crate::toolchain::{DEBIAN_PACKAGES, TARGET};

/// Every message names what is wrong and, where it is known, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "failed to recognize {}: a project has a Cargo.toml (Rust), a package.json (JavaScript) \
         or an app.py (Python); make one with `remuda new`",
        .0.display()
    )]
    NoProject(PathBuf),
    #[error("failed to read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("failed to write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("failed to find a name in {}: {expected}", path.display())]
    NoName { path: PathBuf, expected: &'static str },
    #[error("failed to run {command}: {source}")]
    Run { command: String, source: io::Error },
    #[error("failed to find {tool}: {remedy}")]
    NoTool { tool: &'static str, remedy: &'static str },
    #[error("failed to build: {command} ended with {status}")]
    Failed { command: String, status: ExitStatus },
    #[error(
        "failed to install packages: {command} ended with {status}; where the network was missing, \
         the next build tries again"
    )]
    Install { command: String, status: ExitStatus },
    #[error("failed to read the output of {command}: it is not UTF-8")]
    Output { command: String },
    #[error(
        "failed to find a compiler for {TARGET}: run `rustup target add {TARGET}`, or on Debian \
         as root `apt-get install {}`", DEBIAN_PACKAGES.join(" ")
    )]
    NoToolchain,
    #[error("failed to build {}: {reason}", folder.display())]
    NoComponent { folder: PathBuf, reason: String },
}

impl Error {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Read { path, source }
    }

    /// The same of a command that installs something.
    pub(crate) fn installing(self) -> Self {
        match self {
            Self::Failed { command, status } => Self::Install { command, status },
            other => other,
        }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Write { path, source }
    }
}
