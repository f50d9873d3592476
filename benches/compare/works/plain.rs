//! One kind of request over and over: what it costs, and how long it takes.
//!
//! Each server answers the same bytes, whose number is compared.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use remuda_comparison::{
    Work,
    report::{Chart, Table, grouped},
};

use crate::{
    bench::Bench,
    contender::{Contender, Running},
    load::{self, Outcome, Target},
    processes,
    rounds::{self, Head, Sample},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Text,
    Json,
    Stream,
    Echo,
    Wait,
    Hello,
}

/// Bytes that are sent to be sent back.
const ECHOED: usize = 64 << 10;

impl Plain {
    /// `None` for a work that is another thing.
    pub(crate) fn of(work: Work) -> Option<Self> {
        let all = [Self::Text, Self::Json, Self::Stream, Self::Echo, Self::Wait, Self::Hello];
        all.into_iter().find(|plain| plain.work() == work)
    }

    fn work(self) -> Work {
        match self {
            Self::Text => Work::Text,
            Self::Json => Work::Json,
            Self::Stream => Work::Stream,
            Self::Echo => Work::Echo,
            Self::Wait => Work::Wait,
            Self::Hello => Work::Hello,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.work().name()
    }

    fn title(self) -> &'static str {
        match self {
            Self::Text => "A 14-byte text",
            Self::Json => "10 KiB of JSON",
            Self::Stream => "1 MiB in pieces of 64 KiB",
            Self::Echo => "64 KiB there and back",
            Self::Wait => "An upstream that takes 50 ms",
            Self::Hello => "A 14-byte text, and nothing else",
        }
    }

    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Text | Self::Json | Self::Hello => 32,
            Self::Stream => 8,
            Self::Echo => 16,
            Self::Wait => 200,
        }
    }

    /// Path and query; the length of a body that is sent, if one is.
    pub(crate) fn request(self, upstream: SocketAddr) -> (String, Option<usize>) {
        match self {
            Self::Hello => ("/".to_owned(), None),
            Self::Echo => ("/echo".to_owned(), Some(ECHOED)),
            Self::Wait => (format!("/wait?{upstream}"), None),
            Self::Text | Self::Json | Self::Stream => (format!("/{}", self.name()), None),
        }
    }

    /// Whether waking the client is much of what a request costs.
    fn is_short(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Hello)
    }

    /// Bytes of every answer.
    fn answered(self) -> usize {
        match self {
            Self::Text | Self::Hello => 14,
            Self::Json => 10_055,
            Self::Stream => 1 << 20,
            Self::Echo => ECHOED,
            Self::Wait => 9,
        }
    }

    async fn probe(self, address: SocketAddr, bench: &Bench) -> Result<Target> {
        let (path, body) = self.request(bench.upstream.address);
        let target = match body {
            None => Target::probe(address, &path).await?,
            Some(bytes) => Target::probe_post(address, &path, bytes).await?,
        };
        let (found, length) = (target.length, self.answered());
        ensure!(found == length, "its body has {found} bytes, not {length}");
        Ok(target)
    }
}

const COLUMNS: [(&str, &str, usize); 8] = [
    ("cpu_us", "CPU per request, µs", 1),
    ("per_second", "requests/s", 0),
    ("p50_ms", "p50, ms", 2),
    ("p99_ms", "p99, ms", 2),
    ("p999_ms", "p99.9, ms", 2),
    ("errors", "errors", 0),
    ("pss_mib", "PSS, MiB", 1),
    ("awake_us", "CPU, client awake, µs", 1),
];

/// What the last column is.
const AWAKE: &str = " *Client awake* is CPU per request once more, with a load generator that \
    never sleeps: a server that is slower than its client otherwise pays for waking it with most \
    answers, which a client on another machine would not cost it.";

pub(crate) async fn run(bench: &Bench, work: Plain, contenders: &[Contender]) -> Table {
    let head = Head {
        work: work.work(),
        title: work.title(),
        about: format!(
            "{} keep-alive connections, one request at a time on each; p99.9 only of {} requests and \
             more.{}",
            work.connections(),
            grouped(load::ENOUGH as f64, 0),
            if work.is_short() { AWAKE } else { "" }
        ),
        columns: if work.is_short() { &COLUMNS } else { &COLUMNS[..COLUMNS.len() - 1] },
        chart: Some(Chart::Bars(vec!["cpu_us".to_owned()])),
        more: &[],
    };
    rounds::table(bench, head, contenders, async |contender| {
        measure(bench, contender, work).await //
    })
    .await
}

async fn measure(bench: &Bench, contender: &Contender, work: Plain) -> Result<Vec<Sample>> {
    let server = contender.start(bench).await?;
    let target = work.probe(server.address, bench).await?;
    let (connections, duration) = (work.connections(), bench.options.duration());
    target.load(connections, bench.options.warm_up()).await?;
    let (cpu, outcome) = costs(&server, target.load(connections, duration)).await?;
    let memory = processes::memory(server.pid())?.iter().sum::<u64>() as f64;
    let mut figures = vec![
        cpu,
        outcome.per_second(),
        outcome.millis(0.50),
        outcome.millis(0.99),
        outcome.thousandth(),
        outcome.errors as f64,
        memory / 1024.0,
    ];
    if work.is_short() {
        let (cpu, _) = costs(&server, target.load_awake(connections, duration)).await?;
        figures.push(cpu);
    }
    Ok(vec![Sample::new("", figures)])
}

/// Microseconds of CPU time that a load costs its server per request.
async fn costs(
    server: &Running,
    load: impl Future<Output = Result<Outcome>>,
) -> Result<(f64, Outcome)> {
    let before = processes::cpu_time(server.pid())?;
    let outcome = load.await?;
    let spent = processes::cpu_time(server.pid())?.saturating_sub(before);
    Ok((spent.as_secs_f64() * 1e6 / outcome.latencies_micros.len() as f64, outcome))
}
