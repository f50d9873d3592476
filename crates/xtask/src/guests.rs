//! Builds every guest and puts it where the server, the tests and the benchmarks look for it.
//!
//! Owns the folder target/guests. A file there is always a whole component: it is replaced in
//! one step, and only when it changed, so that whoever watches it sees no false alarm.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::extra;
use crate::guest::Guest;
use crate::process::{run, step};
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{Workspace, cargo};

/// Builds all guests.
///
/// # Errors
/// When there is no compiler for them, one does not compile, or a folder made no component.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let toolchain = Toolchain::provision()?;
    let guests = Guest::all(&workspace.guests())?;
    step("building guests");
    // What is built together has its features together: all would be built as the SDK wants it.
    let (with_sdk, plain): (Vec<_>, Vec<_>) = guests.iter().partition(|guest| guest.uses_sdk());
    for together in [plain, with_sdk] {
        run(toolchain
            .cargo(&guests)
            .current_dir(workspace.guests())
            .args(together.iter().flat_map(|guest| ["--package", guest.name()]))
            .arg("--target-dir")
            .arg(workspace.guest_build()))?;
    }

    let built = workspace.guest_build().join(TARGET).join("release");
    let public = workspace.built_guests();
    fs::create_dir_all(&public)
        .with_context(|| format!("failed to create {}", public.display()))?;
    for guest in &guests {
        let component = built.join(guest.built_name());
        if !component.exists() {
            bail!(
                "guests/{} made no component: it needs a src/main.rs or crate-type = [\"cdylib\"]",
                guest.name()
            );
        }
        let bytes = fs::read(&component)
            .with_context(|| format!("failed to read {}", component.display()))?;
        let bytes = match guest.extra() {
            Some(extra) => extra::add(bytes, &extra)?,
            None => bytes,
        };
        publish(&bytes, &public.join(guest.public_name()))?;
    }
    eprintln!("{} guests in {}", guests.len(), public.display());
    Ok(())
}

/// Copies a component, unless it is there already.
fn publish(bytes: &[u8], place: &Path) -> Result<()> {
    if fs::read(place).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let draft = place.with_extension("wasm.draft");
    fs::write(&draft, bytes)
        .and_then(|()| fs::rename(&draft, place))
        .with_context(|| format!("failed to write {}", place.display()))
}

/// Runs the tests that guests have of themselves: on this machine, as their authors would.
///
/// # Errors
/// When one fails.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    step("testing handlers of guests");
    let guests = Guest::all(&workspace.guests())?;
    let with_sdk = guests.iter().filter(|guest| guest.uses_sdk());
    run(cargo()
        .current_dir(workspace.guests())
        .args(["test", "--quiet", "--target-dir"])
        .arg(workspace.guest_build().join("native"))
        .args(with_sdk.flat_map(|guest| ["--package", guest.name()])))
}
