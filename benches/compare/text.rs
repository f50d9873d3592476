//! What a 14-byte text costs each server: CPU time per request, from /proc, of all its processes.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Options,
    contender::{Contender, hellos},
    load::Target,
    processes,
    rounds::{self, median},
};

#[derive(Debug, clap::Args)]
pub(crate) struct TextArgs {
    #[command(flatten)]
    options: Options,
    /// Keep-alive connections, one request at a time on each
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

/// What one measurement found.
#[derive(Clone, Copy, Debug)]
struct Sample {
    cpu_micros: f64,
    per_second: f64,
    p50_micros: f64,
    p99_micros: f64,
}

pub(crate) async fn run(args: &TextArgs) -> Result<()> {
    let all = hellos(&args.options);
    let measured = rounds::run(&args.options, &all, async |contender| {
        measure(contender, args).await //
    });
    println!(
        "{:<34} {:>12} {:>12} {:>10} {:>10}",
        "server", "CPU µs/req", "requests/s", "p50 µs", "p99 µs"
    );
    for (name, samples) in measured.await {
        println!(
            "{name:<34} {:>12.1} {:>12.0} {:>10.0} {:>10.0}",
            median(&samples, |sample| sample.cpu_micros),
            median(&samples, |sample| sample.per_second),
            median(&samples, |sample| sample.p50_micros),
            median(&samples, |sample| sample.p99_micros),
        );
    }
    Ok(())
}

async fn measure(contender: &Contender, args: &TextArgs) -> Result<Sample> {
    let server = contender.start().await?;
    let target = Target::probe(server.address, "/").await?;
    // Warm: pools filled, branch predictors trained, instances there.
    target.load(args.connections, Duration::from_millis(500)).await?;
    let before = processes::cpu_time(server.pid())?;
    let outcome = target.load(args.connections, args.options.duration()).await?;
    let spent = processes::cpu_time(server.pid())?.saturating_sub(before);
    Ok(Sample {
        cpu_micros: spent.as_secs_f64() * 1e6 / outcome.latencies_micros.len() as f64,
        per_second: outcome.per_second(),
        p50_micros: outcome.percentile(0.50),
        p99_micros: outcome.percentile(0.99),
    })
}
