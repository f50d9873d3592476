//! Ten times as many requests as the server can serve (S43), with limits that fit and without.

use std::{
    env,
    time::{Duration, Instant},
};

use remuda_tests::{
    Ask, Server, guests,
    load::{Outcome, Times},
    process, wait,
};

/// How long it lasts, in seconds: this variable, or [`SECONDS`].
const VARIABLE: &str = "REMUDA_OVERLOAD_SECONDS";
const SECONDS: u64 = 5;

const TIMES: f64 = 10.0;

const QUEUE_TIMEOUT: Duration = Duration::from_millis(500);

/// For a server that is not optimised on a busy machine. Without a bound to the queue,
/// those that came in the last second would wait for longer.
const SLACK: Duration = Duration::from_secs(2);

/// From the last request on, until it is as if nothing had been.
const NORMAL_AGAIN: Duration = Duration::from_secs(2);

const MIB: u64 = 1024 * 1024;

/// What the worker may hold more than usual: some for everything, and for each of those
/// who come within the longest wait a connection.
const MORE: u64 = 64 * MIB;
const CONNECTION: u64 = 32 * 1024;

/// What a worker that got no processor for a second, and so reports where it is stuck, keeps
/// of its symbols.
const SYMBOLS: u64 = 256 * MIB;

/// What the server does when it is not overloaded.
struct Usual {
    /// With as many callers as keep it busy.
    per_second: f64,
    service: Duration,
    /// Of one request on a quiet server.
    quiet: Duration,
    resident: u64,
}

/// What the server is told of how much it can do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limits {
    /// So many places, and a queue as long.
    Places(usize),
    /// A thousand places and as many in the queue, so that the guests' wish for CPU alone is a limit.
    Default,
}

impl Limits {
    /// Callers who keep the server busy, and no more.
    fn busy(self) -> usize {
        match self {
            Self::Places(places) => places,
            Self::Default => 4,
        }
    }

    async fn server(self) -> Server {
        let mut builder = Server::builder().guest(guests::MISBEHAVE);
        if let Self::Places(places) = self {
            builder = builder.flag("--limit-concurrency", places.to_string());
            builder = builder.flag("--queue", places.to_string());
        }
        builder.flag("--queue-timeout", format!("{}ms", QUEUE_TIMEOUT.as_millis())).start().await
    }
}

async fn usual(server: &Server, ask: &Ask, places: usize) -> Usual {
    const ENOUGH: usize = 100;
    let load = server.load().kept(places).ask(ask.clone()).start();
    load.wait_for_answers(2 * places).await;
    let (started, before) = (Instant::now(), load.report().answered());
    load.wait_for_answers(ENOUGH).await;
    let answered = load.report().answered() - before;
    let per_second = answered as f64 / started.elapsed().as_secs_f64();
    let report = load.stop().await;
    report.assert_flawless();
    let service = report.tallies.values().map(|tally| tally.quantile(1.0)).max();
    let mut quiet = Duration::ZERO;
    for _ in 0..10 {
        quiet = quiet.max(is_served(server, ask).await.expect("a quiet server"));
    }
    let resident = process::resident_bytes(server.worker());
    Usual { per_second, service: service.unwrap_or_default(), quiet, resident }
}

/// How long one more request takes, if it is served.
async fn is_served(server: &Server, ask: &Ask) -> Option<Duration> {
    let (elapsed, reply) = wait::timed(server.send(ask.clone())).await;
    (reply.status == 200).then_some(elapsed)
}

