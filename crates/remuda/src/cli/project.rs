//! The command lines of `remuda new`, `remuda build` and `remuda dev`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};

pub(crate) const BUILD_HELP: &str = "\
What a folder is, its files say: Cargo.toml is Rust, package.json JavaScript, app.py Python. What \
the build needs is installed on first use where it is the project's own (.venv, node_modules, a \
target of rustup), and named otherwise. The component's path is printed.

Exit codes: 0 built, 65 not built.";

pub(crate) const DEV_HELP: &str = "\
One worker serves remuda.toml of the folder, or else its component alone, to which alone flags of \
routes (--env, --mount) apply. It listens from the \
beginning: until a build has succeeded, everybody is answered 503. When a build fails, programs are \
answered by the last good component, and browsers are shown what is wrong. What a handler has in \
memory is lost with every change that is served, and with every build that fails. Ctrl-C ends \
everything.

Examples:
  remuda dev
  remuda dev shop --bind 127.0.0.1:8080
  remuda dev -- --request-timeout 5s --outbound-allow https://api.example.com

Exit codes: 0 ended as asked, 64 usage and wrong flags, 78 wrong files \
that flags name, 65 no project, 69 the address is in use, else how the server ended.";

/// What `new` takes.
#[derive(Args, Debug)]
pub(crate) struct NewArgs {
    /// The project's folder, whose last part is its name: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub(crate) folder: PathBuf,
    /// What it is written in
    #[arg(long, short, value_enum, default_value_t = Template::Rust)]
    pub(crate) template: Template,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    Rust,
    Python,
    Js,
}

/// What `build` takes.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// The project's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Where to put the component [default: target/NAME.wasm in the folder]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What `dev` takes.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// The project's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Address to listen on [default: remuda.toml's, or 127.0.0.1:8000]
    #[arg(long, short, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,
    /// Passed on to `remuda serve`
    #[arg(last = true, value_name = "FLAGS")]
    pub(crate) flags: Vec<OsString>,
}
