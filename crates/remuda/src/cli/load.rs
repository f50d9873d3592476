//! The command line of `remuda load`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, Subcommand};
use remuda_load::scenario::{Raw, RawConnection, RawEndpoint, StatusList};

pub(crate) const HELP: &str = "\
Without a word about the load it is that of the tuning guide: 50 users who think 0.5 to 1.5 s, \
30 s up, 60 s steady, 30 s down. Otherwise users do not think unless told to.

Examples:
  remuda load http://127.0.0.1:8000/
  remuda load http://127.0.0.1:8000/ --users 32 --duration 10s --fail-if 'p99>50ms'
  remuda load https://example.com/ --rate 500 --duration 60s --json run.json --html run.html
  remuda load scenario.toml --target http://127.0.0.1:8000 --metrics http://127.0.0.1:9000/metrics
  remuda load compare before.json after.json --fail-if-worse

Exit codes: 0 done, and every threshold held; 1 a threshold is broken, or --fail-if-worse found \
a figure worse; 3 too few requests, or intervals to compare, to tell; 64 usage; 69 no server \
answers, or not one request was answered; 70 the load generator could not go on; 78 the scenario is wrong; 130 interrupted.";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LoadArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LoadAction>,
    #[command(flatten)]
    pub(crate) send: SendArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoadAction {
    /// Say whether the second run was better or worse than the first, or whether it is noise
    Compare(CompareArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// JSON of the run before
    #[arg(value_name = "BEFORE.json")]
    pub(crate) before: PathBuf,
    /// JSON of the run after
    #[arg(value_name = "AFTER.json")]
    pub(crate) after: PathBuf,
    /// End with exit code 1 when a figure is worse
    #[arg(long)]
    pub(crate) fail_if_worse: bool,
    /// Compare also runs that sent different loads
    #[arg(long)]
    pub(crate) any_scenario: bool,
    /// Changes below this are noise, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    pub(crate) least: f64,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// What to send to: a URL, unix:SOCKET, or a scenario file
    #[arg(value_name = "URL|SCENARIO.toml")]
    pub(crate) source: Option<String>,
    /// What stands beside it by mistake
    #[arg(hide = true)]
    pub(crate) other: Option<String>,
    /// Send a scenario to this server: scheme, host and port, or unix:SOCKET
    #[arg(long, value_name = "URL", help_heading = "Request")]
    pub(crate) target: Option<String>,
    /// Virtual users, each with one request at a time
    #[arg(
        long,
        short = 'c',
        value_name = "NUMBER",
        help_heading = "Load",
        allow_negative_numbers = true
    )]
    users: Option<u32>,
    /// Arrivals per second, which wait for nobody
    #[arg(
        long,
        short,
        value_name = "PER_SECOND",
        help_heading = "Load",
        allow_negative_numbers = true
    )]
    rate: Option<f64>,
    /// How long the load is steady [default: 60s]
    #[arg(long, short, value_name = "DURATION", help_heading = "Load", allow_hyphen_values = true)]
    duration: Option<String>,
    /// How long it takes to get there [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    ramp_up: Option<String>,
    /// How long it takes to go away [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    ramp_down: Option<String>,
    /// End after so many requests
    #[arg(
        long,
        short = 'n',
        value_name = "NUMBER",
        help_heading = "Load",
        allow_negative_numbers = true
    )]
    requests: Option<u64>,
    /// Pause of a user between two requests: 1s, or 500ms..1500ms
    #[arg(long, value_name = "PAUSE", help_heading = "Load")]
    think: Option<String>,
    /// How arrivals are spread: even or random (a Poisson process) [default: even]
    #[arg(long, value_name = "HOW", help_heading = "Load")]
    arrivals: Option<String>,
    /// Arrivals beyond this in flight are dropped and counted [default: 1000]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    max_in_flight: Option<usize>,
    /// Leave the first part out of the summary
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    warmup: Option<String>,
    /// Length of an interval of the series [default: 1s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    interval: Option<String>,
    /// Of all random choices [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    seed: Option<u64>,
    /// Threads that send [default: as many as are useful]
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    threads: Option<usize>,

    /// Method [default: GET, or POST with a body]
    #[arg(long, short = 'X', value_name = "METHOD", help_heading = "Request")]
    method: Option<String>,
    /// A header, `Name: value`; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER", help_heading = "Request",
          value_parser = header)]
    headers: Vec<(String, String)>,
    /// Body
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file", help_heading = "Request")]
    body: Option<String>,
    /// File with the body
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    body_file: Option<String>,
    /// Status codes that are no error: 200, 2xx, 200,404 [default: 2xx,3xx]
    #[arg(long, value_name = "STATUS", help_heading = "Request")]
    expect: Option<String>,
    /// What the body of the response must contain
    #[arg(long, value_name = "TEXT", help_heading = "Request")]
    expect_body: Option<String>,
    /// Until the last byte of the response [default: 30s]
    #[arg(long, visible_alias = "timeout", value_name = "DURATION", help_heading = "Request")]
    request_timeout: Option<String>,

    /// Version of HTTP: 1, 2 (without TLS by prior knowledge) or auto [default: auto]
    #[arg(long, value_name = "VERSION", help_heading = "Connection")]
    http: Option<String>,
    /// A fresh connection for each request
    #[arg(long, help_heading = "Connection")]
    fresh: bool,
    /// HTTP/2 requests that share a connection [default: 100]
    #[arg(long, value_name = "NUMBER", help_heading = "Connection")]
    streams: Option<usize>,
    /// For TCP and TLS together [default: 5s]
    #[arg(long, value_name = "DURATION", help_heading = "Connection")]
    connect_timeout: Option<String>,
    /// Certificates to trust, in PEM [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    cacert: Option<String>,
    /// Trust any certificate
    #[arg(long, short = 'k', help_heading = "Connection")]
    insecure: bool,
    /// Connect to this socket, whatever the URL says
    #[arg(long, value_name = "PATH", help_heading = "Connection")]
    unix_socket: Option<String>,

    /// Fail (exit code 1) if this holds: p99>50ms, error_rate>0.1%, rate<1000,
    /// api.p95@steady>20ms; may be repeated
    #[arg(long, value_name = "THRESHOLD", help_heading = "Result")]
    fail_if: Vec<String>,
    /// The server's metrics, for the charts: http://127.0.0.1:9000/metrics
    #[arg(long, value_name = "URL", help_heading = "Result")]
    metrics: Option<String>,
    /// Write everything into this file; - is standard output, without the summary
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) json: Option<PathBuf>,
    /// Write a report for browsers into this file
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) html: Option<PathBuf>,
    /// Show neither progress nor summary
    #[arg(long, short, help_heading = "Result")]
    pub(crate) quiet: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write Name: value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse().ok();
    let is_share = |percent: &f64| (0.0..=100.0).contains(percent);
    percent.filter(is_share).ok_or_else(|| "write a number from 0 to 100".to_owned())
}

