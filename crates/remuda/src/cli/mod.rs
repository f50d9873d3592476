//! The command line.

mod ctl;
mod project;
mod settings;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
pub(crate) use ctl::{CtlAction, CtlArgs};
pub(crate) use project::{BuildArgs, DevArgs, NewArgs, Template};
pub(crate) use settings::SettingFlags;

/// An application server for WebAssembly components: a supervisor, worker processes,
/// limits on everything.
#[derive(Debug, Parser)]
#[command(name = "remuda", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a component, or the routes of a configuration file
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Check configuration, components and what production needs, without serving anything
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Compile a component into the cache, so that a later start finds it there
    Compile(CompileArgs),
    /// Write a project that builds and serves
    New(NewArgs),
    /// Build the project of a folder into a component
    #[command(after_help = project::BUILD_HELP)]
    Build(BuildArgs),
    /// Build and serve a project, and do so again whenever its sources change
    #[command(after_help = project::DEV_HELP)]
    Dev(DevArgs),
    /// Ask or order a running server
    #[command(after_help = ctl::HELP)]
    Ctl(CtlArgs),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for every command
    Man {
        /// Write the pages into this folder instead
        #[arg(long = "folder", value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// A worker process; started by `remuda serve`
    #[command(hide = true)]
    Worker,
}

const SERVE_HELP: &str = "\
Every setting can be given by flag, by environment variable (REMUDA_ and the key in capitals, \
dots as __, such as REMUDA_LIMITS__CONCURRENCY) or in the file, in this order of precedence.

Examples:
  remuda serve hello.wasm
  remuda serve hello.wasm --bind 0.0.0.0:8000 --workers 4 --env GREETING=hi
  remuda serve --config /etc/remuda.toml

Exit codes: 0 ended as asked, 64 usage, 65 component unusable, 69 address in use or not \
bindable, 70 workers cannot start, 78 configuration.";

const CHECK_HELP: &str = "\
The checklist has a line for each thing that a server in production should have: pass, look \
(somebody may want it so), or FAIL (requests will be lost), which ends with exit code 78.";

/// What `check` takes.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// How long a proxy or load balancer in front keeps idle connections; fail unless they
    /// live longer here
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) upstream_idle: Option<Duration>,
}

/// As in the configuration: a bare number is seconds.
fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text),
    }
}

/// What `serve` and `check` take.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// The component to serve at /; without it the routes come from the file
    #[arg(value_name = "COMPONENT")]
    pub(crate) component: Option<PathBuf>,
    /// Configuration file [default: remuda.toml, if there is one and no COMPONENT is given]
    #[arg(long, short, value_name = "FILE", env = "REMUDA_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

#[derive(Args, Debug)]
pub(crate) struct CompileArgs {
    /// The component to compile
    #[arg(value_name = "COMPONENT", required = true)]
    pub(crate) component: PathBuf,
    /// Folder for compiled components [default: the setting `cache`]
    #[arg(long, value_name = "FOLDER", visible_alias = "cache-dir")]
    pub(crate) cache: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// End when the process that started this one does
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}
