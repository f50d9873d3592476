//! Commands that end by themselves.

use std::{ffi::OsStr, fmt, path::PathBuf, process::Command};

use crate::{
    sandbox::{self, STDERR, STDOUT, Sandbox},
    wait,
};

/// A command line of `remuda`, in a sandbox of its own.
pub struct Cli {
    sandbox: Sandbox,
    command: Command,
}

/// How a command ended, and what it wrote; paths are replaced by names.
#[derive(Debug)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    /// `remuda` with these arguments, separated by spaces.
    #[must_use]
    pub fn remuda(arguments: &str) -> Self {
        let mut command = sandbox::command(sandbox::server());
        command.args(arguments.split_whitespace());
        Self { sandbox: Sandbox::default(), command }
    }

    /// One more argument, spaces and all.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// A file in the working folder.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.sandbox.write(name, content);
        self
    }

    /// A file or folder in the working folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// Uses the cache that all tests share.
    #[must_use]
    pub fn shared_cache(self) -> Self {
        self.arg("--cache").arg(sandbox::shared_cache())
    }

    /// Another command line of `remuda`, in the same sandbox.
    #[must_use]
    pub fn then(self, arguments: &str) -> Self {
        let Self { command, .. } = Self::remuda(arguments);
        Self { command, ..self }
    }

    /// With the tools that build guests, and what they have built before.
    #[must_use]
    pub fn with_tools(mut self) -> Self {
        self.command.envs(sandbox::tools());
        self
    }

    /// The command line and its sandbox, for what does not end by itself.
    pub(crate) fn into_parts(self) -> (Sandbox, Command) {
        (self.sandbox, self.command)
    }

    /// Runs it to its end. It can be run again, in the same sandbox.
    pub async fn run(&mut self) -> Ended {
        let Self { sandbox, command } = self;
        let mut child = sandbox.start(command);
        let status = wait::until(&format!("the end of {command:?}"), || child.ended()).await;
        let output = |name| sandbox.scrub(&sandbox.read(name));
        Ended { code: status.code(), stdout: output(STDOUT), stderr: output(STDERR) }
    }
}

impl Ended {
    /// The output of a command that did what it was asked to.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self}");
        self.stdout
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "killed")?,
        }
        f.write_str(&self.stdout)?;
        f.write_str(&self.stderr)
    }
}

/// A table whose columns are two spaces apart, however wide its cells were.
#[must_use]
pub fn squeezed(table: &str) -> String {
    let row = |line: &str| {
        let cells: Vec<&str> =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        cells.join("  ")
    };
    table.lines().map(row).collect::<Vec<_>>().join("\n")
}
