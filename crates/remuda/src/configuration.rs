//! From the command line, the environment and the file to the configuration.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use remuda_config::{Input, Loaded, Machine};

use crate::{
    cli::ServeArgs,
    exit::{Exit, Failure},
};

/// Read when nothing else is named.
const DEFAULT_FILE: &str = "remuda.toml";

/// Gathers all sources of settings and validates them.
pub(crate) fn load(args: ServeArgs) -> Result<Loaded, Failure> {
    let file = read_file(args.config.as_deref(), args.component.is_none())?;
    let base_dir = env::current_dir().map_err(|error| {
        Failure::new(Exit::Configuration, format!("failed to find the current folder: {error}"))
    })?;
    let environment = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let input = Input {
        file,
        environment,
        flags: args.settings.settings,
        component: args.component,
        route_flags: args.settings.route,
        base_dir,
        machine: machine(),
    };
    remuda_config::load(input)
        .map_err(|errors| Failure::new(Exit::Configuration, errors.to_string()))
}

fn read_file(
    named: Option<&Path>,
    look_for_default: bool,
) -> Result<Option<(PathBuf, String)>, Failure> {
    let path = match named {
        Some(path) => path,
        None if look_for_default => Path::new(DEFAULT_FILE),
        None => return Ok(None),
    };
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => {
            let message = format!("failed to read {}: {error}", path.display());
            Err(Failure::new(Exit::Configuration, message))
        }
    }
}

/// What this process may use: affinity and cgroup quota, as the standard library sees
/// them.
fn machine() -> Machine {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    Machine { cores }
}
