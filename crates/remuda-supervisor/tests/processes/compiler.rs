//! The compiler's fake.

use std::{
    env, fs,
    path::Path,
    process::{self, ExitCode},
    thread,
};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::behaviour;

/// What it leaves in the scenario's folder.
pub(crate) const ARTIFACT: &str = "artifact.cwasm";

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the compiler's streams are its interface"
)]
pub(crate) fn main(folder: &Path) -> ExitCode {
    if env::args().any(|argument| argument == "--supervised") {
        set_parent_process_death_signal(Some(Signal::KILL)).expect("heard");
    }
    match behaviour(folder, "compiler").as_str() {
        "works" => {
            let artifact = folder.join(ARTIFACT);
            fs::write(&artifact, "code").expect("written");
            println!(r#"{{"artifact": {artifact:?}, "cached": false}}"#);
            ExitCode::SUCCESS
        }
        "refuses" => {
            eprintln!("remuda: the component exports nothing");
            ExitCode::from(65)
        }
        "hangs" => {
            fs::write(folder.join("compiling"), process::id().to_string()).expect("written");
            loop {
                thread::park();
            }
        }
        other => panic!("no such behaviour: {other}"),
    }
}
