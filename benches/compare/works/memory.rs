//! What an idle server, one more worker, and one more waiting request take.
//!
//! Memory is PSS: pages that several processes have mapped count in parts, so that the sum over
//! all of them is what the machine has to give, and a difference of sums is what something costs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use remuda_comparison::{
    Work,
    report::{Chart, Table},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    bench::Bench,
    contender::{Contender, Running},
    load::ask_once,
    processes,
    rounds::{self, Head, Sample},
};

/// Workers of the larger server.
const WORKERS: usize = 4;

/// How often memory is looked at, how little it may change to be read, and how long that is tried.
const PAUSE: Duration = Duration::from_millis(300);
const SETTLED: f64 = 0.005;
const LOOKS: usize = 10;

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let waiting = waiting(bench);
    let head = Head {
        work: Work::Memory,
        title: "Memory",
        about: format!(
            "PSS of all processes after one request: with one worker, with {WORKERS}, and what one \
             more worker adds. Then {waiting} requests wait for an upstream that does not answer; *per \
             waiting request* is what they add, divided by their number. Each of them is an instance \
             of its own with 0.2, a place in one of {} with Remuda's 0.3.",
            waiting.div_ceil(16)
        ),
        columns: &[
            ("idle_mib", "idle, MiB", 1),
            ("more_mib", "with 4 workers, MiB", 1),
            ("worker_mib", "one more worker, MiB", 1),
            ("request_kib", "per waiting request, KiB", 1),
        ],
        chart: Some(Chart::Bars(vec!["worker_mib".to_owned(), "request_kib".to_owned()])),
        more: &[],
    };
    rounds::table(bench, head, contenders, async |contender| {
        measure(bench, contender, waiting).await //
    })
    .await
}

fn waiting(bench: &Bench) -> usize {
    if bench.options.smoke { 10 } else { 100 }
}

async fn measure(bench: &Bench, contender: &Contender, waiting: usize) -> Result<Vec<Sample>> {
    let mut more = f64::NAN;
    if let Some(several) = contender.of_workers(WORKERS) {
        let server = several.start(bench).await?;
        ask_once(server.address, "/text").await?;
        more = settled(&server).await?;
    }
    let server = contender.start(bench).await?;
    ask_once(server.address, "/text").await?;
    let idle = settled(&server).await?;
    let request = format!("GET /wait?{} HTTP/1.1\r\nhost: localhost\r\n\r\n", bench.hung.address);
    let mut held = Vec::new();
    for _ in 0..waiting {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(request.as_bytes()).await?;
        held.push(stream);
    }
    let soon = Duration::from_secs(10);
    bench.hung.until_waiting(waiting, soon).await.context("requests do not wait")?;
    let busy = settled(&server).await?;
    let figures = vec![
        idle / 1024.0,
        more / 1024.0,
        (more - idle) / 1024.0 / (WORKERS - 1) as f64,
        (busy - idle) / waiting as f64,
    ];
    Ok(vec![Sample::new("", figures)])
}

/// KiB of all processes when that hardly changes any more, or has changed for long.
async fn settled(server: &Running) -> Result<f64> {
    let sum = || anyhow::Ok(processes::memory(server.pid())?.iter().sum::<u64>() as f64);
    let mut before = sum()?;
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let now = sum()?;
        if (now - before).abs() <= before * SETTLED {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}
