//! Guests in other languages than Rust, built as `remuda build` builds a project.
//!
//! Owns a copy of each in the target folder, where their tools may keep what they install.
//! Invariant: a guest is built again only when a file of it has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use remuda_project::Project;
use remuda_project::process::{run, step, succeeds};

use crate::c;
use crate::guest::{Guest, Language};

/// Sees to it that the languages' own tools are there: installs them as root on Debian.
///
/// # Errors
/// When one is missing; the message says what to run.
pub(crate) fn provision(guests: &[Guest]) -> Result<()> {
    let any = |language| guests.iter().any(|guest| guest.language() == language);
    let mut missing: Vec<&str> = Vec::new();
    if any(Language::Python)
        && !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
    {
        missing.push("python3-venv");
    }
    if any(Language::JavaScript) && !succeeds(Command::new("npm").arg("--version")) {
        missing.extend(["nodejs", "npm"]);
    }
    if any(Language::C) && !c::is_ready() {
        missing.extend(c::PACKAGES);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root || !Path::new("/etc/debian_version").exists() {
        bail!("tools for guests are missing: install {}", missing.join(", "));
    }
    step(&format!("installing {}", missing.join(", ")));
    run(Command::new("apt-get").args(["--quiet", "update"]))?;
    run(Command::new("apt-get")
        .args(["--quiet", "--yes", "--no-install-recommends", "install"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(())
}

/// Builds a guest in `copy`, and says where its component is.
///
/// # Errors
/// When it cannot be copied, or does not build.
pub(crate) fn build(guest: &Guest, copy: &Path) -> Result<PathBuf> {
    let changed = sync(guest.folder(), copy)
        .with_context(|| format!("failed to copy guests/{} to {}", guest.name(), copy.display()))?;
    let target = copy.join("target");
    let component = target.join(guest.public_name());
    if changed || !component.exists() {
        // What stays when this fails must not pass for what it should have made.
        let _ = fs::remove_file(&component);
        step(&format!("building guests/{}", guest.name()));
        if guest.language() == Language::C {
            fs::create_dir_all(&target)?;
            c::build(copy, &component)?;
        } else {
            Project::open(copy)?.build(&component)?;
        }
    }
    Ok(component)
}

/// Copies what differs. `true` when something did.
fn sync(from: &Path, to: &Path) -> Result<bool> {
    fs::create_dir_all(to)?;
    let mut changed = false;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        // What a build in the folder itself has left there is not the guest's.
        let name = entry.file_name();
        if ["target", "node_modules", ".venv", "__pycache__"].iter().any(|other| name == *other) {
            continue;
        }
        if from.is_dir() {
            changed |= sync(&from, &to)?;
        } else if fs::read(&to).ok() != Some(fs::read(&from)?) {
            fs::copy(&from, &to)?;
            changed = true;
        }
    }
    Ok(changed)
}
