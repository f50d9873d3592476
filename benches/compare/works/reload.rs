//! Reloads while requests come: which of them fail.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use remuda_comparison::{Work, report::Table};
use rustix::process::Signal;

use crate::{
    arrivals,
    bench::Bench,
    contender::{Contender, Running},
    lineup, processes,
    rounds::{self, Head, Sample},
};

const RATE: f64 = 300.0;
const RELOADS: usize = 3;
const WORKERS: usize = 2;

/// Longest time until all processes of before have gone.
const LONGEST: Duration = Duration::from_secs(15);

/// From one look at the processes to the next.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn contenders(bench: &Bench) -> Vec<Contender> {
    let servers = lineup::remudas(bench).into_iter().chain(lineup::pythons(bench));
    let servers = servers.filter(|server| server.name != "remuda 0.2 reused");
    // A smoke test takes what it is given.
    if bench.options.smoke {
        return servers.collect();
    }
    servers.filter_map(|server| server.of_workers(WORKERS)).collect()
}

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = Head {
        work: Work::Reload,
        title: "Reloads under load",
        about: format!(
            "Two workers, {RATE} requests a second on keep-alive connections, and `SIGHUP` {RELOADS} \
             times; the next one when all workers of before have gone. *One takes*: from the signal \
             until then. native hyper and `wasmtime serve` have no reload."
        ),
        columns: &[
            ("failed", "failed", 0),
            ("requests", "requests", 0),
            ("p99_ms", "p99, ms", 2),
            ("max_ms", "slowest, ms", 1),
            ("reload_ms", "one takes, ms", 0),
        ],
        chart: None,
        more: &[],
    };
    rounds::table(bench, head, contenders, async |contender| measure(bench, contender).await).await
}

async fn measure(bench: &Bench, contender: &Contender) -> Result<Vec<Sample>> {
    let server = contender.start(bench).await?;
    // Longer than all reloads; it is ended after the last one.
    let most = LONGEST * (RELOADS as u32 + 1);
    let (done, is_done) = tokio::sync::oneshot::channel();
    let load = arrivals::open(server.address, "/text", RATE, most);
    let sending = arrivals::send_until(load, async {
        let _ = is_done.await;
    });
    let reloading = async {
        let mut times = Vec::new();
        tokio::time::sleep(bench.options.warm_up()).await;
        for _ in 0..RELOADS {
            times.push(reload(&server).await?.as_secs_f64() * 1e3);
            tokio::time::sleep(bench.options.warm_up()).await;
        }
        // The other end goes when the load has failed, which it tells itself.
        let _ = done.send(());
        anyhow::Ok(times)
    };
    let (report, mut times) = tokio::try_join!(sending, reloading)?;
    times.sort_by(f64::total_cmp);
    let all = &report.summary.all;
    let latency = all.latency_ms.as_ref().context("no request was answered")?;
    let figures = vec![
        all.errors as f64,
        all.requests as f64,
        latency.p99,
        latency.max,
        times[times.len() / 2],
    ];
    let kinds = all.errors_by_kind.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let note = kinds.collect::<Vec<_>>().join(", ");
    Ok(vec![Sample { case: String::new(), figures, note }])
}

/// How long it takes until none of the processes below the first is one of before.
async fn reload(server: &Running) -> Result<Duration> {
    let below = || {
        let pids = processes::pids(server.pid())?;
        anyhow::Ok(pids.into_iter().filter(|pid| *pid != server.pid()).collect::<BTreeSet<u32>>())
    };
    let before: BTreeSet<u32> = below()?.into_iter().filter(|pid| processes::works(*pid)).collect();
    ensure!(!before.is_empty(), "it has no workers that could be replaced");
    let started = Instant::now();
    server.signal(Signal::HUP)?;
    loop {
        let now = below()?;
        let (is_gone, is_there) =
            (now.is_disjoint(&before), now.iter().any(|pid| processes::works(*pid)));
        if is_gone && is_there {
            return Ok(started.elapsed());
        }
        let elapsed = started.elapsed();
        ensure!(elapsed < LONGEST, "its workers are the same {elapsed:.0?} after a reload");
        tokio::time::sleep(PAUSE).await;
    }
}
