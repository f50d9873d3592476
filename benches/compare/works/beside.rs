//! What routes are worth while another one's guests burn all processors.
//!
//! Each server is measured quiet and then beside four callers whose requests burn half a second
//! each. Remuda has a route for what burns, for that is how one keeps it from the others; none
//! has another setting.

use std::time::Duration;

use anyhow::{Context as _, Result};
use remuda_comparison::{
    Work,
    report::{Chart, Table},
};

use super::burn::{self, Pace};
use crate::{
    bench::Bench,
    contender::{Contender, Running},
    lineup,
    load::{Outcome, Target, ask_once},
    rounds::{self, Head, Sample},
};

/// Keep-alive connections to the route that is measured.
const CONNECTIONS: usize = 4;

/// Callers whose guests burn, and for how long each.
const BURNING: usize = 4;
const BURN: Duration = Duration::from_millis(500);

/// A short job of the route that burns, and how many are timed.
const JOB: Duration = Duration::from_millis(20);
const JOBS: usize = 3;

const COLUMNS: &[(&str, &str, usize)] = &[
    ("quiet", "quiet, /s", 0),
    ("quiet_p99_ms", "p99, ms", 2),
    ("beside", "beside, /s", 1),
    ("beside_p50_ms", "p50, ms", 2),
    ("beside_p99_ms", "p99, ms", 2),
    ("kept", "kept, %", 0),
    ("errors", "errors", 0),
];

/// What is asked for: the routes that are measured and what they are called, then what burns.
struct Asked {
    measured: Vec<(&'static str, String)>,
    long: String,
    short: String,
}

pub(crate) fn contenders(bench: &Bench) -> Result<Vec<Contender>> {
    let routes: [(&str, &str); 2] = [("/", ""), ("/burn", "")];
    let reuse = "instances = { mode = \"reuse\" }";
    let mut contenders = vec![
        lineup::native(bench),
        lineup::routed(bench, "remuda 0.2 fresh", "works-p2.wasm", &routes)?,
        lineup::routed(
            bench,
            "remuda 0.2 reused",
            "works-p2.wasm",
            &[("/", reuse), ("/burn", reuse)],
        )?,
        lineup::routed(bench, "remuda 0.3 reused", "works.wasm", &routes)?,
        lineup::routed(bench, "remuda SDK", "works-sdk.wasm", &routes)?,
    ];
    contenders.extend(lineup::wasmtimes(bench).into_iter().skip(1));
    contenders.extend(lineup::pythons(bench));
    Ok(contenders)
}

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = head(
        Work::Beside,
        "Beside guests that burn",
        "Four callers ask for something that burns half a second, again and again; four connections \
         to a route that answers at once, and to one that waits 50 ms for its upstream. *job*: \
         something on the route that burns which takes 20 ms while it is quiet.",
    );
    rounds::table(bench, head, contenders, async |contender| {
        let server = contender.start(bench).await?;
        let pace = Pace::of(server.address).await?;
        let asked = Asked {
            measured: vec![
                ("text", "/text".to_owned()),
                ("wait", format!("/wait?{}", bench.upstream.address)),
            ],
            long: pace.path(BURN),
            short: pace.path(JOB),
        };
        measure(bench, &server, &asked).await
    })
    .await
}

/// The same with work as applications have it.
pub(crate) fn hash_contenders(bench: &Bench) -> Result<Vec<Contender>> {
    let mut contenders: Vec<Contender> = Vec::new();
    for executor in ["auto", "blocking", "async"] {
        let settings = format!("executor = \"{executor}\"");
        let routes = [("/", ""), ("/hash", settings.as_str())];
        let name = format!("remuda {executor}");
        contenders.push(lineup::routed(bench, &name, "cpu.wasm", &routes)?);
    }
    contenders.push(lineup::wasmtime(bench, "wasmtime serve 0.3 reused", "cpu.wasm", &[]));
    Ok(contenders)
}

pub(crate) async fn run_hashes(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = head(
        Work::Hash,
        "Beside password hashes",
        "Four callers have passwords hashed (Argon2id, 19 MiB, two passes), by each of Remuda's \
         executors; four connections to a route that answers at once. *job*: a hash of one pass.",
    );
    rounds::table(bench, head, contenders, async |contender| {
        let server = contender.start(bench).await?;
        let asked = Asked {
            measured: vec![("text", "/".to_owned())],
            long: "/hash".to_owned(),
            short: "/hash?t=1".to_owned(),
        };
        measure(bench, &server, &asked).await
    })
    .await
}

fn head(work: Work, title: &'static str, about: &str) -> Head {
    Head {
        work,
        title,
        about: about.to_owned(),
        columns: COLUMNS,
        chart: Some(Chart::Bars(vec!["kept".to_owned()])),
        more: &["kept"],
    }
}

async fn measure(bench: &Bench, server: &Running, asked: &Asked) -> Result<Vec<Sample>> {
    let mut targets = Vec::new();
    for (case, path) in &asked.measured {
        let target = Target::probe(server.address, path).await?;
        target.load(CONNECTIONS, bench.options.warm_up()).await?;
        let quiet = target.load(CONNECTIONS, bench.options.duration()).await?;
        targets.push((case, target, quiet));
    }
    let quiet_jobs = jobs(server, &asked.short).await?;
    let _burning = burn::callers(server.address, &asked.long, BURNING);
    // Until all of them burn, and a server that moves them has moved them.
    tokio::time::sleep(bench.options.warm_up()).await;
    let mut samples = Vec::new();
    for (case, target, quiet) in targets {
        let beside = target.load(CONNECTIONS, bench.options.duration()).await;
        let beside = beside.context("beside those that burn")?;
        samples.push(Sample::new(case, disturbed(&quiet, &beside)));
    }
    let jobs = jobs(server, &asked.short).await.context("beside those that burn")?;
    samples.push(job(&quiet_jobs, &jobs));
    Ok(samples)
}

/// In the order of the columns.
fn disturbed(quiet: &Outcome, beside: &Outcome) -> Vec<f64> {
    vec![
        quiet.per_second(),
        quiet.millis(0.99),
        beside.per_second(),
        beside.millis(0.50),
        beside.millis(0.99),
        beside.per_second() / quiet.per_second() * 100.0,
        (quiet.errors + beside.errors) as f64,
    ]
}

/// One after the other: of a second they would take, that many.
fn job(quiet: &[f64], beside: &[f64]) -> Sample {
    let middle = |times: &[f64]| times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    let last = |times: &[f64]| times.last().copied().unwrap_or(f64::NAN);
    let figures = vec![
        1.0 / middle(quiet),
        last(quiet) * 1e3,
        1.0 / middle(beside),
        middle(beside) * 1e3,
        last(beside) * 1e3,
        middle(quiet) / middle(beside) * 100.0,
        0.0,
    ];
    Sample::new("job", figures)
}

/// Seconds that each of some jobs takes, in order.
async fn jobs(server: &Running, path: &str) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..JOBS {
        times.push(ask_once(server.address, path).await?.as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
