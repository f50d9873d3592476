//! How throughput and latency follow the number of workers (S51).
//!
//! The same load for each number, so that what changes is the server: where more workers bring no
//! more throughput, but more latency, is the knee.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use anyhow::Result;
use remuda_comparison::{
    Work,
    report::{Chart, Figure, Row, Table},
};

use super::burn::Pace;
use crate::{
    bench::Bench,
    contender::Contender,
    lineup,
    load::Target,
    rounds::{self, Head, Sample},
};

/// The key of a figure that is reckoned from the others.
const SHARE: &str = "share";

const WORKERS: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// Of what burns.
const BURN: Duration = Duration::from_millis(2);

/// Connections: enough to keep eight workers busy, and an upstream that takes 50 ms.
const BURNING: usize = 32;
const WAITING: usize = 600;
const MIXED: usize = 64;

pub(crate) fn contenders(bench: &Bench) -> Vec<Contender> {
    let server = |workers: &usize| {
        lineup::remuda(bench, "remuda 0.3 reused", "works.wasm", &[]).of_workers(*workers)
    };
    WORKERS.iter().filter_map(server).collect()
}

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = Head {
        work: Work::Knee,
        title: "The knee",
        about: format!(
            "Remuda with 0.3 reused. *CPU*: 2 ms of work, {BURNING} connections. *I/O*: an upstream \
             that takes 50 ms, {WAITING} connections. *Mixed*: {MIXED} connections that ask for one \
             and the other in turn. *Of its best*: requests/s beside those of the number of workers \
             with which this work has most."
        ),
        columns: &[
            ("per_second", "requests/s", 0),
            (SHARE, "requests/s, % of its best", 0),
            ("p50_ms", "p50, ms", 1),
            ("p99_ms", "p99, ms", 1),
            ("errors", "errors", 0),
        ],
        chart: Some(Chart::Lines {
            over: "workers".to_owned(),
            columns: vec![SHARE.to_owned(), "p99_ms".to_owned()],
        }),
        more: &[SHARE],
    };
    // Found out once: the same work for any number of workers.
    let pace = Cell::new(None);
    let mut table = rounds::table(bench, head, contenders, async |contender| {
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
    shares(&mut table);
    table
}

/// What each row has of the most that its work has with any number of workers: so that works are
/// seen beside each other, of which one does a thousand requests a second and another ten.
fn shares(table: &mut Table) {
    let per_second = |row: &Row| row.figures.get("per_second").map(|figure| figure.median);
    let mut best = BTreeMap::<String, f64>::new();
    for row in &table.rows {
        let most = best.entry(row.server.clone()).or_default();
        *most = most.max(per_second(row).unwrap_or(0.0));
    }
    for row in &mut table.rows {
        let share =
            per_second(row).zip(best.get(&row.server)).map(|(now, best)| now / best * 100.0);
        if let Some(share) = Figure::of(share.into_iter()) {
            row.figures.insert(SHARE.to_owned(), share);
        }
    }
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
            f64::NAN,
            outcome.millis(0.50),
            outcome.millis(0.99),
            outcome.errors as f64,
        ];
        samples.push(Sample::new(case, figures));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use remuda_comparison::report::Column;

    use super::*;

    #[test]
    fn works_are_shown_beside_their_own_best() {
        let row = |server: &str, case: &str, per_second: f64| Row {
            server: server.to_owned(),
            case: case.to_owned(),
            figures: Figure::of([per_second].into_iter())
                .map(|figure| ("per_second".to_owned(), figure))
                .into_iter()
                .collect(),
            note: String::new(),
        };
        let mut table = Table {
            work: "knee".to_owned(),
            title: String::new(),
            about: String::new(),
            columns: Vec::new(),
            rows: vec![
                row("CPU", "1", 800.0),
                row("CPU", "2", 1000.0),
                row("I/O", "1", 10_000.0),
                row("I/O", "2", 2_500.0),
                row("mixed", "1", f64::NAN),
            ],
            chart: None,
            rounds: 1,
            seconds: 1.0,
            absent: Vec::new(),
        };
        shares(&mut table);
        let column = Column::new((SHARE, "", 0));
        let shown: Vec<String> = table.rows.iter().map(|row| column.show(row)).collect();
        assert_eq!(shown, ["80", "100", "100", "25", "-"]);
    }
}
