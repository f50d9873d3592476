//! The works that handlers are made of, by servers in several languages.
//!
//! Each server answers the same bytes; what a body must have is compared. Upstreams answer after
//! 50 ms, and are tasks of this process, which shares the machine with whoever is measured:
//! compare CPU time first, and throughput only where a server is what is short.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    Options,
    contender::{Contender, workers},
    load::Target,
    processes,
    rounds::{self, median},
};

#[derive(Debug, clap::Args)]
pub(crate) struct WorksArgs {
    #[command(flatten)]
    options: Options,
    /// Only these works
    #[arg(long, value_delimiter = ',', default_values = ["text", "json", "stream", "echo", "wait"])]
    work: Vec<Work>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Work {
    /// 14 bytes of text, 32 connections
    Text,
    /// 10 KiB of JSON made for each request, 32 connections
    Json,
    /// 1 MiB in pieces of 64 KiB, 8 connections
    Stream,
    /// 64 KiB there and back, 16 connections
    Echo,
    /// An upstream that takes 50 ms, 200 connections
    Wait,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Stream => "stream",
            Self::Echo => "echo",
            Self::Wait => "wait",
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Text | Self::Json => 32,
            Self::Stream => 8,
            Self::Echo => 16,
            Self::Wait => 200,
        }
    }

    async fn probe(self, address: SocketAddr, upstream: SocketAddr) -> Result<Target> {
        let (target, length) = match self {
            Self::Text => (Target::probe(address, "/text").await?, 14),
            Self::Json => (Target::probe(address, "/json").await?, 10_055),
            Self::Stream => (Target::probe(address, "/stream").await?, 1 << 20),
            Self::Echo => (Target::probe_post(address, "/echo", 64 << 10).await?, 64 << 10),
            Self::Wait => (Target::probe(address, &format!("/wait?{upstream}")).await?, 9),
        };
        ensure!(target.length == length, "its body has {} bytes, not {length}", target.length);
        Ok(target)
    }
}

/// What one measurement of one work found.
struct Sample {
    cpu_micros: f64,
    per_second: f64,
    p50_micros: f64,
    p99_micros: f64,
    p999_micros: f64,
    /// Memory of all processes after it.
    memory_kib: f64,
}

type Figure = (&'static str, fn(&Sample) -> f64);

const FIGURES: [Figure; 6] = [
    ("cpu_us", |sample| sample.cpu_micros),
    ("per_second", |sample| sample.per_second),
    ("p50_us", |sample| sample.p50_micros),
    ("p99_us", |sample| sample.p99_micros),
    ("p999_us", |sample| sample.p999_micros),
    ("pss_kib", |sample| sample.memory_kib),
];

pub(crate) async fn run(args: &WorksArgs) -> Result<()> {
    let upstream = upstream().await?;
    let all = workers(&args.options, upstream);
    let mut report = serde_json::Map::new();
    for work in &args.work {
        let measured = rounds::run(&args.options, &all, async |contender| {
            measure(contender, *work, upstream, args).await //
        });
        let measured = measured.await;
        if args.json {
            let figures = measured.iter().map(|(name, samples)| {
                let each =
                    FIGURES.map(|(key, figure)| (key.to_owned(), json!(median(samples, figure))));
                (name.clone(), serde_json::Value::Object(each.into_iter().collect()))
            });
            report.insert(work.name().to_owned(), figures.collect());
        } else {
            print(*work, &measured);
        }
    }
    if args.json {
        println!("{}", serde_json::Value::Object(report));
    }
    Ok(())
}

fn print(work: Work, measured: &[(String, Vec<Sample>)]) {
    println!(
        "\n{:<34} {:>12} {:>12} {:>9} {:>9} {:>9} {:>8}",
        format!("{}, {} connections", work.name(), work.connections()),
        "CPU µs/req",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "PSS MiB"
    );
    for (name, samples) in measured {
        let [cpu, rate, p50, p99, p999, pss] = FIGURES.map(|(_, figure)| median(samples, figure));
        println!(
            "{name:<34} {cpu:>12.1} {rate:>12.0} {:>9.2} {:>9.2} {:>9.2} {:>8.1}",
            p50 / 1e3,
            p99 / 1e3,
            p999 / 1e3,
            pss / 1024.0
        );
    }
}

async fn measure(
    contender: &Contender,
    work: Work,
    upstream: SocketAddr,
    args: &WorksArgs,
) -> Result<Sample> {
    let server = contender.start().await?;
    let target = work.probe(server.address, upstream).await?;
    target.load(work.connections(), Duration::from_millis(500)).await?;
    let before = processes::cpu_time(server.pid())?;
    let outcome = target.load(work.connections(), args.options.duration()).await?;
    let spent = processes::cpu_time(server.pid())?.saturating_sub(before);
    Ok(Sample {
        cpu_micros: spent.as_secs_f64() * 1e6 / outcome.latencies_micros.len() as f64,
        per_second: outcome.per_second(),
        p50_micros: outcome.percentile(0.50),
        p99_micros: outcome.percentile(0.99),
        p999_micros: outcome.percentile(0.999),
        memory_kib: processes::memory(server.pid())?.iter().sum::<u64>() as f64,
    })
}

/// Answers each request after 50 ms.
async fn upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nupstream\n";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}
