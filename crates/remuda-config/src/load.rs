//! Merge and validate: the way from what was set to what is in force.
//!
//! Purpose: [`load`], the crate's one entrance. Owner: `remuda serve`, `remuda check`,
//! and later the reload. Invariant: a [`Loaded`] is complete and valid, or there are
//! errors, all of them.

use std::path::{Path, PathBuf};

use crate::{
    config::{Config, Executor, Route},
    error::{ConfigError, ConfigErrors},
    key::Key,
    keys::{KEYS, ROUTE_KEYS, find},
    machine::Machine,
    raw::{Raw, RawFile, RawRoute, bind_passed, defaults, environment, file, flags, passed},
    setting::Setting,
    source::Source,
    validate::{Folders, Reader, Scope, Surroundings, Worker, routes, server},
};

/// Everything that settings can come from.
#[derive(Clone, Debug)]
pub struct Input {
    /// The configuration file: its path, for messages and as what its relative paths
    /// are relative to, and its text.
    pub file: Option<(PathBuf, String)>,
    /// The whole environment, names and values.
    pub environment: Vec<(String, String)>,
    /// Paths of [`KEYS`] and all values given for their flags.
    pub flags: Vec<(&'static str, Vec<String>)>,
    /// `remuda serve COMPONENT`: one route `/` with this component.
    pub component: Option<PathBuf>,
    /// Paths of [`ROUTE_KEYS`] and all values given for their flags; for `component`.
    pub route_flags: Vec<(&'static str, Vec<String>)>,
    /// The working folder, absolute.
    pub base_dir: PathBuf,
    /// The user that the server runs as.
    pub uid: u32,
    /// This process: sockets passed to another one are not taken.
    pub pid: u32,
    /// Standard error is a terminal: somebody watches.
    pub terminal: bool,
    pub machine: Machine,
}

/// A valid configuration, and what to tell about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// Every key in the order of [`KEYS`], then those of each route in the
    /// order of [`ROUTE_KEYS`]; of `instances` only what has an effect.
    pub settings: Vec<Setting>,
    /// Valid, and most likely not what was meant. A line each.
    pub warnings: Vec<String>,
}

/// Merges the command line over the environment over the file over the defaults, and
/// validates the result. Only values that are in force are validated, but every key
/// must exist wherever it is set.
///
/// # Errors
/// All mistakes at once. When the file is not TOML, only those that can be told
/// without it.
pub fn load(input: Input) -> Result<Loaded, ConfigErrors> {
    let mut errors = Vec::new();
    let content = match &input.file {
        Some((path, text)) => file(path, text, &mut errors),
        None => Some(RawFile::default()),
    };
    let variables = environment(&input.environment, &mut errors);
    let command_line = flags(KEYS, &input.flags, &mut errors);
    let Some(content) = content else { return Err(ConfigErrors::new(errors)) };
    let raw_routes = all_routes(&input, content.routes, &mut errors);
    let passed = passed(&input.environment, input.pid, &mut errors);
    let mut values = defaults(KEYS);
    for layer in [bind_passed(&passed), content.settings, variables, command_line] {
        values.extend(layer);
    }

    let folders = folders(&input);
    let mut warnings = Vec::new();
    let scope = Scope { keys: KEYS, prefix: String::new() };
    let mut read = Reader::new(scope, values, &folders, &mut errors);
    let surroundings = Surroundings {
        environment: &input.environment,
        passed,
        uid: input.uid,
        terminal: input.terminal,
        machine: input.machine,
    };
    let server = server(&mut read, &surroundings, &mut warnings);
    let mut settings = read.finish();
    let worker = Worker { limits: server.limits.as_ref(), settings: &settings };
    let (routes, of_routes) = routes(raw_routes, &worker, &folders, &mut errors);
    settings.extend(of_routes);

    match server.with(routes).filter(|_| errors.is_empty()) {
        Some(config) => {
            warnings.extend(of_no_effect(&config.routes, &settings));
            Ok(Loaded { config, settings, warnings })
        }
        None => Err(ConfigErrors::new(errors)),
    }
}

/// Settings of routes for executors that they do not have.
fn of_no_effect(routes: &[Route], settings: &[Setting]) -> impl Iterator<Item = String> {
    routes.iter().enumerate().filter_map(|(number, route)| {
        let executor = match route.executor {
            Executor::Auto => return None,
            Executor::Async => "async",
            Executor::Blocking => "blocking",
        };
        let key = format!("route[{number}].offload_after");
        let given = |setting: &&Setting| setting.key == key && setting.source != Source::Default;
        let name = route.name();
        settings.iter().find(given).map(|setting| {
            format!(
                "{}: has no effect on route {name}, for its executor is {executor}; \
                 leave it out, or set executor to auto",
                setting.source
            )
        })
    })
}

fn folders(input: &Input) -> Folders {
    let path = input.file.as_ref().map(|(path, _)| input.base_dir.join(path));
    let folder = path.as_deref().and_then(Path::parent);
    let base = input.base_dir.clone();
    Folders { file: folder.map_or_else(|| base.clone(), Path::to_owned), base }
}

/// The file's routes, or the one of the command line.
fn all_routes(
    input: &Input,
    in_file: Vec<RawRoute>,
    errors: &mut Vec<ConfigError>,
) -> Vec<RawRoute> {
    let Some(component) = &input.component else {
        for (path, _) in input.route_flags.iter().filter(|(_, values)| !values.is_empty()) {
            let flag = find(ROUTE_KEYS, path).map(Key::flag_text);
            let source = Source::Flag(flag.unwrap_or_else(|| (*path).to_owned()));
            let problem = "applies only to remuda serve COMPONENT";
            errors.push(about_routes(source, problem, format!("set {path} in a [[route]]")));
        }
        if in_file.is_empty() {
            let remedy = match &input.file {
                Some((path, _)) => format!("add a [[route]] to {}", path.display()),
                None => "start with remuda serve COMPONENT, or write a remuda.toml".to_owned(),
            };
            errors.push(about_routes(Source::Default, "nothing to serve", remedy));
        }
        return in_file;
    };
    let source = Source::Flag("COMPONENT".to_owned());
    if let Some(first) = in_file.first() {
        let problem = format!("there are routes already, from {} on", first.source);
        let remedy = "leave COMPONENT out, or remove the routes";
        errors.push(about_routes(source.clone(), problem, remedy));
    }
    let mut settings = flags(ROUTE_KEYS, &input.route_flags, errors);
    match component.to_str() {
        Some(text) => {
            settings.insert("component", Raw::text(text, source.clone()));
        }
        None => {
            let problem = "its path is not UTF-8";
            errors.push(about_routes(source.clone(), problem, "rename it"));
            return Vec::new();
        }
    }
    vec![RawRoute { source, settings }]
}

fn about_routes(
    source: Source,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> ConfigError {
    let key = Some("route".to_owned());
    ConfigError { source, key, problem: problem.into(), remedy: remedy.into() }
}
