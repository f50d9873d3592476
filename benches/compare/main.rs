//! The same work for several servers, side by side in one run.
//!
//! Purpose: a figure is only worth something beside another one from the same minutes on
//! the same machine. Each round starts every server in turn, loads it over loopback, and
//! reads from /proc what all its processes spent per request. Printed are the medians of
//! all rounds. What is not installed is named as skipped.
//!
//! ```text
//! cargo run --release -p remuda-benches --bin compare -- --rounds 5 --seconds 3
//! ```

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod contender;
mod cpu;
mod load;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Parser;
use contender::{Contender, contenders};

/// Compares servers by the CPU time they spend per request
#[derive(Debug, Parser)]
struct Args {
    /// How often each server is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load per measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Keep-alive connections, one request at a time on each
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Only the servers whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// The `wasmtime` command, if there is one
    #[arg(long, default_value = "wasmtime", env = "WASMTIME")]
    wasmtime: PathBuf,
    /// Folder with the release binaries and the guests
    #[arg(long, default_value = "target")]
    target: PathBuf,
}

/// What one measurement found.
#[derive(Clone, Copy, Debug)]
struct Sample {
    cpu_micros: f64,
    per_second: f64,
    p50_micros: f64,
    p99_micros: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let all = contenders(&args.target, &args.wasmtime);
    let chosen: Vec<&Contender> =
        all.iter().filter(|contender| contender.name.contains(&args.only)).collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); chosen.len()];
    for round in 0..args.rounds {
        for (contender, samples) in chosen.iter().zip(&mut samples) {
            match measure(contender, &args).await {
                Ok(sample) => samples.push(sample),
                Err(error) if round == 0 => println!("skipped {}: {error:#}", contender.name),
                Err(error) => println!("failed {}: {error:#}", contender.name),
            }
        }
    }
    println!(
        "{:<34} {:>12} {:>12} {:>10} {:>10}",
        "server", "CPU µs/req", "requests/s", "p50 µs", "p99 µs"
    );
    for (contender, samples) in chosen.iter().zip(&samples) {
        if samples.is_empty() {
            continue;
        }
        println!(
            "{:<34} {:>12.1} {:>12.0} {:>10.0} {:>10.0}",
            contender.name,
            median(samples, |sample| sample.cpu_micros),
            median(samples, |sample| sample.per_second),
            median(samples, |sample| sample.p50_micros),
            median(samples, |sample| sample.p99_micros),
        );
    }
    Ok(())
}

async fn measure(contender: &Contender, args: &Args) -> Result<Sample> {
    let server = contender.start().await?;
    let duration = Duration::from_secs(args.seconds);
    // Warm: pools filled, branch predictors trained, instances there.
    load::run(server.address, args.connections, Duration::from_millis(500)).await?;
    let before = cpu::of_tree(server.pid())?;
    let outcome = load::run(server.address, args.connections, duration).await?;
    let spent = cpu::of_tree(server.pid())?.saturating_sub(before);
    let requests = outcome.latencies_micros.len() as f64;
    Ok(Sample {
        cpu_micros: spent.as_secs_f64() * 1e6 / requests,
        per_second: requests / outcome.elapsed.as_secs_f64(),
        p50_micros: outcome.percentile(0.50),
        p99_micros: outcome.percentile(0.99),
    })
}

fn median(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let mut figures: Vec<f64> = samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
