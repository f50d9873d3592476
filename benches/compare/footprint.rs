//! What idle workers cost in memory, and how soon one is ready.
//!
//! Memory is PSS: pages that several processes have mapped count in parts, so that the sum over
//! all of them is what the machine has to give. What one more worker costs is the difference
//! between two sums. The time from a worker's start until it is ready is what the server logs.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{ChildStderr, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    Options,
    contender::{Running, free_address},
    processes,
    rounds::median,
};

const MOST_WORKERS: usize = 4;

/// How long memory must stay as it is to be read, and how often that is looked at.
const SETTLED: Duration = Duration::from_millis(500);
const LOOKS: usize = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct FootprintArgs {
    #[command(flatten)]
    options: Options,
    /// Components in the folder of the guests
    #[arg(long, default_values = ["hello-p2.wasm", "hello.wasm", "cpu.wasm"])]
    component: Vec<String>,
}

/// One start of a server.
struct Sample {
    supervisor_kib: f64,
    workers_kib: Vec<f64>,
    /// Milliseconds from the start of each worker.
    ready: Vec<f64>,
}

impl Sample {
    fn sum(&self) -> f64 {
        self.supervisor_kib + self.workers_kib.iter().sum::<f64>()
    }
}

pub(crate) async fn run(args: &FootprintArgs) -> Result<()> {
    println!(
        "{:<16} {:>7} {:>14} {:>12} {:>9} {:>13} {:>15} {:>11}",
        "component",
        "workers",
        "supervisor MiB",
        "a worker MiB",
        "all MiB",
        "one more MiB",
        "ready, median ms",
        "slowest ms"
    );
    for component in &args.component {
        let path = args.options.guest(component);
        // The first one compiles.
        sample(&args.options, &path, 1).await?;
        let mut samples: Vec<Vec<Sample>> = (0..MOST_WORKERS).map(|_| Vec::new()).collect();
        for _ in 0..args.options.rounds {
            for (workers, samples) in (1..).zip(&mut samples) {
                samples.push(sample(&args.options, &path, workers).await?);
            }
        }
        let mut before = None;
        for (workers, samples) in (1..).zip(&samples) {
            print_row(component, workers, samples, &mut before);
        }
    }
    Ok(())
}

fn print_row(component: &str, workers: usize, samples: &[Sample], before: &mut Option<f64>) {
    let mib = |of: &dyn Fn(&Sample) -> f64| median(samples, of) / 1024.0;
    let each: Vec<f64> = samples.iter().flat_map(|sample| &sample.workers_kib).copied().collect();
    let ready: Vec<f64> = samples.iter().flat_map(|sample| &sample.ready).copied().collect();
    let sum = mib(&Sample::sum);
    let more = before.replace(sum).map_or("-".to_owned(), |before| format!("{:.1}", sum - before));
    println!(
        "{component:<16} {workers:>7} {:>14.1} {:>12.1} {sum:>9.1} {more:>13} {:>16.0} {:>11.0}",
        mib(&|sample| sample.supervisor_kib),
        median(&each, |kib| kib / 1024.0),
        median(&ready, |it| *it),
        ready.iter().copied().fold(0.0, f64::max),
    );
}

async fn sample(options: &Options, component: &Path, workers: usize) -> Result<Sample> {
    let address = free_address()?;
    let mut child = Command::new(options.release("remuda"))
        .arg("serve")
        .arg(component)
        .args(["--bind", &address.to_string(), "--workers", &workers.to_string()])
        .args(["--admin", "off", "--control", "off", "--log-format", "json"])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start remuda; build it with `cargo build --release`")?;
    let log = child.stderr.take();
    let server = Running::of(child, address);
    // Open until the server has ended: it goes on logging.
    let mut log = BufReader::new(log.context("the server has no log")?);
    let ready = until_it_listens(&mut log)?;
    let memory = settled(server.pid()).await?;
    let [supervisor, workers @ ..] = memory.as_slice() else { bail!("the server has ended") };
    Ok(Sample {
        supervisor_kib: *supervisor as f64,
        workers_kib: workers.iter().map(|kib| *kib as f64).collect(),
        ready,
    })
}

/// Reads the log to the line that says so; how long each worker took to be ready.
fn until_it_listens(log: &mut BufReader<ChildStderr>) -> Result<Vec<f64>> {
    let mut ready = Vec::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(&line?)?;
        match line["message"].as_str() {
            Some("worker ready") => ready.extend(line["elapsed_ms"].as_f64()),
            Some("listening") => return Ok(ready),
            _ => {}
        }
    }
    bail!("the server ended before it listened")
}

/// What each process has when that changes no more, or has changed for long.
async fn settled(root: u32) -> Result<Vec<u64>> {
    let mut before = processes::memory(root)?;
    for _ in 0..LOOKS {
        tokio::time::sleep(SETTLED).await;
        let now = std::mem::replace(&mut before, processes::memory(root)?);
        if now == before {
            break;
        }
    }
    Ok(before)
}
