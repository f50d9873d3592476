//! `remuda build`: the project of a folder into a component.

use std::path::Path;

use remuda_project::{Built, Project, process::say};

use super::describe::print;
use crate::{
    cli::BuildArgs,
    exit::{Exit, Failure},
};

pub(crate) fn run(args: &BuildArgs) -> Result<(), Failure> {
    let project = open(&args.folder)?;
    let place = args.output.clone().unwrap_or_else(|| project.component());
    let Built { component, size, elapsed, .. } = project.build(&place).map_err(failure)?;
    say(&format!("built {} in {elapsed:.1?}: {}", project.name(), of_bytes(size)));
    print(&format!("{}\n", component.display()))
}

/// The project of a folder.
pub(super) fn open(folder: &Path) -> Result<Project, Failure> {
    Project::open(folder).map_err(failure)
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn failure(error: remuda_project::Error) -> Failure {
    Failure::new(Exit::Component, error.to_string())
}

/// `18.4 MiB`, `89 KiB`
fn of_bytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    let [kib, mib] = [1024.0, 1024.0 * 1024.0];
    if bytes < mib { format!("{:.0} KiB", bytes / kib) } else { format!("{:.1} MiB", bytes / mib) }
}
