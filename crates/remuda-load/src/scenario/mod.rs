//! What is to be sent, how often, and to whom.
//!
//! Purpose: a file or flags ([`Raw`]) become a [`Scenario`], in one validation that tells
//! every mistake at once. Owner: whoever starts a run; nobody changes a scenario later.
//! Invariant: what a scenario holds can be sent, for files are read and addresses are
//! understood before anything is.

mod described;
mod plan;
mod raw;
mod sift;
mod target;
mod validate;
mod value;

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use bytes::Bytes;
pub use described::{Described, DescribedEndpoint};
use http::{HeaderMap, Method};
pub use plan::{Plan, Stage};
pub use raw::{Raw, RawConnection, RawEndpoint, RawStage, StatusList};
pub use target::{Address, Target};
pub use value::{Statuses, Think};

use crate::{client::Trusted, threshold::Threshold};

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("{path}: failed to read the scenario: {source}; name a readable file, or a URL", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: failed to understand the scenario: {problem}", path = path.display())]
    Parse { path: PathBuf, problem: String },
    /// One line for each mistake.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// One mistake: where, what it says there, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: failed to {}: {remedy}", used(.value))]
pub struct Problem {
    pub key: String,
    pub value: String,
    pub remedy: String,
}

/// What is not there cannot be wrong.
fn used(value: &str) -> String {
    if value.is_empty() { "find a value".to_owned() } else { format!("use {value:?}") }
}

/// Everything about a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub target: Target,
    pub model: Model,
    /// Users or arrivals per second over time.
    pub plan: Plan,
    /// Shown, but not counted in the summary.
    pub warmup: Duration,
    /// Length of one row of the series.
    pub interval: Duration,
    /// The run ends after so many, whatever the plan says.
    pub requests: Option<NonZeroU64>,
    pub seed: u64,
    /// `None`: as many as are useful.
    pub threads: Option<usize>,
    pub connection: Connection,
    /// From the connection being there to the last byte of the response.
    pub request_timeout: Duration,
    pub endpoints: Vec<Endpoint>,
    pub thresholds: Vec<Threshold>,
    /// The server's own metrics.
    pub metrics: Option<Target>,
}

/// Who decides when a request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// Users: each sends when its last request has ended and it has thought a while.
    Closed { think: Think },
    /// Arrivals: requests are sent when it is time, whatever became of the others.
    Open { arrivals: Arrivals, max_in_flight: usize },
}

/// How arrivals are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Even,
    /// A Poisson process, as of many users who know nothing of each other.
    Random,
}

/// How to reach the server.
#[derive(Clone, Debug)]
pub struct Connection {
    pub http: Http,
    /// Whether a connection takes more than one request.
    pub reuse: bool,
    /// HTTP/2 requests that share a connection.
    pub streams: usize,
    /// For TCP and TLS together.
    pub timeout: Duration,
    /// Trusted instead of the system's roots.
    pub cacert: Option<Trusted>,
    /// Any certificate will do.
    pub insecure: bool,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// What ALPN says; HTTP/1.1 without TLS.
    Auto,
    One,
    Two,
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub name: String,
    /// Its share is this over the sum of all.
    pub weight: f64,
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub expect: Statuses,
    /// What the response body must contain.
    pub expect_body: Option<Bytes>,
}
