//! A server's answers, for people.
//!
//! Owner: [`ctl`](super). Invariant: only what is shown is read, so that servers of other
//! versions are understood as far as possible.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::exit::Exit;

#[derive(Deserialize)]
struct Status {
    version: String,
    pid: u32,
    state: String,
    generation: u64,
    uptime_seconds: f64,
    addresses: Vec<String>,
    workers_wanted: usize,
    reloads: Reloads,
    workers: Vec<Worker>,
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Reloads {
    succeeded: u64,
    failed: u64,
    last_failure: Option<String>,
}

#[derive(Deserialize)]
struct Worker {
    slot: usize,
    pid: i32,
    generation: u64,
    state: String,
    age_seconds: f64,
    silent_seconds: f64,
    rss_bytes: u64,
    lag_seconds: f64,
    in_flight: u64,
    queued: u64,
    connections: u64,
    served: u64,
}

#[derive(Deserialize)]
struct Route {
    route: String,
    requests: u64,
    errors: u64,
    p50_seconds: Option<f64>,
    p95_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    instances_busy: u64,
    instances_idle: u64,
}

/// Who answers: enough to choose among several.
#[derive(Deserialize)]
struct Who {
    pid: u32,
    addresses: Vec<String>,
}

/// `pid 4711, http://127.0.0.1:8000`
pub(super) fn who(body: &str) -> Option<String> {
    let Who { pid, addresses } = serde_json::from_str(body).ok()?;
    Some(format!("pid {pid}, {}", addresses.join(", ")))
}

/// The sentence about an order that was carried out.
pub(super) fn done(body: &str) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Done {
        message: String,
    }
    let Done { message } = serde_json::from_str(body)?;
    Ok(message + "\n")
}

/// The exit code and the reason of an order that was not; problem details, or whatever
/// else was answered.
pub(super) fn problem(body: &str) -> (u8, String) {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        code: Option<u8>,
    }
    match serde_json::from_str(body) {
        Ok(Problem { detail, code }) => (code.unwrap_or(Exit::Software as u8), detail),
        Err(_) => (Exit::Software as u8, body.trim_end().to_owned()),
    }
}

/// The server, its workers and its routes.
pub(super) fn status(body: &str) -> serde_json::Result<String> {
    let status: Status = serde_json::from_str(body)?;
    let mut text = String::new();
    let Status { version, pid, state, generation, .. } = &status;
    let (age, addresses) = (age(status.uptime_seconds), status.addresses.join(", "));
    // Writing to a string cannot fail, here and below.
    let _ =
        writeln!(text, "remuda {version}, pid {pid}, up {age}: {state}, generation {generation}");
    let _ = writeln!(text, "listening on {addresses}");
    let Reloads { succeeded, failed, last_failure } = &status.reloads;
    let _ = writeln!(text, "reloads: {succeeded} succeeded, {failed} failed");
    if let Some(reason) = last_failure {
        let reason = reason.trim_end().replace('\n', "\n    ");
        let _ = writeln!(text, "  the last failure: {reason}");
    }
    let ready = status.workers.iter().filter(|worker| worker.state == "ready").count();
    let _ = writeln!(text, "workers: {ready} of {} ready", status.workers_wanted);
    text.push('\n');
    text.push_str(&table(&WORKERS, &status.workers, worker_cells));
    if !status.routes.is_empty() {
        text.push('\n');
        text.push_str(&table(&ROUTES, &status.routes, route_cells));
    }
    Ok(text)
}

const WORKERS: [&str; 12] = [
    "WORKER",
    "STATE",
    "PID",
    "GENERATION",
    "AGE",
    "HEARD",
    "MEMORY",
    "LAG",
    "IN FLIGHT",
    "QUEUED",
    "CONNECTIONS",
    "SERVED",
];

fn worker_cells(worker: &Worker) -> [String; 12] {
    [
        worker.slot.to_string(),
        worker.state.clone(),
        worker.pid.to_string(),
        worker.generation.to_string(),
        age(worker.age_seconds),
        age(worker.silent_seconds),
        mebibytes(worker.rss_bytes),
        milliseconds(Some(worker.lag_seconds)),
        worker.in_flight.to_string(),
        worker.queued.to_string(),
        worker.connections.to_string(),
        worker.served.to_string(),
    ]
}

const ROUTES: [&str; 8] =
    ["ROUTE", "REQUESTS", "ERRORS", "P50", "P95", "P99", "INSTANCES BUSY", "IDLE"];

