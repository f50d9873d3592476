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
mod open_files;

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
        // A server that is to replace another tells it why it does not.
        Command::Serve(args) => commands::serve::run(args)
            .inspect_err(|failure| remuda_supervisor::report_failed_start(failure.message())),
        Command::Check(args) => commands::check::run(args),
        Command::Compile(args) => commands::compile::run(&args),
        Command::New(args) => commands::new::run(&args),
        Command::Build(args) => commands::build::run(&args),
        Command::Dev(args) => commands::dev::run(&args),
        Command::Ctl(args) => commands::ctl::run(&args),
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
    if error.use_stderr() {
        remuda_supervisor::report_failed_start(&error.render().to_string());
    }
    // Nobody is left to read it when this fails.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Ended.into() }
}
