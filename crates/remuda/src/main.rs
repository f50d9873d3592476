//! The `remuda` command: parse, run, exit code.
//!
//! Purpose: the one binary, which is supervisor, worker, compiler and tool in turn.
//! Invariant: results go to standard output, everything else to standard error, and
//! every way to end has its documented exit code.

mod cli;
mod commands;
mod configuration;
mod exit;
mod logging;

use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command};
use exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        Command::Serve(args) => commands::serve::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Compile(args) => commands::compile::run(&args),
        Command::Completions { shell } => commands::describe::completions(shell),
        Command::Man { folder } => commands::describe::man(folder.as_deref()),
        Command::Worker => commands::worker::run(),
    };
    match result {
        Ok(()) => Exit::Ended.into(),
        Err(failure) => failure.report(),
    }
}

/// Help and version are no failure; anything else that clap says is.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to read it when this fails.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Ended.into() }
}
