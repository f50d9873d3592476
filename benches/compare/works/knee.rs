//! How throughput and latency follow the number of workers (S51).
//!
//! The same load for each number, so that what changes is the server: where more workers bring no
//! more throughput, but more latency, is the knee.

use std::{cell::Cell, time::Duration};

use anyhow::Result;

use super::burn::Pace;
use crate::{
    bench::Bench,
    contender::Contender,
    lineup,
    load::Target,
    report::{Chart, Table},
    rounds::{self, Head, Sample},
};

const WORKERS: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// Of what burns.
const BURN: Duration = Duration::from_millis(2);

/// Connections: enough to keep eight workers busy, and an upstream that takes 50 ms.
const BURNING: usize = 32;
const WAITING: usize = 600;
const MIXED: usize = 64;

pub(crate) async fn run(bench: &Bench) -> Table {
    let head = Head {
        work: "knee",
        title: "The knee",
        about: format!(
            "Remuda with 0.3 reused. *CPU*: 2 ms of work, {BURNING} connections. *I/O*: an upstream \
             that takes 50 ms, {WAITING} connections. *Mixed*: {MIXED} connections that ask for one \
             and the other in turn."
        ),
        columns: &[
            ("per_second", "requests/s", 0),
            ("p50_ms", "p50 ms", 1),
            ("p99_ms", "p99 ms", 1),
            ("errors", "errors", 0),
        ],
        chart: Some(Chart::Lines {
            over: "workers".to_owned(),
            columns: vec!["per_second".to_owned(), "p99_ms".to_owned()],
        }),
        rounds: 2,
    };
    let contenders: Vec<Contender> = WORKERS
        .iter()
        .filter_map(|workers| {
            let server = lineup::remuda(bench, "remuda 0.3 reused", "works.wasm", &[]);
            server.of_workers(*workers)
        })
        .collect();
    // Found out once: the same work for any number of workers.
    let pace = Cell::new(None);
    let mut table = rounds::table(bench, head, &contenders, async |contender| {
        measure(bench, contender, &pace).await //
    })
    .await;
    // A line for each work, over workers.
    for row in &mut table.rows {
        let contender = contenders.iter().find(|contender| contender.name == row.server);
        let workers = contender.and_then(|contender| contender.workers).unwrap_or(1);
        row.server = std::mem::replace(&mut row.case, workers.to_string());
    }
    table.rows.sort_by(|one, other| one.server.cmp(&other.server));
    table
}

async fn measure(
    bench: &Bench,
    contender: &Contender,
    pace: &Cell<Option<Pace>>,
) -> Result<Vec<Sample>> {
    let server = contender.start(bench).await?;
    let found = match pace.get() {
        Some(pace) => pace,
        None => Pace::of(server.address).await?,
    };
    pace.set(Some(found));
    let burn = found.path(BURN);
    let burn = Target::probe(server.address, &burn).await?;
    let wait = Target::probe(server.address, &format!("/wait?{}", bench.upstream.address)).await?;
    let works = [
        ("CPU", vec![burn.clone()], BURNING),
        ("I/O", vec![wait.clone()], WAITING),
        ("mixed", vec![burn, wait], MIXED),
    ];
    let mut samples = Vec::new();
    for (case, targets, connections) in works {
        Target::alternating(&targets, connections, bench.options.warm_up()).await?;
        let outcome = Target::alternating(&targets, connections, bench.options.duration()).await?;
        let figures = vec![
            outcome.per_second(),
            outcome.millis(0.50),
            outcome.millis(0.99),
            outcome.errors as f64,
        ];
        samples.push(Sample::new(case, figures));
    }
    Ok(samples)
}
