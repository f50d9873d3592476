//! From the command line, the environment and the file to the configuration.

mod identity;
pub(crate) mod notice;

use std::{
    env, fs,
    io::{self, ErrorKind, IsTerminal as _},
    num::NonZero,
    path::{Path, PathBuf},
};

use remuda_config::{Config, Input, Loaded, Machine, Source};

use crate::{
    cli::ServeArgs,
    exit::{Exit, Failure},
};

/// Read when nothing else is named.
const DEFAULT_FILE: &str = "remuda.toml";

/// Gathers all sources of settings and validates them.
pub(crate) fn load(args: ServeArgs) -> Result<Loaded, Failure> {
    let notice = notice::read()?;
    let mut file = read_file(args.config.as_deref(), args.component.is_none())?;
    if notice.is_some()
        && let Some((_, text)) = &mut file
        && let Some(served) = notice::served()
    {
        *text = served;
    }
    let mut loaded = remuda_config::load(input(args, file)?)
        .map_err(|errors| Failure::new(Exit::Configuration, errors.to_string()))?;
    if notice.is_some() && notice::is_nothing_built() {
        loaded.config.routes.clear();
    }
    check_mounts(&loaded.config)?;
    identity::read(&mut loaded)?;
    loaded.config.notice = notice;
    Ok(loaded)
}

/// What is wrong with the flags of the command line, whatever else is wrong: a line each.
pub(crate) fn wrong_flags(args: ServeArgs) -> Result<Vec<String>, Failure> {
    let file = read_file(args.config.as_deref(), args.component.is_none())?;
    let Err(errors) = remuda_config::load(input(args, file)?) else { return Ok(Vec::new()) };
    let of_flags = errors.iter().filter(|error| matches!(error.source, Source::Flag(_)));
    Ok(of_flags.map(ToString::to_string).collect())
}

/// All sources of settings.
fn input(args: ServeArgs, file: Option<(PathBuf, String)>) -> Result<Input, Failure> {
    let base_dir = env::current_dir().map_err(|error| {
        Failure::new(Exit::Configuration, format!("failed to find the current folder: {error}"))
    })?;
    Ok(Input {
        file,
        environment: environment()?,
        flags: args.settings.settings,
        component: args.component,
        route_flags: args.settings.route,
        base_dir,
        uid: rustix::process::getuid().as_raw(),
        pid: std::process::id(),
        terminal: io::stderr().is_terminal(),
        machine: machine(),
    })
}

/// What this process may use of the machine.
pub(crate) fn machine() -> Machine {
    Machine::read(Path::new("/"), affinity())
}

/// The environment as text. What is not UTF-8 is passed over, but not where it was meant
/// as a setting.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    let mut environment = Vec::new();
    for (name, value) in env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => environment.push((name, value)),
            (Ok(name), Err(_)) if name.starts_with("REMUDA_") => {
                let message = format!("{name}: its value is not UTF-8; set it to text");
                return Err(Failure::new(Exit::Configuration, message));
            }
            _ => {}
        }
    }
    // Sockets that were passed to a server are passed on to its successor, whose pid nobody
    // could know beforehand.
    let has = |name: &str| environment.iter().any(|(other, _)| other == name);
    if has("REMUDA_HANDOVER") && has("LISTEN_FDS") && !has("LISTEN_PID") {
        environment.push(("LISTEN_PID".to_owned(), std::process::id().to_string()));
    }
    Ok(environment)
}

/// A folder that is not there would fail every worker.
fn check_mounts(config: &Config) -> Result<(), Failure> {
    for route in &config.routes {
        for mount in &route.mounts {
            let problem = match fs::metadata(&mount.host) {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => "it is not a folder".to_owned(),
                Err(error) => error.to_string(),
            };
            let (path, host) = (&route.path, mount.host.display());
            let message = format!("failed to mount {host} for route {path}: {problem}");
            return Err(Failure::new(Exit::Configuration, message));
        }
    }
    Ok(())
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

/// Cores that this process may be scheduled on. The standard library's number has the
/// container's quota in it already, rounded; it has to do where the kernel has more cores
/// than a mask holds.
fn affinity() -> usize {
    match rustix::thread::sched_getaffinity(None) {
        Ok(cores) => cores.count() as usize,
        Err(_) => std::thread::available_parallelism().map_or(1, NonZero::get),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What these flags make of the defaults, on a machine of two cores.
    pub(crate) fn of_flags(flags: &[(&'static str, &str)]) -> Config {
        let input = Input {
            file: None,
            environment: Vec::new(),
            flags: flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect(),
            component: Some("a.wasm".into()),
            route_flags: Vec::new(),
            base_dir: "/".into(),
            uid: 0,
            pid: 1,
            terminal: true,
            machine: Machine::with_cores(2),
        };
        remuda_config::load(input).expect("a configuration").config
    }
}
