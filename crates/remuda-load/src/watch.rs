//! How the server says it is.
//!
//! Purpose: asks the server's `/metrics` once for each interval, a second at least. Owner:
//! the run. Invariant: what is missing is passed over, be it a metric or the whole answer;
//! a run never fails or waits for it.

use std::{future::pending, time::Duration};

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
            cpu_seconds_total: sum(&[
                "remuda_cpu_seconds_total",
                "remuda_worker_cpu_seconds_total",
                "process_cpu_seconds_total",
                "remuda_guest_cpu_seconds_total",
            ]),
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
    samples: mpsc::Receiver<Sample>,
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

    /// The next answer; never, when there is nobody to ask. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Sample {
        match self.samples.recv().await {
            Some(sample) => sample,
            None => pending().await,
        }
    }
}

async fn watch(target: Target, period: Duration, samples: mpsc::Sender<Sample>) {
    // Just before the interval ends, so that its row has it.
    let mut ticks = interval_at(Instant::now() + period * 4 / 5, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Ok(Some(text)) = timeout(PATIENCE, ask(&target)).await else { continue };
        if samples.send(Sample::parse(&text)).await.is_err() {
            return;
        }
    }
}

async fn ask(target: &Target) -> Option<String> {
    match &target.address {
        Address::Tcp { host, port } => {
            exchange(target, TcpStream::connect((host.as_str(), *port)).await.ok()?).await
        }
        Address::Unix(path) => exchange(target, UnixStream::connect(path).await.ok()?).await,
    }
}

async fn exchange<S>(target: &Target, stream: S) -> Option<String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    // A server's address alone means its metrics.
    let path = if target.path == "/" { "/metrics" } else { &target.path };
    let request = Request::get(path)
        .header(header::HOST, target.authority.as_str())
        .header(header::ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = async {
        let response = sender.send_request(request).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.ok()?;
        String::from_utf8(body.to_bytes().to_vec()).ok()
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
    fn other_text_says_nothing() {
        assert_eq!(
            Sample::parse("<html>\nremuda_in_flight{ 3\nremuda_in_flight x"),
            Sample::default()
        );
    }
}