#[expect(clippy::print_stderr, reason = "the figures are worth knowing")]
async fn is_survived(what: &str, server: &Server, target: &str, limits: Limits) {
    process::allow_many_files();
    let (worker, ask) = (server.worker(), Ask::get(target));
    let usual = usual(server, &ask, limits.busy()).await;
    let seconds = env::var(VARIABLE).ok().and_then(|seconds| seconds.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(SECONDS));

    let offered = server.offer(usual.per_second * TIMES, time, ask.clone());
    let mut peak = usual.resident;
    while let Some(rest) = offered.rest() {
        peak = peak.max(process::resident_bytes(worker));
        tokio::time::sleep(rest.min(Duration::from_millis(50))).await;
    }
    // Ten in a row; the first of them is where it began.
    let (ended, mut in_a_row) = (Instant::now(), Vec::new());
    let again = wait::until_async("normal service", async || {
        in_a_row.push(ended.elapsed());
        if is_served(server, &ask).await.is_none_or(|took| took > usual.quiet * 2) {
            in_a_row.clear();
        }
        (in_a_row.len() == 10).then(|| in_a_row[0])
    });
    let (again, outcome) = tokio::join!(again, offered.outcome());
    let after = process::resident_bytes(worker);

    let Outcome { offered, accepted, shed, wrong, connections } = &outcome;
    eprintln!("{what}: {:.0}/s for {} callers", usual.per_second, limits.busy());
    eprintln!("  {offered} offered in {time:?} on {connections} connections");
    eprintln!("  {} accepted, {accepted}", accepted.count());
    eprintln!("  {} shed, {shed}; {} wrong", shed.count(), wrong.len());
    let mib = [usual.resident, peak, after].map(|bytes| bytes / MIB);
    eprintln!("  MiB before, at most, after: {mib:?}");
    eprintln!("  normal service (10 in a row within {:.1?}) {again:.1?} later", usual.quiet * 2);

    assert!(wrong.is_empty(), "{:?}", &wrong[..wrong.len().min(5)]);
    assert_eq!(accepted.count() + shed.count(), *offered);
    let goodput = accepted.count() as f64 / time.as_secs_f64();
    assert!(goodput > usual.per_second / 3.0, "only {goodput:.0}/s are served");
    let most = usual.service + QUEUE_TIMEOUT + SLACK;
    within("accepted", accepted, most);
    // Those that are shed at the end of the queue's time are the slowest.
    within("shed", shed, QUEUE_TIMEOUT + SLACK);
    if limits != Limits::Default {
        assert!(shed.quantile(0.5) < QUEUE_TIMEOUT, "shed after {shed}");
    }
    assert!(again < NORMAL_AGAIN, "normal service after {again:?}");
    let waiting = usual.per_second * TIMES * most.as_secs_f64();
    let symbols = if server.lines("event loop stuck").is_empty() { 0 } else { SYMBOLS };
    let bound = usual.resident + MORE + waiting as u64 * CONNECTION + symbols;
    assert!(peak < bound, "{peak} bytes, {} before", usual.resident);
    assert_eq!(server.worker(), worker);
}

fn within(what: &str, times: &Times, most: Duration) {
    let slowest = times.quantile(1.0);
    assert!(slowest < most, "{what} after {slowest:?} instead of {most:?}");
}

#[tokio::test]
async fn ten_times_too_many_requests_that_wait() {
    let limits = Limits::Places(10);
    let server = limits.server().await;
    is_survived("requests that wait for 100 ms", &server, "/sleep?ms=100", limits).await;
}

#[tokio::test]
async fn ten_times_too_many_requests_that_burn() {
    let limits = Limits::Places(2);
    let server = limits.server().await;
    is_survived("requests that burn 20 ms", &server, "/spin?ms=20", limits).await;
}

/// By rounds, not by the clock: who has a processor for half of the time takes twice as long.
#[tokio::test]
async fn ten_times_too_many_requests_that_burn_where_nobody_has_set_limits() {
    let server = Limits::Default.server().await;
    let mut rounds = 1000_u64;
    let target = loop {
        let target = format!("/spin?rounds={rounds}");
        let took = is_served(&server, &Ask::get(&target)).await.expect("a quiet server");
        if took > Duration::from_millis(10) {
            break target;
        }
        rounds *= 2;
    };
    is_survived("requests that burn 10 to 20 ms", &server, &target, Limits::Default).await;
}
