//! Ten times as many requests as a server can do: what it does then, and afterwards.
//!
//! A request burns 10 ms. What a server can do is found out with as many callers as keep it busy;
//! then requests come at ten times that rate, whatever becomes of them, from clients who give up
//! after two seconds in all. Remuda and Uvicorn come twice, the second time with limits that fit, as
//! whoever reads their manuals would set them; the others have none to set.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use remuda_comparison::{
    Work,
    report::{Chart, Table},
};
use remuda_load::report::Report;

use super::burn::Pace;
use crate::{
    arrivals,
    bench::Bench,
    contender::Contender,
    lineup,
    load::{Outcome, Target},
    rounds::{self, Head, Sample},
};

const BURN: Duration = Duration::from_millis(10);
const FACTOR: f64 = 10.0;

/// Callers that keep a server busy: which of these numbers suits it best is its own.
const BUSY: [usize; 2] = [8, 32];

/// Of clients: for a connection, then for the answer.
const CONNECTION: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_millis(1500);

/// Who has not answered so long after the last arrival has not recovered.
const RECOVERY: Duration = Duration::from_secs(3);

/// More than arrive while clients have patience.
const MAX_IN_FLIGHT: usize = 15_000;

/// As many at a time as a processor can use, and as many that wait as clients have patience for.
const REMUDA_LIMITED: [&str; 4] = ["--limit-concurrency", "8", "--queue", "56"];
const UVICORN_LIMITED: [&str; 2] = ["--limit-concurrency", "64"];

pub(crate) fn contenders(bench: &Bench) -> Vec<Contender> {
    let mut contenders = vec![lineup::native(bench)];
    for server in lineup::remudas(bench) {
        if server.name == "remuda 0.2 reused" {
            continue;
        }
        let limited = server.with("limited", &REMUDA_LIMITED);
        contenders.extend([server, limited]);
    }
    contenders.extend(lineup::wasmtimes(bench).into_iter().skip(1));
    for server in lineup::pythons(bench) {
        let limited =
            server.name.starts_with("uvicorn").then(|| server.with("limited", &UVICORN_LIMITED));
        contenders.push(server);
        contenders.extend(limited);
    }
    contenders
}

pub(crate) async fn run(bench: &Bench, contenders: &[Contender]) -> Table {
    let head = Head {
        work: Work::Overload,
        title: "Ten times too much",
        about: format!(
            "A request burns 10 ms. *Can do*: what {} or {} callers get, whichever is more. Then ten \
             times as many requests arrive for some seconds, from clients who wait {CONNECTION:?} for a \
             connection and {ANSWER:?} for the answer. *Served* are those answered with 200 while \
             others arrive, with the p99 of all that were; *refused* is another status, of all that \
             arrived, and how soon; *given up* has no answer in time. *Afterwards*: what as many \
             callers get right after the last arrival, of what they got before; 0 if one is still \
             unanswered {RECOVERY:?} later. Time counts from when a request was due. *Sent late* is \
             what of it is the load generator's, which shares the cores: a server that burns in \
             hundreds of threads keeps it from them, so that answers come later than clients would \
             have waited; no p99 where most of it is that. *Limited*: `{}` of Remuda, `{}` of Uvicorn.",
            BUSY[0],
            BUSY[1],
            REMUDA_LIMITED.join(" "),
            UVICORN_LIMITED.join(" ")
        ),
        columns: &[
            ("can", "can do, /s", 0),
            ("served", "served, /s", 0),
            ("share", "of what it can, %", 0),
            ("p99_ms", "p99, ms", 0),
            ("refused", "refused, %", 0),
            ("refusal_ms", "p50, ms", 1),
            ("lost", "given up, %", 0),
            ("late_ms", "sent late p99, ms", 0),
            ("after", "afterwards, %", 0),
        ],
        chart: Some(Chart::Bars(vec!["share".to_owned(), "p99_ms".to_owned()])),
        more: &["share"],
    };
    rounds::table(bench, head, contenders, async |contender| measure(bench, contender).await).await
}

