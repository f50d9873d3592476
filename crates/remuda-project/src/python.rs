//! Python: componentize-py packs the interpreter and the modules into a component.
//!
//! Owner: the folder's `.venv/`, unless the tool is on the path. Invariant: what is installed is
//! what `requirements.txt` says, or [`TOOL`] where there is none.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use crate::{
    Error,
    process::{run_aside, step, succeeds},
};

/// What `pip` installs for a project that says nothing itself.
pub(crate) const TOOL: &str = "componentize-py==0.25.0";

const VENV_REMEDY: &str =
    "install Python 3.10 or newer with its venv module (on Debian `apt-get install python3-venv`)";

/// Builds `handler.py`, or `app.py` where there is none, into `component`.
pub(crate) fn build(folder: &Path, component: &Path) -> Result<PathBuf, Error> {
    let tool = tool(folder)?;
    let module = if folder.join("handler.py").exists() { "handler" } else { "app" };
    step("building with componentize-py");
    let mut command = Command::new(tool);
    command.current_dir(folder).args(["-q", "-d", "wit", "componentize", module, "-o"]);
    // Its backtraces would bury Python's message.
    command.arg(component).env("RUST_BACKTRACE", "0").env("PYTHONDONTWRITEBYTECODE", "1");
    run_aside(&mut command)?;
    Ok(component.to_owned())
}

/// The tool of the folder's own environment, which is made when there is no other.
fn tool(folder: &Path) -> Result<PathBuf, Error> {
    let venv = folder.join(".venv");
    let own = venv.join("bin/componentize-py");
    let requirements = folder.join("requirements.txt");
    if own.exists() && !is_newer(&requirements, &venv.join(STAMP)) {
        return Ok(own);
    }
    // An environment that somebody else keeps is theirs to keep up.
    if !venv.exists()
        && let Some(tool) = on_path("componentize-py")
    {
        return Ok(tool);
    }
    if !venv.join("bin/pip").exists() {
        if !succeeds(Command::new("python3").arg("--version")) {
            return Err(Error::NoTool { tool: "python3", remedy: VENV_REMEDY });
        }
        step("making .venv, a Python environment of this project");
        if run_aside(Command::new("python3").args(["-m", "venv"]).arg(&venv)).is_err() {
            // Half of one would pass for one that somebody else keeps.
            let _ = fs::remove_dir_all(&venv);
            return Err(Error::NoTool { tool: "python3's venv module", remedy: VENV_REMEDY });
        }
    }
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--disable-pip-version-check", "--progress-bar", "on"]);
    if requirements.exists() {
        step("installing requirements.txt into .venv (once)");
        pip.arg("--requirement").arg(&requirements);
    } else {
        step(&format!("installing {TOOL} into .venv (once)"));
        pip.arg(TOOL);
    }
    run_aside(&mut pip).map_err(Error::installing)?;
    if !own.exists() {
        let reason = format!("there is no componentize-py; add {TOOL} to requirements.txt");
        return Err(Error::NoComponent { folder: folder.to_owned(), reason });
    }
    let stamp = venv.join(STAMP);
    File::create(&stamp).map_err(Error::write(&stamp))?;
    Ok(own)
}

/// A file as old as the last installation.
const STAMP: &str = ".remuda";

fn is_newer(file: &Path, other: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    match (modified(file), modified(other)) {
        (Ok(file), other) => file > other.unwrap_or(SystemTime::UNIX_EPOCH),
        // Nothing to be newer.
        (Err(_), _) => false,
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
