//! What routes are worth while another one's upstream accepts and never answers.
//!
//! No server has a setting for it: what holds is what comes without one.

use std::time::Duration;

use anyhow::{Context as _, Result};
use remuda_comparison::{
    Work,
    report::{Chart, Table},
};

use crate::{
    arrivals,
    bench::Bench,
    contender::Contender,
    load::Target,
    rounds::{self, Head, Sample},
};

/// Requests per second to the route that hangs, and how many wait before the others are measured.
const RATE: f64 = 100.0;
const WAITING: usize = 50;

/// Keep-alive connections to the route that is measured.
const CONNECTIONS: usize = 8;

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = Head {
        work: Work::Hung,
        title: "One hung upstream",
        about: format!(
            "{RATE} requests a second to a route whose upstream accepts and never answers; \
             {CONNECTIONS} connections to a route that answers at once, and to one that waits 50 ms \
             for another upstream. *Waiting* are the requests that hang at the end."
        ),
        columns: &[
            ("quiet", "quiet, /s", 0),
            ("quiet_p99_ms", "p99, ms", 2),
            ("beside", "beside, /s", 0),
            ("beside_p99_ms", "p99, ms", 2),
            ("kept", "kept, %", 0),
            ("waiting", "waiting", 0),
            ("errors", "errors", 0),
        ],
        chart: Some(Chart::Bars(vec!["kept".to_owned()])),
        more: &["kept"],
    };
    rounds::table(bench, head, contenders, async |contender| {
        measure(bench, contender).await //
    })
    .await
}

async fn measure(bench: &Bench, contender: &Contender) -> Result<Vec<Sample>> {
    let server = contender.start(bench).await?;
    let waits = format!("/wait?{}", bench.upstream.address);
    let mut targets = Vec::new();
    for (case, path) in [("text", "/text"), ("wait", waits.as_str())] {
        let target = Target::probe(server.address, path).await?;
        target.load(CONNECTIONS, bench.options.warm_up()).await?;
        let quiet = target.load(CONNECTIONS, bench.options.duration()).await?;
        targets.push((case, target, quiet));
    }
    let hangs = format!("/wait?{}", bench.hung.address);
    // Longer than all of this takes; it ends when it is dropped.
    let load = arrivals::open(server.address, &hangs, RATE, Duration::from_secs(600));
    let hanging = arrivals::send(load);
    let others = async {
        let soon = Duration::from_secs(5);
        bench.hung.until_waiting(WAITING, soon).await?;
        let mut samples = Vec::new();
        for (case, target, quiet) in targets {
            let beside = target.load(CONNECTIONS, bench.options.duration()).await;
            let beside = beside.context("beside a hung upstream")?;
            let figures = vec![
                quiet.per_second(),
                quiet.millis(0.99),
                beside.per_second(),
                beside.millis(0.99),
                beside.per_second() / quiet.per_second() * 100.0,
                bench.hung.waiting() as f64,
                (quiet.errors + beside.errors) as f64,
            ];
            samples.push(Sample::new(case, figures));
        }
        anyhow::Ok(samples)
    };
    tokio::select! {
        samples = others => samples,
        ended = hanging => {
            ended.context("failed to ask the route that hangs")?;
            anyhow::bail!("the requests that hang ended before all was measured")
        }
    }
}
