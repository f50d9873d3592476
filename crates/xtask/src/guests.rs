//! Builds every guest and puts it where the server, the tests and the benchmarks look for it.
//!
//! Owns the folder target/guests. A file there is always a whole component: it is replaced in
//! one step, and only when it changed, so that whoever watches it sees no false alarm.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use remuda_project::process::{run, step};
use remuda_project::publish;
use remuda_project::toolchain::{Install, Package, TARGET, Toolchain};

use crate::extra;
use crate::foreign;
use crate::guest::Guest;
use crate::workspace::Workspace;

/// Builds all guests.
///
/// # Errors
/// When there is no compiler for them, one does not compile, or a folder made no component.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    build_these(workspace, &Guest::all(&workspace.guests())?)
}

/// Builds those in Rust, which ask for no other language's tools.
///
/// # Errors
/// As [`build`] has them.
pub(crate) fn build_in_rust(workspace: &Workspace) -> Result<()> {
    let mut guests = Guest::all(&workspace.guests())?;
    guests.retain(Guest::is_rust);
    build_these(workspace, &guests)
}

fn build_these(workspace: &Workspace, guests: &[Guest]) -> Result<()> {
    build_rust(workspace, guests)?;
    foreign::provision(guests)?;
    for guest in guests {
        let component = if guest.is_rust() {
            cargos_own(workspace, guest)?
        } else {
            foreign::build(guest, &workspace.guest_build().join(guest.name()))?
        };
        let bytes = fs::read(&component)
            .with_context(|| format!("failed to read {}", component.display()))?;
        let bytes = match guest.extra() {
            Some(extra) => extra::add(bytes, &extra)?,
            None => bytes,
        };
        publish(&bytes, &workspace.built_guests().join(guest.public_name()))?;
    }
    eprintln!("{} guests in {}", guests.len(), workspace.built_guests().display());
    Ok(())
}

/// Compiles those that take a while into the tests' cache, lest tests that need the same one at the
/// same time all do so.
///
/// # Errors
/// When one does not compile.
pub(crate) fn compile_large(workspace: &Workspace) -> Result<()> {
    step("compiling large guests");
    for guest in Guest::all(&workspace.guests())?.iter().filter(|guest| guest.is_large()) {
        let mut compile = Command::new(workspace.debug_server());
        compile.arg("compile").arg("--cache").arg(workspace.test_cache());
        run(compile.arg(workspace.built_guests().join(guest.public_name())))?;
    }
    Ok(())
}

/// Those with the SDK apart from the others: what is built together has its features together, and
/// all would be built as the SDK wants it.
fn build_rust(workspace: &Workspace, guests: &[Guest]) -> Result<()> {
    let toolchain = Toolchain::provision(Install::OfTheSystem)?;
    step("building guests");
    let rust: Vec<&Guest> = guests.iter().filter(|guest| guest.is_rust()).collect();
    let packages: Vec<Package> = rust.iter().map(|guest| guest.package()).collect();
    let (with_sdk, plain): (Vec<&Guest>, Vec<&Guest>) =
        rust.iter().partition(|guest| guest.uses_sdk());
    for together in [plain, with_sdk] {
        run(toolchain
            .cargo(&packages)
            .current_dir(workspace.guests())
            .args(together.iter().flat_map(|guest| ["--package", guest.name()]))
            .arg("--target-dir")
            .arg(workspace.guest_build()))?;
    }
    Ok(())
}

/// What cargo has made of a guest.
fn cargos_own(workspace: &Workspace, guest: &Guest) -> Result<PathBuf> {
    let folder = workspace.guest_build().join(TARGET).join("release");
    let component = folder.join(guest.built_name());
    if !component.exists() {
        bail!(
            "guests/{} made no component: it needs a src/main.rs or crate-type = [\"cdylib\"]",
            guest.name()
        );
    }
    Ok(component)
}

/// Runs the tests that guests have of themselves: on this machine, as their authors would.
///
/// # Errors
/// When one fails.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    step("testing handlers of guests");
    let guests = Guest::all(&workspace.guests())?;
    let with_sdk = guests.iter().filter(|guest| guest.uses_sdk());
    run(workspace
        .cargo()
        .current_dir(workspace.guests())
        .args(["test", "--quiet", "--target-dir"])
        .arg(workspace.guest_build().join("native"))
        .args(with_sdk.flat_map(|guest| ["--package", guest.name()])))?;
    Ok(())
}
