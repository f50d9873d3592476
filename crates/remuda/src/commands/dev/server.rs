//! The server that `remuda dev` keeps.
//!
//! Owner: [`dev`](super). Invariants: it gets no signal of the terminal, only its owner's; it ends
//! with its owner, whatever becomes of that.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use remuda_project::Project;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    THIS_EXECUTABLE,
    job::{Job, Output},
};
use crate::{cli::DevArgs, configuration::notice};

/// How long requests in flight are waited for at the end.
const GRACE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(20);

/// Settings that suit a single developer; flags, and variables that are set already, win.
const SETTINGS: [(&str, &str); 2] = [("REMUDA_ADMIN", "off"), ("REMUDA_WORKERS__COUNT", "1")];

/// A folder that only this user can enter, for the control socket and the notice. It goes with
/// its owner.
pub(super) struct Private(PathBuf);

impl Private {
    pub(super) fn make() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("remuda-dev-{}", std::process::id()));
        // Of a process that had this number before and could not clean up. Somebody else's stays,
        // and fails what comes next.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let private = Self(path);
        private.set_has_component(false)?;
        Ok(private)
    }

    fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    fn notice(&self) -> PathBuf {
        self.0.join("notice")
    }

    /// Says what is wrong, below a heading, or that nothing is, to whoever reads the configuration.
    pub(super) fn set_notice(&self, notice: Option<(&str, &str)>) -> io::Result<()> {
        match notice {
            Some((heading, text)) => fs::write(self.notice(), format!("{heading}\n{text}")),
            None => remove(&self.notice()),
        }
    }

    /// Says whether there is a component to serve, to whoever reads the configuration.
    pub(super) fn set_has_component(&self, has_component: bool) -> io::Result<()> {
        let place = self.notice().with_extension(notice::NOTHING_BUILT);
        if has_component { remove(&place) } else { fs::write(place, "") }
    }

    /// Keeps the configuration that is served, for reloads that bring a notice.
    pub(super) fn set_served(&self, configuration: Option<&str>) -> io::Result<()> {
        let place = self.notice().with_extension(notice::SERVED);
        match configuration {
            Some(text) => fs::write(place, text),
            None => remove(&place),
        }
    }

    /// Starts to order the server a reload.
    pub(super) fn reload(&self) -> io::Result<Job> {
        let mut ctl = Command::new(THIS_EXECUTABLE);
        ctl.args(["ctl", "reload", "--control"]).arg(self.control());
        Job::start(&mut ctl, Output::Kept)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes a file that need not be there.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A running server.
pub(super) struct Server(Child);

impl Server {
    /// Serves the folder's `remuda.toml`, or its component if there is none.
    pub(super) fn start(project: &Project, args: &DevArgs, private: &Private) -> io::Result<Self> {
        let mut serve = Command::new(THIS_EXECUTABLE);
        serve.args(arguments(project, args)).current_dir(project.folder());
        for (name, value) in SETTINGS {
            if env::var_os(name).is_none() {
                serve.env(name, value);
            }
        }
        serve.env("REMUDA_CONTROL", private.control()).env(notice::VARIABLE, private.notice());
        serve.stdin(Stdio::null()).process_group(0).spawn().map(Self)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            // It may have ended in this moment.
            let _ = kill_process(pid, signal);
        }
    }

    fn ends_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while matches!(self.ended(), Ok(None)) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(TICK);
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for (signal, time) in [(Signal::TERM, GRACE), (Signal::QUIT, GRACE), (Signal::KILL, GRACE)]
        {
            if matches!(self.ended(), Ok(None)) {
                self.signal(signal);
            }
            if self.ends_within(time) {
                return;
            }
        }
    }
}

/// The command line of the server, from `serve` on. It names the component in any case, for
/// `remuda.toml` may go, and come again.
pub(super) fn arguments(project: &Project, args: &DevArgs) -> Vec<OsString> {
    let mut line = flags(args);
    line.insert(1, relative(&project.component(), project.folder()).into());
    line
}

/// The same without the component.
pub(super) fn flags(args: &DevArgs) -> Vec<OsString> {
    let mut line = vec!["serve".into()];
    if let Some(bind) = &args.bind {
        line.extend(["--bind".into(), bind.into()]);
    }
    line.extend_from_slice(&args.flags);
    line
}

fn relative<'a>(path: &'a Path, folder: &Path) -> &'a Path {
    path.strip_prefix(folder).unwrap_or(path)
}
