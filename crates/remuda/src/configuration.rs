//! From the command line, the environment and the file to the configuration.

mod identity;
pub(crate) mod notice;

use std::{
    env, fs,
    io::{self, ErrorKind, IsTerminal as _},
    num::NonZero,
    path::{Path, PathBuf},
};

use remuda_config::{Config, Input, Loaded, Machine, Setting, Source};

use crate::{
    cli::ServeArgs,
    exit::{Exit, Failure},
};

/// Read when nothing else is named.
const DEFAULT_FILE: &str = "remuda.toml";

/// Gathers all sources of settings and validates them.
pub(crate) fn load(args: ServeArgs) -> Result<Loaded, Failure> {
    let notice = notice::read()?;
    let input = if notice::is_for_development() {
        development_input(args, notice.is_some())?
    } else {
        let file = read_file(args.config.as_deref(), args.component.is_none())?;
        input(args, file)?
    };
    let mut loaded = remuda_config::load(input)
        .map_err(|errors| Failure::new(Exit::Configuration, errors.to_string()))?;
    if notice.is_some() && notice::is_nothing_built() {
        loaded.config.routes.clear();
    }
    check_mounts(&loaded.config)?;
    identity::read(&mut loaded)?;
    loaded.config.notice = notice;
    Ok(loaded)
}

/// Refuses what is wrong with the flags of a server of `remuda dev`, and with the files that they
/// name, whatever else is wrong.
pub(crate) fn check_flags(args: ServeArgs) -> Result<(), Failure> {
    let mut loaded = match remuda_config::load(development_input(args, false)?) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let of_flags = errors.iter().filter(|error| matches!(error.source, Source::Flag(_)));
            let wrong: Vec<_> = of_flags.map(ToString::to_string).collect();
            if wrong.is_empty() {
                return Ok(());
            }
            return Err(Failure::new(Exit::Usage, wrong.join("\n")));
        }
    };
    let by_flag = |key: &str| {
        let is_it = |setting: &&Setting| setting.key.ends_with(key);
        let setting = loaded.settings.iter().find(is_it);
        setting.is_some_and(|setting| matches!(setting.source, Source::Flag(_)))
    };
    let (mounts, tls) = (by_flag(".mounts"), by_flag("http.tls_cert") || by_flag("http.tls_key"));
    if mounts {
        check_mounts(&loaded.config)?;
    }
    if tls {
        identity::read(&mut loaded)?;
    }
    Ok(())
}

/// All sources of settings of a server of `remuda dev`: the component that it names is what to
/// serve where there is no file.
fn development_input(mut args: ServeArgs, has_notice: bool) -> Result<Input, Failure> {
    let file = match (&args.config, has_notice) {
        (None, true) => notice::served().map(|text| (PathBuf::from(DEFAULT_FILE), text)),
        (config, _) => read_file(config.as_deref(), true)?,
    };
    if file.is_some() {
        args.component = None;
    }
    input(args, file)
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
