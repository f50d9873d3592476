//! What is wrong with the flags, before a build that would be for nothing.
//!
//! Owner: [`dev`](super). Invariant: what is wrong with the folder's `remuda.toml` is nothing to
//! end for; it can be mended while `remuda dev` looks.

use std::{env, ffi::OsString};

use clap::Parser as _;
use remuda_project::Project;

use super::server::{arguments, flags};
use crate::{
    cli::{Cli, Command, DevArgs, ServeArgs},
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
    // Beside the folder's own, clap would not know which one is meant.
    if let Some(ServeArgs { component: Some(other), .. }) = parse(flags(args))? {
        let message = format!(
            "{}: remuda dev serves what it builds; leave it out, or start remuda serve",
            other.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    parse(arguments(project, args))?.map_or(Ok(()), configuration::check_flags)
}

fn parse(line: Vec<OsString>) -> Result<Option<ServeArgs>, Failure> {
    let line = [OsString::from("remuda")].into_iter().chain(line);
    let parsed = Cli::try_parse_from(line).map_err(|error| {
        let text = error.render().to_string();
        Failure::new(Exit::Usage, text.trim().trim_start_matches("error: "))
    })?;
    match parsed.command {
        Command::Serve(args) => Ok(Some(args)),
        _ => Ok(None),
    }
}
