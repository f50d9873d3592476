//! Where a value came from.
//!
//! Purpose: every error and every printed setting names the place that the operator
//! would have to edit. Owner: the raw layers create it, everything after carries it
//! along. Invariant: its `Display` is what that place is called there, never more.

use std::{fmt, path::PathBuf};

/// The place that set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file, by the path it was opened with; lines count from 1.
    File { path: PathBuf, line: usize },
    /// An environment variable, by its whole name.
    Environment(String),
    /// A flag of the command line with its dashes, or `COMPONENT`.
    Flag(String),
}

impl Source {
    /// Errors are reported in this order: file by line, then environment, then flags.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self {
            Self::File { line, .. } => (0, *line),
            Self::Environment(_) => (1, 0),
            Self::Flag(_) => (2, 0),
            Self::Default => (3, 0),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}
