//! What routes are worth while another one's guests burn all processors.
//!
//! Each server, Remuda with one worker and a route for each path, is measured quiet and then
//! beside callers whose guests spin: a route that answers at once, one that waits 20 ms, and a
//! short job, which is some 20 ms of work however long it takes. All serve the same component, for
//! `wasmtime serve` takes only one.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::{
    Options,
    contender::{Contender, routed},
    load::{Outcome, Target, ask_once},
    rounds::{self, median},
};

/// Short jobs that are timed one after the other.
const JOBS: usize = 5;

/// What a short job takes while nothing else runs, and rounds of `spin` to find that out with.
const JOB: Duration = Duration::from_millis(20);
const TRIAL: f64 = 1000.0;

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

    /// The same work on this server every time, of about [`JOB`].
    async fn short(self, address: SocketAddr) -> Result<String> {
        Ok(match self {
            Self::Spin => {
                let path = |rounds: f64| format!("/spin?rounds={rounds:.0}");
                let trial = median(&time(address, &path(TRIAL)).await?, |time| *time);
                path(TRIAL * JOB.as_secs_f64() / trial)
            }
            Self::Hash => "/hash?t=1".to_owned(),
        })
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
    /// Seconds that each short job took.
    quiet_jobs: Vec<f64>,
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
    println!("\n{:<26} {:>9} {:>10} {:>11}", "short job", "quiet ms", "beside ms", "slowest ms");
    for (name, samples) in &measured {
        let all = |jobs: fn(&Sample) -> &Vec<f64>| -> Vec<f64> {
            samples.iter().flat_map(|sample| jobs(sample).iter().map(|job| job * 1e3)).collect()
        };
        let (quiet, beside) = (all(|sample| &sample.quiet_jobs), all(|sample| &sample.jobs));
        println!(
            "{name:<26} {:>9.0} {:>10.0} {:>11.0}",
            median(&quiet, |job| *job),
            median(&beside, |job| *job),
            beside.iter().copied().fold(0.0, f64::max),
        );
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
    let short = args.work.short(server.address).await?;
    let quiet_jobs = time(server.address, &short).await?;
    let _burning = burn(server.address, args.work.long(args.spin_ms), args.burning);
    // Until all of them burn, and a server that moves them has moved them.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut routes = Vec::new();
    for (target, quiet) in targets {
        let beside = target.load(args.connections, args.options.duration()).await;
        let beside = beside.context("beside those that burn")?;
        routes.push(Disturbed { quiet, beside });
    }
    let jobs = time(server.address, &short).await.context("beside those that burn")?;
    Ok(Sample { routes, quiet_jobs, jobs })
}

/// How long each of some jobs takes, in seconds.
async fn time(address: SocketAddr, path: &str) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..JOBS {
        times.push(ask_once(address, path).await?.as_secs_f64());
    }
    Ok(times)
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
