//! `cargo xtask`: builds the guests, then serves, tests, checks or measures with them.
//!
//! Owns everything that a fresh checkout needs before `cargo test` makes sense, so that nobody
//! has to know how a guest is built. Nothing else in the workspace depends on it, and it changes
//! nothing in the checkout outside of the target folder.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a tool for the terminal")]

mod bench;
mod c;
mod check;
mod extra;
mod foreign;
mod guest;
mod guests;
mod serve;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, serves, tests, checks and measures Remuda.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build every guest in guests/ and put it at target/guests/NAME.wasm
    ///
    /// Uses the first of these that works: an installed target wasm32-wasip2; `rustup target add
    /// wasm32-wasip2`; Debian's rustc-web, rust-web-src and wasi-libc (installed with apt-get when
    /// run as root). Guests in Python and JavaScript are built with tools from PyPI and npm, which
    /// are kept in target/guest-build, those in C with clang and wasi-libc.
    Guests {
        /// Only these folders of guests/
        names: Vec<String>,
    },

    /// Build the guests in Rust and the server, and serve the guest hello on 127.0.0.1:8000
    Serve {
        /// Passed on to `remuda serve`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },

    /// Build the guests and the server, and run all tests of the workspace
    ///
    /// Seeds of the fuzz targets, guests' own tests, a short comparison and documentation tests run first, all others under
    /// cargo-nextest, which is installed when it is missing. The tests find the guests through `REMUDA_GUESTS`.
    Test {
        /// Passed on to `cargo nextest run --workspace`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },

    /// Check formatting, lints and, when cargo-deny is installed, the dependencies
    Check,

    /// Compare Remuda with native hyper, wasmtime serve and Python's servers
    ///
    /// Builds guests and server, installs Python's servers from PyPI into target/peers, and measures
    /// all in turn; not half an hour. Tables go to the terminal, all figures to
    /// target/bench/figures.json, from which `--render` writes docs/performance.md. The engine alone
    /// is measured by `cargo bench --package remuda-benches`.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Guests { names } if names.is_empty() => guests::build(&workspace),
        Command::Guests { names } => guests::build_named(&workspace, &names),
        Command::Serve { args } => serve::serve(&workspace, &args),
        Command::Test { args } => test::test(&workspace, &args),
        Command::Check => check::check(&workspace),
        Command::Bench(args) => bench::bench(&workspace, &args),
    }
}
