//! How the process ends.

use std::{fmt, io::Write as _, process::ExitCode};

/// Exit codes, those of `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Ended as asked.
    Ended = 0,
    /// A threshold of a load test is broken, or a run worse than another.
    Broken = 1,
    /// A load test had too few requests to tell, or a comparison too few intervals.
    TooFew = 3,
    /// The command line is wrong.
    Usage = 64,
    /// A component cannot be served.
    Component = 65,
    /// No server answers: none is there, or a load test had not one answer.
    Unavailable = 69,
    /// Workers cannot start, or something else inside went wrong.
    Software = 70,
    /// The configuration is wrong.
    Configuration = 78,
    /// Somebody pressed Ctrl-C (128 + SIGINT, as shells tell it).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed: the message for whoever ran it, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { code: exit as u8, message: message.into() }
    }

    /// A failure whose code another crate has chosen.
    pub(crate) fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// For whoever ran it; may have several lines.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Tells the user, a line at a time.
    pub(crate) fn report(&self) -> ExitCode {
        // In one write, lest lines of other processes come in between.
        let text: String = self.message.lines().map(|line| format!("remuda: {line}\n")).collect();
        // Nobody is left to read it when this fails.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// What went wrong, with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}