fn route_cells(route: &Route) -> [String; 8] {
    [
        route.route.clone(),
        route.requests.to_string(),
        route.errors.to_string(),
        milliseconds(route.p50_seconds),
        milliseconds(route.p95_seconds),
        milliseconds(route.p99_seconds),
        route.instances_busy.to_string(),
        route.instances_idle.to_string(),
    ]
}

/// Columns as wide as their widest cell; the first one is aligned to the left, the others,
/// which are figures, to the right.
fn table<T, const N: usize>(
    heads: &[&str; N],
    rows: &[T],
    cells: impl Fn(&T) -> [String; N],
) -> String {
    let heads = heads.map(str::to_owned);
    let rows: Vec<[String; N]> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The two largest units: `3d 4h`, `2h 5m`, `5m 12s`, `12.3s`.
fn age(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h {}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d {}h", whole / 86400, whole / 3600 % 24),
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.1}ms", seconds * 1000.0))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{
        "version": "0.1.0", "pid": 4711, "state": "serving", "generation": 3,
        "uptime_seconds": 7512.3, "addresses": ["http://127.0.0.1:8000", "unix:/run/a.sock"],
        "workers_wanted": 2, "something_new": true,
        "reloads": {"succeeded": 2, "failed": 1, "last_failure": "failed to load:\nx.toml:3: no"},
        "workers": [
            {"slot": 0, "pid": 4712, "generation": 3, "state": "ready", "age_seconds": 95.4,
             "silent_seconds": 0.21, "rss_bytes": 54525952, "lag_seconds": 0.0004,
             "in_flight": 12, "queued": 0, "connections": 40, "served": 1234567},
            {"slot": 1, "pid": 99, "generation": 2, "state": "draining", "age_seconds": 7512.0,
             "silent_seconds": 1.0, "rss_bytes": 60000000, "lag_seconds": 0.0123,
             "in_flight": 1, "queued": 0, "connections": 1, "served": 8}],
        "routes": [
            {"route": "/", "requests": 1234575, "errors": 2, "p50_seconds": 0.0012,
             "p95_seconds": 0.0049, "p99_seconds": 0.25, "instances_busy": 3, "instances_idle": 5},
            {"route": "api.example.com/v1", "requests": 0, "errors": 0, "p50_seconds": null,
             "p95_seconds": null, "p99_seconds": null, "instances_busy": 0, "instances_idle": 0}]
    }"#;

    #[test]
    fn a_status_is_a_few_lines_and_two_tables() {
        let expected = "\
remuda 0.1.0, pid 4711, up 2h 5m: serving, generation 3
listening on http://127.0.0.1:8000, unix:/run/a.sock
reloads: 2 succeeded, 1 failed
  the last failure: failed to load:
    x.toml:3: no
workers: 1 of 2 ready

WORKER     STATE   PID  GENERATION     AGE  HEARD   MEMORY     LAG  IN FLIGHT  QUEUED  CONNECTIONS   SERVED
0          ready  4712           3  1m 35s   0.2s  52.0MiB   0.4ms         12       0           40  1234567
1       draining    99           2   2h 5m   1.0s  57.2MiB  12.3ms          1       0            1        8

ROUTE               REQUESTS  ERRORS    P50    P95      P99  INSTANCES BUSY  IDLE
/                    1234575       2  1.2ms  4.9ms  250.0ms               3     5
api.example.com/v1         0       0      -      -        -               0     0
";
        assert_eq!(status(STATUS).expect("a status"), expected);
    }

    #[test]
    fn an_answer_to_an_order_is_its_message() {
        let body = r#"{"message":"generation 3 serves: 4 workers","generation":3}"#;
        assert_eq!(done(body).expect("an answer"), "generation 3 serves: 4 workers\n");
        assert!(done("<html>").is_err());
    }

    #[test]
    fn a_refusal_has_the_reason_and_the_exit_code() {
        let body = r#"{"title":"Unprocessable","status":422,"detail":"no such key","code":78}"#;
        assert_eq!(problem(body), (78, "no such key".to_owned()));
        assert_eq!(problem("gone\n"), (70, "gone".to_owned()));
    }

    #[test]
    fn ages_have_their_two_largest_units() {
        let ages = [0.04, 59.9, 60.0, 3599.0, 86399.0, 90000.0].map(age);
        assert_eq!(ages, ["0.0s", "59.9s", "1m 0s", "59m 59s", "23h 59m", "1d 1h"]);
    }
}
