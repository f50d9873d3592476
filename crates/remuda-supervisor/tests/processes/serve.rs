//! The supervisor's process: what the binary does around `run`.

use std::{env, fs, io, path::Path, process::ExitCode};

use remuda_config::Config;
use remuda_supervisor::{ConfigSource, Plan, Program, Upgrade, run};

pub(crate) fn main(folder: &Path) -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(io::stderr)
        .init();
    // Orphans come to the supervisor, as they do to PID 1.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("a subreaper");
    let plan = Plan {
        config: read(folder).expect("a configuration"),
        program: Program {
            executable: env::current_exe().expect("an executable"),
            environment: vec![("REMUDA_TEST_GREETING".to_owned(), "hello".to_owned())],
        },
        source: ConfigSource(Box::new({
            let folder = folder.to_owned();
            move || read(&folder)
        })),
        upgrade: Upgrade {
            executable: env::current_exe().expect("an executable"),
            arguments: vec!["serve".into()],
        },
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(run(plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "failed");
            ExitCode::from(error.exit_code())
        }
    }
}

fn read(folder: &Path) -> Result<Config, String> {
    let text = fs::read(folder.join("config.json")).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