async fn measure(bench: &Bench, contender: &Contender) -> Result<Vec<Sample>> {
    let server = contender.start(bench).await?;
    let path = Pace::of(server.address).await?.path(BURN);
    let target = Target::probe(server.address, &path).await?;
    let (callers, before) = best(bench, &target).await?;
    let (rate, lasting) = (before.per_second() * factor(bench), bench.options.duration() * 2);
    let mut load = arrivals::open(server.address, &path, rate, lasting);
    // Rows that end with the arrivals: what is served later says nothing of the overload.
    load.interval = Some(format!("{}ms", bench.options.duration().as_millis()));
    load.connection.timeout = Some(format!("{}ms", CONNECTION.as_millis()));
    load.request_timeout = Some(format!("{}ms", ANSWER.as_millis()));
    load.max_in_flight = Some(MAX_IN_FLIGHT);
    let report = arrivals::send(load).await?;
    let after = target.load(callers, bench.options.duration());
    let after = match tokio::time::timeout(bench.options.duration() + RECOVERY, after).await {
        Ok(Ok(after)) => after.per_second() / before.per_second() * 100.0,
        // It still works on what nobody waits for.
        Ok(Err(_)) | Err(_) => 0.0,
    };
    let during = report.series.iter().filter(|row| row.at <= lasting.as_secs_f64() * 1.01);
    let served = during.map(|row| row.ok).sum::<u64>() as f64 / lasting.as_secs_f64();
    let all = &report.summary.all;
    let refused = refusals(&all.statuses);
    let lost = all.requests.saturating_sub(all.ok + refused);
    let late = report.summary.lag_ms.as_ref().map_or(0.0, |lag| lag.p99);
    let percent = |part: u64| part as f64 / all.requests.max(1) as f64 * 100.0;
    let figures = vec![
        before.per_second(),
        served,
        served / before.per_second() * 100.0,
        servers_own(all.latency_ms.as_ref().map_or(f64::NAN, |latency| latency.p99), late),
        percent(refused),
        // Where more clients gave up, this is not the time of a refusal.
        match &all.failed_ms {
            Some(failed) if refused > lost * 2 => failed.p50,
            _ => f64::NAN,
        },
        percent(lost),
        late,
        after,
    ];
    Ok(vec![Sample { case: String::new(), figures, note: note(&report) }])
}

/// By how many callers a server is kept the busiest, and what they get.
async fn best(bench: &Bench, target: &Target) -> Result<(usize, Outcome)> {
    let mut best: Option<(usize, Outcome)> = None;
    for callers in BUSY {
        target.load(callers, bench.options.warm_up()).await?;
        let outcome = target.load(callers, bench.options.duration()).await?;
        if best.as_ref().is_none_or(|(_, best)| outcome.per_second() > best.per_second()) {
            best = Some((callers, outcome));
        }
    }
    best.context("nobody asked")
}

/// A time of answers, if most of it is the server's and not that of a load generator that came so
/// late.
fn servers_own(millis: f64, late: f64) -> f64 {
    if late * 2.0 > millis { f64::NAN } else { millis }
}

/// Enough to try the tools, where that is all.
fn factor(bench: &Bench) -> f64 {
    if bench.options.smoke { 2.0 } else { FACTOR }
}

/// Answers that were no success.
fn refusals(statuses: &BTreeMap<String, u64>) -> u64 {
    let refused = statuses.iter().filter(|(status, _)| !status.starts_with(['2', '3']));
    refused.map(|(_, count)| count).sum()
}

/// Statuses and errors, the frequent ones first.
fn note(report: &Report) -> String {
    let all = &report.summary.all;
    let errors = all.errors_by_kind.iter().filter(|(kind, _)| *kind != "status");
    let mut told: Vec<(&String, &u64)> = all.statuses.iter().chain(errors).collect();
    told.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let told: Vec<String> =
        told.into_iter().map(|(what, count)| format!("{what}: {count}")).collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_mostly_the_generators_is_not_told() {
        assert_eq!(servers_own(1500.0, 20.0), 1500.0);
        assert!(servers_own(16_000.0, 10_000.0).is_nan());
    }
}