impl SendArgs {
    /// What the flags say, as a scenario.
    pub(crate) fn raw(&self) -> Raw {
        Raw {
            target: self.target.clone(),
            users: self.users,
            rate: self.rate,
            duration: self.duration.clone(),
            ramp_up: self.ramp_up.clone(),
            ramp_down: self.ramp_down.clone(),
            stages: Vec::new(),
            think: self.think.clone(),
            arrivals: self.arrivals.clone(),
            max_in_flight: self.max_in_flight,
            requests: self.requests,
            warmup: self.warmup.clone(),
            interval: self.interval.clone(),
            seed: self.seed,
            threads: self.threads,
            request_timeout: self.request_timeout.clone(),
            connection: RawConnection {
                http: self.http.clone(),
                reuse: self.fresh.then_some(false),
                streams: self.streams,
                timeout: self.connect_timeout.clone(),
                cacert: self.cacert.clone(),
                insecure: self.insecure.then_some(true),
                unix_socket: self.unix_socket.clone(),
            },
            endpoints: self.endpoint().into_iter().collect(),
            fail_if: self.fail_if.clone(),
            metrics: self.metrics.clone(),
            unread: Vec::new(),
        }
    }

    /// The one request that the flags describe, if they describe one.
    fn endpoint(&self) -> Option<RawEndpoint> {
        let is_described = !self.headers.is_empty()
            || [&self.method, &self.body, &self.body_file, &self.expect, &self.expect_body]
                .iter()
                .any(|flag| flag.is_some());
        is_described.then(|| RawEndpoint {
            method: self.method.clone(),
            headers: together(&self.headers),
            body: self.body.clone(),
            body_file: self.body_file.clone(),
            expect: self.expect.clone().map(StatusList::Text),
            expect_body: self.expect_body.clone(),
            ..RawEndpoint::default()
        })
    }
}

/// Headers that are said twice as one: lists go on after a comma (RFC 9110, 5.3), cookies after
/// a semicolon (RFC 9113, 8.2.3).
fn together(headers: &[(String, String)]) -> BTreeMap<String, String> {
    let mut together = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let separator = if name == "cookie" { "; " } else { ", " };
        together
            .entry(name)
            .and_modify(|all| all.push_str(&format!("{separator}{value}")))
            .or_insert_with(|| value.clone());
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_said_twice_is_sent_whole() {
        let said = [("Accept", "a"), ("Cookie", "b=1"), ("accept", "c"), ("cookie", "d=2")];
        let said = said.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = [("accept", "a, c"), ("cookie", "b=1; d=2")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(together(&said), BTreeMap::from(expected));
    }

    #[test]
    fn a_share_is_a_number_up_to_a_hundred() {
        assert_eq!((percent("5"), percent("0.5%")), (Ok(5.0), Ok(0.5)));
        for wrong in ["NaN", "-1", "101", "few", "inf"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
