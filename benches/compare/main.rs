//! The same work for several servers, side by side in one run.
//!
//! Purpose: a figure is only worth something beside another one from the same minutes on
//! the same machine. Each round starts every server in turn, gives it a [work](works) over loopback, and reads from /proc what all its processes spent. Told are the medians of all
//! rounds, on the terminal, as JSON and as docs/performance.md. What is not installed is named
//! as skipped. Invariant: whatever was started has ended when this ends, Ctrl-C included.
//!
//! `Options` → `Bench` → `Work` → `Contender` → `Running` → `Sample` → `Table` → `Report`.
//!
//! ```text
//! cargo xtask bench                       # builds all it takes, then
//! target/release/compare run text knee    # only these works
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
mod rounds;
mod upstream;
mod works;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use remuda_comparison::{
    report::{self, Report},
    smoke,
};

use crate::bench::{Bench, Options};

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
    /// Two builds of Remuda in turn, and whether the second is better or worse
    Against(against::AgainstArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    options: Options,
    /// Write all figures to this file, as `cargo xtask bench --render` reads them
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
    args.options.choice.check()?;
    if let Some(json) = &args.json {
        // Better now than when all is measured.
        report::prepare(json)?;
    }
    let is_smoke = args.options.smoke;
    let bench = Bench::new(args.options).await?;
    let mut planned = Vec::new();
    for work in bench.options.choice.works() {
        let contenders = works::contenders(work, &bench)?;
        if is_smoke || contenders.iter().any(|contender| contender.is_wanted(&bench.options)) {
            planned.push((work, contenders));
        }
    }
    let times = planned.iter().map(|(work, contenders)| works::time(*work, &bench, contenders));
    bench.progress.borrow_mut().plan(times.collect());
    let mut report = Report::new(machine::this(&bench.options), command(&bench.options));
    for (work, contenders) in planned {
        let table = works::run(work, &bench, &contenders).await;
        print::table(&table);
        report.tables.push(table);
    }
    if let Some(json) = &args.json {
        fs::write(json, report.to_json()?)
            .with_context(|| format!("failed to write {}", json.display()))?;
    }
    if is_smoke {
        smoke::check(&report)?;
    }
    Ok(())
}

/// What repeats this run, as one types it.
fn command(options: &Options) -> String {
    let mut words = vec!["cargo xtask bench".to_owned()];
    if options.smoke {
        words.push("--smoke".to_owned());
    }
    let args = options.choice.args().into_iter();
    words.extend(args.map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { arg }));
    words.join(" ")
}
