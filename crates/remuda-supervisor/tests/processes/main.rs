//! The supervisor with real processes, and fakes for what it starts.
//!
//! This executable is all of them: without [`FOLDER`] it runs the scenarios, with it the
//! supervisor (`serve`), which starts it again as `compile` and `worker`. The folder
//! belongs to one scenario and says how the fakes behave.

mod compiler;
mod runner;
mod scenarios;
mod serve;
mod server;
#[path = "../support/config.rs"]
mod support;
mod worker;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Names the scenario's folder to everything that belongs to it.
const FOLDER: &str = "REMUDA_TEST_FOLDER";

fn main() -> ExitCode {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        return runner::main(scenarios::ALL);
    };
    match env::args().nth(1).as_deref() {
        Some("serve") => serve::main(&folder),
        Some("worker") => worker::main(&folder),
        Some("compile") => compiler::main(&folder),
        other => panic!("no such role: {other:?}"),
    }
}

/// How the fake called `role` is to behave.
fn behaviour(folder: &Path, role: &str) -> String {
    fs::read_to_string(folder.join(role)).expect("a behaviour")
}
