//! How the server says it is.
//!
//! Purpose: asks the server's `/metrics` once for each interval, a second at least. Owner:
//! the run. Invariant: what is missing is passed over, be it a metric or the whole answer;
//! a run never fails or waits for it, but hears why.

use std::{future::pending, io, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::scenario::{Address, Scenario, Target};

/// One answer must be there before the next is asked for.
const PATIENCE: Duration = Duration::from_millis(900);
const MOST_BYTES: usize = 16 << 20;

/// What one answer has said; counters are totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub in_flight: Option<f64>,
    pub queue: Option<f64>,
    pub shed_total: Option<f64>,
    pub rss_bytes: Option<f64>,
    pub cpu_seconds_total: Option<f64>,
    pub loop_lag_seconds: Option<f64>,
}

/// Remuda's names, then those that servers with a Prometheus client have.
impl Sample {
    /// Picks out of Prometheus or OpenMetrics text what is known.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let sum = |names: &[&str]| fold(text, names, |sum, value| sum + value);
        Self {
            in_flight: sum(&["remuda_in_flight"]),
            queue: sum(&["remuda_queue_depth"]),
            shed_total: sum(&["remuda_shed_total"]),
            rss_bytes: sum(&["remuda_worker_rss_bytes", "process_resident_memory_bytes"]),
            // Of all processes of the server; older ones tell only that of their guests.
            cpu_seconds_total: match sum(&["remuda_worker_cpu_seconds_total"]) {
                Some(workers) => {
                    let own = sum(&["remuda_supervisor_cpu_seconds_total"]).unwrap_or_default();
                    Some(workers + own)
                }
                None => sum(&["process_cpu_seconds_total", "remuda_guest_cpu_seconds_total"]),
            },
            loop_lag_seconds: fold(text, &["remuda_loop_lag_seconds"], f64::max),
        }
    }
}

/// The samples of the first of these metrics that is there, whatever their labels.
fn fold(text: &str, names: &[&str], with: impl Fn(f64, f64) -> f64) -> Option<f64> {
    names.iter().find_map(|name| {
        let values = text.lines().filter_map(|line| value(line, name));
        values.reduce(&with)
    })
}

/// `name{label="…"} value timestamp`, in which labels may have any character.
fn value(line: &str, name: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let rest = match rest.as_bytes().first()? {
        b' ' => rest,
        b'{' => &rest[end_of_labels(rest)?..],
        _ => return None,
    };
    rest.split_ascii_whitespace().next()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Behind the brace that is in no quotes.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Asks again and again, in a task that ends with this.
pub(crate) struct Watcher {
    samples: mpsc::Receiver<Result<Sample, String>>,
    _task: JoinSet<()>,
}

impl Watcher {
    /// To be started in a runtime.
    pub(crate) fn start(scenario: &Scenario) -> Self {
        let (sender, samples) = mpsc::channel(1);
        let mut task = JoinSet::new();
        if let Some(target) = scenario.metrics.clone() {
            let period = scenario.interval.max(Duration::from_secs(1));
            task.spawn(watch(target, period, sender));
        }
        Self { samples, _task: task }
    }

    /// The next answer, or why there is none; never, when there is nobody to ask. May be
    /// dropped at any time.
    pub(crate) async fn next(&mut self) -> Result<Sample, String> {
        match self.samples.recv().await {
            Some(sample) => sample,
            None => pending().await,
        }
    }
}

async fn watch(target: Target, period: Duration, samples: mpsc::Sender<Result<Sample, String>>) {
    // Just before the interval ends, so that its row has it.
    let mut ticks = interval_at(Instant::now() + period * 4 / 5, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // Once at the start: who has misspelt the address should not hear it at the end.
    while samples.send(look(&target).await).await.is_ok() {
        ticks.tick().await;
    }
}

/// Asks once.
async fn look(target: &Target) -> Result<Sample, String> {
    let answer = timeout(PATIENCE, ask(target)).await;
    let problem = match answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
        Ok(text) => match Sample::parse(&text) {
            sample if sample == Sample::default() => "no metric in it is known".to_owned(),
            sample => return Ok(sample),
        },
        Err(problem) => problem,
    };
    let path = path(target);
    Err(format!(
        "metrics: failed to read {target}{path}: {problem}; write where the server's /metrics is"
    ))
}

/// A server's address alone means its metrics.
fn path(target: &Target) -> &str {
    if target.path == "/" { "/metrics" } else { &target.path }
}

async fn ask(target: &Target) -> Result<String, String> {
    let told = |error: io::Error| error.to_string();
    match &target.address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(told)?;
            exchange(target, stream).await
        }
        Address::Unix(path) => {
            exchange(target, UnixStream::connect(path).await.map_err(told)?).await
        }
    }
}

async fn exchange<S>(target: &Target, stream: S) -> Result<String, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let request = Request::get(path(target))
        .header(header::HOST, target.authority.as_str())
        .header(header::ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(told)?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| "it is no text".to_owned())
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // It may end before its last bytes have been taken.
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP remuda_in_flight Requests in flight.
# TYPE remuda_in_flight gauge
remuda_in_flight 12.0
remuda_in_flight_other 99
remuda_shed_total{reason="queue_full"} 3
remuda_shed_total{reason="queue_timeout"} 4 1700000000
remuda_worker_rss_bytes{worker="0"} 1000
remuda_worker_rss_bytes{worker="1"} 2e3
remuda_loop_lag_seconds{worker="0"} 0.001
remuda_loop_lag_seconds{worker="1"} 0.25
remuda_guest_cpu_seconds_total{route="/a} \" {b"} 1.5
process_resident_memory_bytes 5
# EOF
"#;

    #[test]
    fn what_is_known_is_added_up() {
        let sample = Sample::parse(TEXT);
        let expected = Sample {
            in_flight: Some(12.0),
            queue: None,
            shed_total: Some(7.0),
            rss_bytes: Some(3000.0),
            cpu_seconds_total: Some(1.5),
            loop_lag_seconds: Some(0.25),
        };
        assert_eq!(sample, expected);
    }

    #[test]
    fn the_cpu_time_of_a_server_is_that_of_all_its_processes() {
        let cpu = |text: &str| Sample::parse(text).cpu_seconds_total;
        let guests = "remuda_guest_cpu_seconds_total{route=\"/\"} 1.5\n";
        let workers = "remuda_worker_cpu_seconds_total{worker=\"0\",mode=\"user\"} 2\n\
                       remuda_worker_cpu_seconds_total{worker=\"0\",mode=\"system\"} 0.5\n";
        let supervisor = "remuda_supervisor_cpu_seconds_total{mode=\"user\"} 0.25\n";
        assert_eq!(cpu(guests), Some(1.5));
        assert_eq!(cpu(&[guests, workers].concat()), Some(2.5));
        assert_eq!(cpu(&[guests, workers, supervisor].concat()), Some(2.75));
        assert_eq!(cpu("process_cpu_seconds_total 4\n"), Some(4.0));
    }

    #[test]
    fn other_text_says_nothing() {
        assert_eq!(
            Sample::parse("<html>\nremuda_in_flight{ 3\nremuda_in_flight x"),
            Sample::default()
        );
    }
}
