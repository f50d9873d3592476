//! `remuda serve`: the supervisor.

use std::path::PathBuf;

use remuda_config::{Config, Loaded, Setting};
use remuda_supervisor::{ConfigSource, Plan, Program, Upgrade};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::effective;
use crate::{
    cli::ServeArgs,
    configuration::{self, notice},
    exit::{Exit, Failure, chain},
    logging, open_files,
};

/// Names the running program even after its file has been replaced.
const THIS_EXECUTABLE: &str = "/proc/self/exe";

pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    // Before the file can be replaced.
    let executable = remuda_supervisor::running_executable()
        .map_err(|error| Failure::new(Exit::Software, format!("failed to find itself: {error}")))?;
    let Loaded { config, settings, warnings } = configuration::load(args.clone())?;
    logging::init(&config.log);
    open_files::raise_limit();
    if notice::is_for_development() {
        end_with_parent();
    } else {
        effective::log(&settings, logging::is_json(&config.log));
    }
    warn(&warnings, &config);
    let program = Program { executable: PathBuf::from(THIS_EXECUTABLE), environment: Vec::new() };
    let mut known = settings;
    let source = ConfigSource(Box::new(move || load_again(args.clone(), &mut known)));
    let upgrade = Upgrade { executable, arguments: std::env::args_os().skip(1).collect() };
    let plan = Plan { config, program, source, upgrade };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, format!("failed to start: {error}")))?;
    runtime
        .block_on(remuda_supervisor::run(plan))
        .map_err(|error| Failure::with_code(error.exit_code(), chain(&error)))
}

/// Says what production would miss; nobody who develops needs to read it.
fn warn(warnings: &[String], config: &Config) {
    if notice::is_for_development() {
        return;
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    open_files::warn_if_too_few(config);
}

/// A `remuda dev` that is killed leaves no server behind.
fn end_with_parent() {
    // Without it the server stays and can be stopped by hand.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}

/// The configuration for a reload, from the same sources as at the start. Logs what is
/// other than what was `known`.
fn load_again(args: ServeArgs, known: &mut Vec<Setting>) -> Result<Config, String> {
    let loaded = configuration::load(args).map_err(|failure| failure.message().to_owned())?;
    for Setting { key, value, source, reason } in &loaded.settings {
        let before = known.iter().find(|setting| setting.key == *key);
        if before.is_none_or(|before| before.value != *value) {
            let before = before.map(|before| before.value.as_str());
            tracing::info!(key, value, before, %source, reason, "setting changed");
        }
    }
    warn(&loaded.warnings, &loaded.config);
    *known = loaded.settings;
    Ok(loaded.config)
}
