//! What is wrong with the flags, before a build that would be for nothing.
//!
//! Owner: [`dev`](super). Invariant: what is wrong with the folder's `remuda.toml` is nothing to
//! end for; it can be mended while `remuda dev` looks.

use std::{env, ffi::OsString};

use clap::Parser as _;
use remuda_project::Project;

use super::server::arguments;
use crate::{
    cli::{Cli, Command, DevArgs},
    configuration,
    exit::{Exit, Failure},
};

/// Reads the flags as the server will. From now on this process is in the project's folder.
///
/// # Errors
/// When the server would refuse one of them, whatever the sources are.
pub(super) fn check(args: &DevArgs, project: &Project) -> Result<(), Failure> {
    env::set_current_dir(project.folder()).map_err(|error| {
        let message = format!("failed to enter {}: {error}", project.folder().display());
        Failure::new(Exit::Usage, message)
    })?;
    let line = [OsString::from("remuda")].into_iter().chain(arguments(project, args));
    let parsed = Cli::try_parse_from(line).map_err(|error| {
        let text = error.render().to_string();
        Failure::new(Exit::Usage, text.trim().trim_start_matches("error: "))
    })?;
    let Command::Serve(args) = parsed.command else { return Ok(()) };
    match configuration::wrong_flags(args)? {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(Failure::new(Exit::Usage, wrong.join("\n"))),
    }
}
