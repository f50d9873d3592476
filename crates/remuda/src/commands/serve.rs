//! `remuda serve`: the supervisor.

use std::path::PathBuf;

use remuda_config::{Config, Loaded, Setting};
use remuda_supervisor::{ConfigSource, Plan, Program, Upgrade};

use super::effective;
use crate::{
    cli::ServeArgs,
    configuration,
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
    effective::log(&settings, logging::is_json(&config.log));
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    open_files::warn_if_too_few(&config);
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
    for warning in loaded.warnings {
        tracing::warn!("{warning}");
    }
    open_files::warn_if_too_few(&loaded.config);
    *known = loaded.settings;
    Ok(loaded.config)
}
