//! Runs all tests of the workspace against real guests and the real server.
//!
//! Owns the order: seeds, guests' own, the comparison's and documentation tests first, so that nextest's summary is the last thing
//! printed.

use std::ffi::OsString;

use anyhow::Result;

use crate::bench;
use crate::guests;
use crate::workspace::Workspace;
use remuda_project::process::{run, step, succeeds};

/// Builds what the tests need, and runs them.
///
/// # Errors
/// When a build or a test fails.
pub(crate) fn test(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    guests::build(workspace)?;
    if !succeeds(workspace.cargo().args(["nextest", "--version"])) {
        step("installing cargo-nextest");
        run(workspace.cargo().args(["install", "cargo-nextest", "--locked"]))?;
    }
    step("building server and tests");
    // All at once: another choice of packages would unify features in another way, and
    // compile wasmtime once more.
    run(workspace.cargo().args(["build", "--workspace", "--all-targets"]))?;
    guests::compile_large(workspace)?;
    step("trying the seeds of the fuzz targets");
    run(workspace.cargo_for_fuzzing("test").args(["--lib", "--quiet"]))?;
    guests::test(workspace)?;
    bench::smoke(workspace)?;
    step("running documentation tests");
    run(workspace.cargo_for_tests().args(["test", "--doc", "--workspace"]))?;
    step("running tests");
    run(workspace.cargo_for_tests().args(["nextest", "run", "--workspace"]).args(args))?;
    Ok(())
}
