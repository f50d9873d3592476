//! Where things are: every path the other modules use starts here.
//!
//! Owns the layout of the checkout and of the target folder. All paths are absolute and derive
//! from the workspace root, so that a command does the same from whichever folder it is run.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The checkout and its target folder.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the checkout this executable was built from, and its target folder.
    ///
    /// # Errors
    /// When this crate is not where it was built, two folders below the workspace root.
    pub(crate) fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("failed to find the workspace root above crates/xtask")?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => {
                env::current_dir().context("failed to read the current folder")?.join(target)
            }
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A folder or file of the checkout.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A folder or file of the target folder.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// The guests' own workspace.
    pub(crate) fn guests(&self) -> PathBuf {
        self.path("guests")
    }

    /// Where the guests are, ready to serve.
    pub(crate) fn built_guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// The target folder in which the guests are built.
    pub(crate) fn guest_build(&self) -> PathBuf {
        self.target.join("guest-build")
    }

    /// Cargo, working on the fuzz targets' own workspace, without libFuzzer: stable Rust is
    /// enough to compile them and to try their seeds.
    pub(crate) fn cargo_for_fuzzing(&self, command: &str) -> Command {
        let mut cargo = cargo();
        cargo
            .current_dir(self.path("tests/fuzz"))
            .env("CARGO_TARGET_DIR", self.target.join("fuzz"))
            .args([command, "--no-default-features"]);
        cargo
    }

    /// The server's executable, built in release mode.
    pub(crate) fn release_server(&self) -> PathBuf {
        self.target.join("release").join("remuda")
    }

    /// The server's executable as the tests use it.
    pub(crate) fn debug_server(&self) -> PathBuf {
        self.target.join("debug").join("remuda")
    }

    /// Where the tests keep compiled guests.
    pub(crate) fn test_cache(&self) -> PathBuf {
        self.target.join("tmp").join("remuda-tests-cache")
    }

    /// Cargo, working on the root workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo();
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// Cargo with the environment that tests and benchmarks run in. Backtraces are off, because
    /// wasmtime would otherwise capture one for every error, on the hot path too.
    pub(crate) fn cargo_for_tests(&self) -> Command {
        let mut cargo = self.cargo();
        cargo.env("RUST_BACKTRACE", "0").env("REMUDA_GUESTS", self.built_guests());
        cargo
    }
}

/// The cargo that runs this xtask, or the one on the path.
///
/// It is not told which package runs it: build scripts that look at that, as ring's does, would
/// run once more than with a cargo called by hand, and with them all that depends on them.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    let ours = env::vars_os().map(|(name, _)| name).filter(|name| {
        name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        })
    });
    ours.for_each(|name| {
        cargo.env_remove(name);
    });
    cargo
}
