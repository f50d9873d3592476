//! Whom the kernel kills when memory runs out.
//!
//! Purpose: a worker comes before its supervisor, which replaces it. Source:
//! proc_pid_oom_score_adj(5); a process may always raise its own.

use std::{fs, io};

const FILE: &str = "/proc/self/oom_score_adj";

/// What a worker adds to the score that it has inherited: a tenth of all memory.
const ADDED: i32 = 100;
const MAX: i32 = 1000;

/// Makes this process a better choice than its parent.
pub(crate) fn volunteer() {
    if let Err(error) = raise() {
        tracing::debug!(%error, "failed to raise {FILE}; the kernel may choose the supervisor");
    }
}

fn raise() -> io::Result<()> {
    let own: i32 = fs::read_to_string(FILE)?.trim().parse().map_err(io::Error::other)?;
    fs::write(FILE, (own + ADDED).min(MAX).to_string())
}
