//! The same work for several servers, side by side in one run.
//!
//! Purpose: a figure is only worth something beside another one from the same minutes on
//! the same machine. Each round starts every server in turn, gives it a [work](works::Work) over
//! loopback, and reads from /proc what all its processes spent. Told are the medians of all
//! rounds, on the terminal, as JSON and as docs/performance.md. What is not installed is named
//! as skipped. Invariant: whatever was started has ended when this ends, Ctrl-C included.
//!
//! `Options` → `Bench` → `Work` → `Contender` → `Running` → `Sample` → `Table` → `Report`.
//!
//! ```text
//! cargo xtask bench                       # builds all it takes, then
//! target/release/compare run text knee    # only these works
//! target/release/compare render target/bench/figures.json
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the tables are its purpose")]

mod against;
mod arrivals;
mod bench;
mod contender;
mod framing;
mod lineup;
mod load;
mod machine;
mod print;
mod processes;
mod progress;
mod render;
mod report;
mod rounds;
mod smoke;
mod upstream;
mod works;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    bench::{Bench, Options},
    report::Report,
    works::Work,
};

/// Compares servers side by side
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Measure, and print a table for each work
    Run(RunArgs),
    /// Write docs/performance.md and its charts from what a run has written
    ///
    /// What stands between the markers `begin: rendered` and `end: rendered` is replaced; all
    /// else on the page is written by hand and stays.
    Render(render::RenderArgs),
    /// Two builds of Remuda in turn, and whether the second is better or worse
    Against(against::AgainstArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Only these works [default: all but hello and hash]
    #[arg(value_enum)]
    work: Vec<Work>,
    #[command(flatten)]
    options: Options,
    /// Write all figures to this file, as `render` reads them
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mode = Args::parse().mode;
    // Whoever is interrupted drops its servers, which ends them.
    let result = tokio::select! {
        result = run(mode) => result,
        result = interrupted() => result,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mode: Mode) -> Result<()> {
    match mode {
        Mode::Run(args) => measure(args).await,
        Mode::Render(args) => render::run(&args),
        Mode::Against(args) => against::run(args).await,
    }
}

async fn interrupted() -> Result<()> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    bail!("interrupted: nothing was written")
}

async fn measure(args: RunArgs) -> Result<()> {
    if let Some(json) = &args.json {
        // Better now than when all is measured.
        let folder = json.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::OpenOptions::new().create(true).append(true).open(json).map(|_| ()))
            .with_context(|| format!("failed to open {}; choose another --json", json.display()))?;
    }
    let is_smoke = args.options.smoke;
    let bench = Bench::new(args.options).await?;
    let works = if args.work.is_empty() { Work::usual() } else { args.work };
    let mut report = Report::new(&bench);
    for work in works {
        let table = work.run(&bench).await?;
        if table.rows.is_empty() && table.absent.is_empty() && !is_smoke {
            // No server of that name does this work.
            continue;
        }
        print::table(&table);
        report.tables.push(table);
    }
    if let Some(json) = &args.json {
        fs::write(json, report.to_json()?)
            .with_context(|| format!("failed to write {}", json.display()))?;
    }
    if is_smoke { smoke::check(&report) } else { Ok(()) }
}
