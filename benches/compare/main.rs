//! The same work for several servers, side by side in one run.
//!
//! Purpose: a figure is only worth something beside another one from the same minutes on
//! the same machine. Each round starts every server in turn, loads it over loopback, and
//! reads from /proc what all its processes spent. Printed are the medians of all rounds. What
//! is not installed is named as skipped.
//!
//! ```text
//! cargo run --release -p remuda-benches --bin compare -- text --rounds 5 --seconds 3
//! ```

#![allow(clippy::print_stdout, reason = "the tables are what this program is for")]

mod beside;
mod contender;
mod footprint;
mod framing;
mod load;
mod processes;
mod rounds;
mod text;
mod works;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Compares servers side by side
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// CPU time per request of a 14-byte text
    Text(text::TextArgs),
    /// CPU time, throughput and latencies of short and long bodies, JSON and waiting
    Works(works::WorksArgs),
    /// Throughput and latencies of routes beside guests that burn
    Beside(beside::BesideArgs),
    /// Memory of idle workers, and the time until one is ready
    Footprint(footprint::FootprintArgs),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// How often each server is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load per measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Only the servers whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// The `wasmtime` command, if there is one
    #[arg(long, default_value = "wasmtime", env = "WASMTIME")]
    wasmtime: PathBuf,
    /// Folder of the commands `uvicorn` and `granian`, if they are there: what pip makes of
    /// benches/peers/requirements.txt
    #[arg(long, default_value = "target/peers/bin", env = "PEERS")]
    peers: PathBuf,
    /// Folder with the release binaries and the guests
    #[arg(long, default_value = "target")]
    target: PathBuf,
}

impl Options {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn release(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// The file of a guest, by an absolute path.
    fn guest(&self, name: &str) -> PathBuf {
        let path = self.target.join("guests").join(name);
        std::path::absolute(&path).unwrap_or(path)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Args::parse().mode {
        Mode::Text(args) => text::run(&args).await,
        Mode::Works(args) => works::run(&args).await,
        Mode::Beside(args) => beside::run(&args).await,
        Mode::Footprint(args) => footprint::run(&args).await,
    }
}
