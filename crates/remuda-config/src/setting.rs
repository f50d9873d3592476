//! One effective setting, as it is printed at start (S1).
//!
//! Purpose: the operator sees every value that is in force, who set it, and how it
//! was derived. Owner: filled in by validation, printed by the binary. Invariant: the
//! value is canonical text: given as a flag or in a file it means the same again.
//! The exceptions are a route's `env`, of which only the names are shown, since the
//! values may be secrets, and its `mounts`, which a flag takes one at a time and a file
//! as a list.

use std::fmt;

use crate::source::Source;

/// One effective setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `workers.count`, or `route[0].limits.memory` (routes count from 0).
    pub key: String,
    /// Canonical text: `30s`, `128MiB`, `127.0.0.1:8000, unix:/run/app.sock`.
    pub value: String,
    /// Who set it.
    pub source: Source,
    /// How it was derived, when it was not simply given.
    pub reason: Option<String>,
}

impl fmt::Display for Setting {
    /// `workers.count = 3 (default: 2 cores × 1.5 (mixed))`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({}", self.key, self.value, self.source)?;
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        f.write_str(")")
    }
}
