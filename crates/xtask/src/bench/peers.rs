//! Python's servers, from PyPI.
//!
//! Owns the virtual environment target/peers. Invariant: what is there is what
//! benches/peers/requirements.txt asked for when it was made, or nothing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use remuda_project::process::{run, say, step};

use crate::workspace::Workspace;

/// The folder of their commands. What cannot be installed is said, and skipped.
pub(crate) fn install(workspace: &Workspace) -> PathBuf {
    if let Err(error) = try_install(workspace) {
        say(&format!(
            "Python's servers are skipped: {error:#}; install python3 with venv (Debian: \
             python3-venv), or name a folder of their commands with --peers"
        ));
    }
    workspace.target("peers/bin")
}

fn try_install(workspace: &Workspace) -> Result<()> {
    let requirements = workspace.path("benches/peers/requirements.txt");
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("failed to read {}", requirements.display()))?;
    let folder = workspace.target("peers");
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step("installing Python's servers");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements))?;
    fs::write(&installed, wanted)
        .with_context(|| format!("failed to write {}", installed.display()))
}
