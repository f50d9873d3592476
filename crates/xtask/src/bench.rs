//! Runs the benchmarks of the package in benches/.
//!
//! Owns nothing: what is measured, and against what, is said there.

use std::ffi::OsString;

use anyhow::{Result, bail};

use crate::guests;
use crate::workspace::Workspace;
use remuda_project::process::{run, step};

/// Builds the guests and runs the benchmarks.
///
/// # Errors
/// When there are none, or a build or a benchmark fails.
pub(crate) fn bench(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    if !workspace.path("benches").is_dir() {
        bail!("there are no benchmarks: benches/ does not exist");
    }
    guests::build(workspace)?;
    step("running benchmarks");
    run(workspace.cargo_for_tests().args(["bench", "--package", "remuda-benches"]).args(args))?;
    Ok(())
}
