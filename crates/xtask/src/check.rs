//! Checks the checkout without running it: formatting, lints, dependencies.
//!
//! Owns the rules of what may be merged. It stops at the first that is broken, and mends nothing.

use anyhow::Result;

use crate::workspace::Workspace;
use remuda_project::process::{run, step, succeeds};

/// Checks everything.
///
/// # Errors
/// When a check fails.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let formatting = ["fmt", "--all", "--check"];
    step("checking the formatting");
    run(workspace.cargo().args(formatting))?;
    for own in [workspace.guests(), workspace.path("tests/fuzz")] {
        run(workspace.cargo().args(formatting).current_dir(own))?;
    }

    step("checking lints");
    run(workspace.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    run(workspace.cargo_for_fuzzing("clippy").args(["--all-targets", "--", "--deny", "warnings"]))?;

    if !succeeds(workspace.cargo().args(["deny", "--version"])) {
        eprintln!("skipped `cargo deny check`: run `cargo install cargo-deny --locked` for it");
        return Ok(());
    }
    step("checking dependencies");
    run(workspace.cargo().args(["deny", "check"]))?;
    Ok(())
}
