//! What routes are worth while another one's guests burn all processors.
//!
//! Each server, Remuda with one worker and a route for each path, is measured quiet and then
//! beside callers whose guests spin: a route that answers at once, one that waits 20 ms, and a
//! job of 20 ms of work. All serve the same component, for `wasmtime serve` takes only one.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::{
    Options,
    contender::{Contender, routed},
    load::{Outcome, Target, ask_once},
    rounds::{self, median},
};

/// Jobs of 20 ms that are timed beside those that burn, one after the other.
const JOBS: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct BesideArgs {
    #[command(flatten)]
    options: Options,
    /// Keep-alive connections to the route that is measured, one request at a time on each
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Callers whose guests burn
    #[arg(long, default_value_t = 4)]
    burning: usize,
    /// What they ask for
    #[arg(long, value_enum, default_value_t = Work::Spin)]
    work: Work,
    /// How long each guest of `spin` burns, in milliseconds, before its caller asks again; 0: for
    /// ever, which `wasmtime serve` does not survive
    #[arg(long, default_value_t = 2000)]
    spin_ms: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Work {
    /// Loops of the guest `misbehave`
    Spin,
    /// Password hashes of the guest `cpu`, as OWASP wants them
    Hash,
}

impl Work {
    fn component(self) -> &'static str {
        match self {
            Self::Spin => "misbehave.wasm",
            Self::Hash => "cpu.wasm",
        }
    }

    /// The routes that are measured.
    fn measured(self) -> &'static [&'static str] {
        match self {
            Self::Spin => &["/", "/sleep?ms=20"],
            Self::Hash => &["/"],
        }
    }

    /// The path of the route that burns.
    fn route(self) -> &'static str {
        match self {
            Self::Spin => "/spin",
            Self::Hash => "/hash",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Spin => "/spin?ms=20",
            Self::Hash => "/hash?m=9728&t=1",
        }
    }

    fn long(self, spin_ms: u64) -> String {
        match self {
            Self::Spin if spin_ms > 0 => format!("/spin?ms={spin_ms}"),
            _ => self.route().to_owned(),
        }
    }
}

/// What one measurement of one server found.
struct Sample {
    routes: Vec<Disturbed>,
    /// Seconds.
    jobs: Vec<f64>,
}

/// One route.
struct Disturbed {
    quiet: Outcome,
    beside: Outcome,
}

pub(crate) async fn run(args: &BesideArgs) -> Result<()> {
    let waits = args.work.measured().iter().filter_map(|path| Some(path.split_once('?')?.0));
    let routes: Vec<&str> = ["/"].into_iter().chain(waits).collect();
    let all = routed(&args.options, args.work.component(), &routes, args.work.route())?;
    let measured = rounds::run(&args.options, &all.contenders, async |contender| {
        measure(contender, args).await //
    });
    println!(
        "{:<26} {:<14} {:>9} {:>8} {:>8}   {:>9} {:>8} {:>8} {:>6}",
        "server", "route", "quiet /s", "p50 ms", "p99 ms", "beside /s", "p50 ms", "p99 ms", "kept"
    );
    let measured = measured.await;
    for (name, samples) in &measured {
        for (index, path) in args.work.measured().iter().enumerate() {
            print_route(name, path, samples, index);
        }
    }
    println!("\n{:<26} {:>12} {:>12}", "a short job beside them", "median ms", "slowest ms");
    for (name, samples) in &measured {
        let jobs: Vec<f64> = samples.iter().flat_map(|sample| &sample.jobs).copied().collect();
        let slowest = jobs.iter().copied().fold(0.0, f64::max);
        println!("{name:<26} {:>12.0} {:>12.0}", median(&jobs, |job| job * 1e3), slowest * 1e3);
    }
    Ok(())
}

fn print_route(name: &str, path: &str, samples: &[Sample], index: usize) {
    let quiet = |of: &dyn Fn(&Outcome) -> f64| median(samples, |it| of(&it.routes[index].quiet));
    let beside = |of: &dyn Fn(&Outcome) -> f64| median(samples, |it| of(&it.routes[index].beside));
    let p50 = |outcome: &Outcome| outcome.percentile(0.50) / 1e3;
    let p99 = |outcome: &Outcome| outcome.percentile(0.99) / 1e3;
    let kept = median(samples, |sample| {
        let Disturbed { quiet, beside } = &sample.routes[index];
        beside.per_second() / quiet.per_second() * 100.0
    });
    println!(
        "{name:<26} {path:<14} {:>9.0} {:>8.2} {:>8.2}   {:>9.1} {:>8.2} {:>8.2} {kept:>4.0} %",
        quiet(&Outcome::per_second),
        quiet(&p50),
        quiet(&p99),
        beside(&Outcome::per_second),
        beside(&p50),
        beside(&p99),
    );
}

async fn measure(contender: &Contender, args: &BesideArgs) -> Result<Sample> {
    let server = contender.start().await?;
    let mut targets = Vec::new();
    for path in args.work.measured() {
        let target = Target::probe(server.address, path).await?;
        target.load(args.connections, Duration::from_millis(500)).await?;
        let quiet = target.load(args.connections, args.options.duration()).await?;
        targets.push((target, quiet));
    }
    let _burning = burn(server.address, args.work.long(args.spin_ms), args.burning);
    // Until all of them burn, and a server that moves them has moved them.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut routes = Vec::new();
    for (target, quiet) in targets {
        let beside = target.load(args.connections, args.options.duration()).await;
        let beside = beside.context("beside those that burn")?;
        routes.push(Disturbed { quiet, beside });
    }
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(ask_once(server.address, args.work.short()).await?.as_secs_f64());
    }
    Ok(Sample { routes, jobs })
}

/// Callers who ask again as soon as they are answered, until they are dropped.
fn burn(address: SocketAddr, path: String, callers: usize) -> JoinSet<()> {
    let mut burning = JoinSet::new();
    for _ in 0..callers {
        let path = path.clone();
        burning.spawn(async move {
            loop {
                // One that is ended for burning too long is no success.
                let _ = ask_once(address, &path).await;
            }
        });
    }
    burning
}
