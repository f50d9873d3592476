//! Where things are, and a folder for what a test leaves behind.
//!
//! Invariants: a process started here sees nothing of the settings of whoever runs the
//! tests, and its working folder is the sandbox.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::Pid;
use tempfile::TempDir;

/// A temporary folder in which programs run.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
}

impl Default for Sandbox {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("remuda-test-").tempdir();
        Self { folder: folder.expect("a temporary folder") }
    }
}

impl Sandbox {
    /// A file or folder in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders it is in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("folders can be made in the sandbox");
        fs::write(&path, content).expect("files can be written in the sandbox");
        path
    }

    /// Puts a file in the place of another, which nobody sees half-written.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.write(&format!("{name}.new"), content);
        fs::rename(new, self.path(name)).expect("files can be renamed in the sandbox");
    }

    /// Puts a copy of a file, which can be executed if that can, in the place of another.
    pub fn replace_with(&self, name: &str, original: &Path) {
        let new = self.path(&format!("{name}.new"));
        let copied = fs::copy(original, &new);
        copied.unwrap_or_else(|error| panic!("failed to copy {}: {error}", original.display()));
        fs::rename(new, self.path(name)).expect("files can be renamed in the sandbox");
    }

    /// What a file holds; nothing if there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts a program whose output goes into the files `stdout` and `stderr`.
    pub(crate) fn start(&self, command: &mut Command) -> Running {
        let file = |name| File::create(self.path(name)).expect("a file for the output");
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(file(STDOUT)).stderr(file(STDERR));
        let program = command.get_program().to_owned();
        let child = command.spawn();
        Running(child.unwrap_or_else(|error| panic!("failed to start {program:?}: {error}")))
    }

    /// Text without what differs from one machine or run to the next.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let shared = shared_cache();
        [(self.folder.path(), "[sandbox]"), (&guests(), "[guests]"), (&shared, "[cache]")]
            .iter()
            .fold(text.to_owned(), |text, (path, name)| {
                text.replace(&path.display().to_string(), name)
            })
    }
}

/// A process that is killed when nobody wants it any more.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child of this process can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may end in this moment; then there is nobody to kill, but still to reap.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

pub(crate) const STDOUT: &str = "stdout";
pub(crate) const STDERR: &str = "stderr";

/// A command that inherits no setting of Remuda's and captures no backtraces.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"REMUDA_") {
            command.env_remove(name);
        }
    }
    command.env("RUST_BACKTRACE", "0");
    command
}

/// The server's executable: `$REMUDA_BIN`, or the one that was built beside this test.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn server() -> PathBuf {
    let built = || profile_folder().join("remuda");
    needed(env::var_os("REMUDA_BIN").map_or_else(built, PathBuf::from))
}

/// The folder of the guests: `$REMUDA_GUESTS`, or where `cargo xtask guests` puts them.
#[must_use]
pub fn guests() -> PathBuf {
    let built = || target_folder().join("guests");
    env::var_os("REMUDA_GUESTS").map_or_else(built, PathBuf::from)
}

/// What a build of a guest needs in its environment: the tools that `cargo xtask guests` has
/// installed, and the target folder that it builds in.
pub(crate) fn tools() -> Vec<(&'static str, OsString)> {
    let python = guest_build().join("python-hello/.venv/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(python).chain(env::split_paths(&path)));
    let path = path.expect("no folder of tools has a colon in its name");
    vec![("PATH", path), ("CARGO_TARGET_DIR", guest_build().into())]
}

/// What npm has installed for the guest in JavaScript.
#[must_use]
pub fn node_modules() -> PathBuf {
    needed(guest_build().join("js-hello/node_modules"))
}

/// Where `cargo xtask guests` builds.
fn guest_build() -> PathBuf {
    needed(guests().with_file_name("guest-build"))
}

/// Where compiled guests are kept from one test to the next.
pub(crate) fn shared_cache() -> PathBuf {
    target_folder().join("tmp").join("remuda-tests-cache")
}

/// The same path, if something is there.
pub(crate) fn needed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// `target/debug`, for one.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("this test has an executable");
    let folder = test.ancestors().nth(2).expect("a test is in the folder deps of its profile");
    folder.to_owned()
}

fn target_folder() -> PathBuf {
    let folder = profile_folder();
    folder.parent().map_or_else(|| folder.clone(), Path::to_owned)
}
