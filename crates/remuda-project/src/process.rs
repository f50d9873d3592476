//! Running other programs, and saying which one failed.
//!
//! Owns how a step looks on the terminal: one line when it starts, the program's own output as
//! it comes, and one line naming the command when it fails.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    process::{Command, Stdio},
};

use crate::Error;

/// Announces the next step.
pub fn step(what: &str) {
    say(&format!("{what} …"));
}

/// A line on the terminal.
pub fn say(line: &str) {
    // Nobody is left to read it when this fails.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Runs a command on this terminal, with all that it prints on standard error.
///
/// # Errors
/// When it cannot be started or does not end successfully.
pub fn run_aside(command: &mut Command) -> Result<(), Error> {
    run(command.stdout(io::stderr()))
}

/// Runs a command on this terminal.
///
/// # Errors
/// When it cannot be started or does not end successfully.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status();
    let status = status.map_err(|source| Error::Run { command: line(command), source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { command: line(command), status })
}

/// Whether a command can be run and ends successfully, without a word on the terminal.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Standard output of a command.
///
/// # Errors
/// When it cannot be started, does not end successfully, or prints something else than UTF-8.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| Error::Run { command: line(command), source })?;
    if !output.status.success() {
        return Err(Error::Failed { command: line(command), status: output.status });
    }
    String::from_utf8(output.stdout).map_err(|_| Error::Output { command: line(command) })
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    format!("`{}`", words.join(" "))
}
