//! What a server says of itself: health, metrics and status.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

use super::Server;
use crate::{
    client::{Ask, Connection},
    metrics::Metrics,
    process::Pid,
    wait::timed,
};

/// How often metrics are asked for before they are taken as they are.
const TRIES: u32 = 20;

/// What a health check or an order was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// From connecting to the end of the answer.
    pub elapsed: Duration,
}

/// A worker, as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerState {
    pub slot: u64,
    pub pid: Pid,
    pub generation: u64,
    /// `starting`, `ready`, `draining`
    pub state: String,
}

impl Server {
    /// Where it tells of itself.
    ///
    /// # Panics
    /// When it was not [asked to](super::Builder::with_admin).
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("a server with an admin address")
    }

    /// GET at the admin address.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn ask_admin(&self, path: &str) -> Answer {
        let admin = self.admin();
        Answer::to(Ask::get(path), Connection::http1(admin)).await
    }

    /// Whether the supervisor lives.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn livez(&self) -> Answer {
        self.ask_admin("/livez").await
    }

    /// Whether requests are to be sent to it.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn readyz(&self) -> Answer {
        self.ask_admin("/readyz").await
    }

    /// Whether it has started.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn startupz(&self) -> Answer {
        self.ask_admin("/startupz").await
    }

    /// All metrics.
    ///
    /// # Panics
    /// When there are none, or they cannot be read.
    pub async fn metrics(&self) -> Metrics {
        let mut tries = 0;
        loop {
            let metrics = Metrics::parse(&self.ask_admin("/metrics").await.ok());
            tries += 1;
            // Of a worker that has yet to say anything, nothing is known; one that serves has
            // capacity.
            if tries == TRIES || metrics.sum("remuda_capacity", &[]) > 0.0 {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The status as JSON.
    ///
    /// # Panics
    /// When there is none.
    pub async fn status(&self) -> Value {
        let status = self.ask_admin("/status").await.ok();
        serde_json::from_str(&status).unwrap_or_else(|error| panic!("{error} in {status}"))
    }

    /// All workers that the status shows, those that leave included.
    ///
    /// # Panics
    /// When there is no status, or a worker in it lacks something.
    pub async fn worker_states(&self) -> Vec<WorkerState> {
        let status = self.status().await;
        let workers = status["workers"].as_array();
        let workers = workers.unwrap_or_else(|| panic!("no workers in {status}"));
        let state = |worker: &Value| WorkerState::read(worker);
        workers
            .iter()
            .map(|worker| state(worker).unwrap_or_else(|| panic!("no worker: {worker}")))
            .collect()
    }
}

impl WorkerState {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == "ready"
    }

    fn read(worker: &Value) -> Option<Self> {
        let pid = i32::try_from(worker["pid"].as_i64()?).ok()?;
        Some(Self {
            slot: worker["slot"].as_u64()?,
            pid: Pid::from_raw(pid)?,
            generation: worker["generation"].as_u64()?,
            state: worker["state"].as_str()?.to_owned(),
        })
    }
}

impl Answer {
    pub(super) async fn to(
        ask: Ask,
        connecting: impl Future<Output = std::io::Result<Connection>>,
    ) -> Self {
        let what = ask.to_string();
        let asked = async {
            let connected = connecting.await;
            let connection = connected.unwrap_or_else(|error| panic!("{what}: {error}"));
            { connection }.send(ask).await
        };
        let (elapsed, reply) = timed(asked).await;
        Self { status: reply.status.as_u16(), body: reply.text(), elapsed }
    }

    /// The body of a 200.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }
}

/// The address in `http://ADDRESS`; nothing if there is none.
pub(super) fn address_of(url: &str) -> Option<SocketAddr> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    (!address.is_empty()).then(|| address.parse().expect("an address in the log"))
}
