//! The server of another revision.
//!
//! Owns target/against: a worktree while it is built, and its executable afterwards. Invariant:
//! an executable there is that of the commit in its name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use remuda_project::process::{output, run, step, succeeds};

use super::PACKAGES;
use crate::workspace::Workspace;

/// What a revision is called, shortly.
///
/// # Errors
/// When there is none of this name.
pub(crate) fn commit(workspace: &Workspace, rev: &str) -> Result<String> {
    let name = format!("{rev}^{{commit}}");
    let known = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
    if !succeeds(git(workspace).args(known).arg(&name)) {
        bail!(
            "failed to find {rev}: this repository has no such revision; see `git log --oneline`"
        );
    }
    let short = ["rev-parse", "--verify", "--short=12", "--end-of-options"];
    Ok(output(git(workspace).args(short).arg(&name))?.trim().to_owned())
}

/// The release executable of a commit, built if it is not there.
///
/// # Errors
/// When it cannot be checked out, or does not build.
pub(crate) fn build(workspace: &Workspace, commit: &str) -> Result<PathBuf> {
    let server = workspace.target("against").join(format!("remuda-{commit}"));
    if server.exists() {
        return Ok(server);
    }
    let tree = workspace.target("against").join(commit);
    remove(workspace, &tree)?;
    step(&format!("building {commit}"));
    let add = ["worktree", "add", "--quiet", "--detach"];
    run(git(workspace).args(add).arg(&tree).arg(commit))?;
    // In the same target folder, where what both depend on is built already, and with the same
    // packages, so that it is built alike.
    let is_before_benches = !tree.join("benches/Cargo.toml").exists();
    let packages = if is_before_benches { &PACKAGES[..4] } else { &PACKAGES[..] };
    run(workspace.cargo().current_dir(&tree).args(packages))?;
    let built = workspace.release_server();
    // Under another name first: half a copy must not pass for the whole.
    let copy = server.with_extension("new");
    fs::copy(&built, &copy)
        .and_then(|_| fs::rename(&copy, &server))
        .with_context(|| format!("failed to copy {} to {}", built.display(), server.display()))?;
    remove(workspace, &tree)?;
    Ok(server)
}

/// The worktree of a build that has ended, or was interrupted.
fn remove(workspace: &Workspace, tree: &PathBuf) -> Result<()> {
    if tree.exists() {
        run(git(workspace).args(["worktree", "remove", "--force"]).arg(tree))?;
    }
    Ok(())
}

fn git(workspace: &Workspace) -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace.path(""));
    git
}
