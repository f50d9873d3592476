//! What the admin server asks the loop, and what it is told.
//!
//! Owner: the [loop](crate::run) answers every call, without waiting for anybody but the
//! fleet. Invariant: [`Health`] needs no call at all, so that health checks are answered
//! whatever the loop does.

use std::collections::BTreeMap;

use remuda_control::{RouteSnapshot, Snapshot};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::meter::CpuTime;

/// A question or an order to the loop. Whoever asked may have gone when it is answered.
#[derive(Debug)]
pub(crate) enum Call {
    Status(oneshot::Sender<Status>),
    /// Snapshots of all workers are collected first; what a stuck one said last counts.
    Metrics(oneshot::Sender<Metrics>),
    Order(Order, oneshot::Sender<Result<Done, Refused>>),
}

/// What an operator can order, by signal or on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Answered when the new generation serves, or why it does not.
    Reload,
    /// Answered at once.
    Drain,
    /// So many workers; answered when there are.
    Scale(usize),
    /// Replaces the worker of a slot; answered when the replacement is ready.
    Restart(usize),
}

/// An order was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    /// For people: `generation 2 serves: 4 workers`
    pub(crate) message: String,
    /// The generation that serves now.
    pub(crate) generation: u64,
}

/// An order was not carried out, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    /// What is wrong and what to do about it; may have several lines.
    pub(crate) reason: String,
    /// The exit code with which a start would have failed for the same reason (65, 70,
    /// 78), or 64 when the order makes no sense.
    pub(crate) code: u8,
}

/// What health checks ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// The first generation was ready at some time.
    pub(crate) started: bool,
    /// At least one worker accepts, and no drain has begun; else why not.
    pub(crate) ready: Result<(), &'static str>,
}

/// The server as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Status {
    pub(crate) version: &'static str,
    pub(crate) pid: u32,
    /// `starting`, `serving`, `reloading`, `upgrading`, `draining`, `stopping`
    pub(crate) state: &'static str,
    pub(crate) generation: u64,
    pub(crate) uptime_seconds: f64,
    pub(crate) addresses: Vec<String>,
    pub(crate) workers_wanted: usize,
    pub(crate) reloads: Reloads,
    pub(crate) workers: Vec<WorkerStatus>,
    pub(crate) routes: Vec<RouteStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reloads {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Why the last one failed, if it did.
    pub(crate) last_failure: Option<String>,
}

/// One worker process, from its last heartbeat and from what the kernel says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WorkerStatus {
    pub(crate) slot: usize,
    pub(crate) pid: i32,
    pub(crate) generation: u64,
    /// `starting`, `ready`, `draining`
    pub(crate) state: &'static str,
    pub(crate) age_seconds: f64,
    /// Time since the last heartbeat.
    pub(crate) silent_seconds: f64,
    pub(crate) rss_bytes: u64,
    /// What its guests hold, as it said last.
    pub(crate) guest_memory_bytes: u64,
    pub(crate) lag_seconds: f64,
    pub(crate) in_flight: usize,
    pub(crate) queued: usize,
    pub(crate) connections: usize,
    pub(crate) served: u64,
}

/// One route, all workers together since the start of the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RouteStatus {
    pub(crate) route: String,
    /// Responses of any status.
    pub(crate) requests: u64,
    /// Responses with a status of 500 and above.
    pub(crate) errors: u64,
    /// Quantiles of the time from the request head to the end of the response.
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p95_seconds: Option<f64>,
    pub(crate) p99_seconds: Option<f64>,
    pub(crate) instances_busy: u64,
    pub(crate) instances_idle: u64,
}

impl RouteStatus {
    /// All routes of the total of all workers.
    pub(crate) fn all(total: &Snapshot) -> Vec<Self> {
        total.routes.iter().map(Self::from).collect()
    }
}

impl From<&RouteSnapshot> for RouteStatus {
    fn from(route: &RouteSnapshot) -> Self {
        Self {
            route: route.route.clone(),
            requests: route.responses.values().sum(),
            errors: route.responses.range(500..).map(|(_, count)| count).sum(),
            p50_seconds: route.seconds.quantile(0.5),
            p95_seconds: route.seconds.quantile(0.95),
            p99_seconds: route.seconds.quantile(0.99),
            instances_busy: route.instances.busy,
            instances_idle: route.instances.idle,
        }
    }
}

/// What `/metrics` shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metrics {
    pub(crate) uptime_seconds: f64,
    /// All workers together, those that are gone included.
    pub(crate) total: Snapshot,
    pub(crate) workers: Vec<WorkerStatus>,
    /// By slot, those that are gone included.
    pub(crate) cpu: BTreeMap<usize, CpuTime>,
    /// Of the supervisor itself.
    pub(crate) own_cpu: CpuTime,
    /// Workers that were replaced, by reason: `exited`, `killed`, `silent`,
    /// `max_requests`, `max_lifetime`, `rss`, `restart`.
    pub(crate) restarts: BTreeMap<&'static str, u64>,
    pub(crate) reloads: Reloads,
    /// CPU periods in which the container was throttled, where there is a quota.
    pub(crate) throttled_periods: Option<u64>,
}

#[cfg(test)]
mod tests {
    use remuda_control::{Histogram, InstanceCounts};

    use super::*;

    #[test]
    fn a_routes_status_says_how_many_failed_and_how_long_they_took() {
        let route = RouteSnapshot {
            route: "/api".to_owned(),
            responses: [(200, 7), (404, 1), (500, 1), (504, 1)].into(),
            seconds: Histogram { bounds: vec![0.1, 1.0], counts: vec![10, 0, 0], sum: 0.5 },
            instances: InstanceCounts { busy: 1, idle: 2 },
            ..RouteSnapshot::default()
        };
        let total = Snapshot { routes: vec![route], ..Snapshot::default() };
        let [status] = RouteStatus::all(&total).try_into().expect("one route");
        assert_eq!((status.route.as_str(), status.requests, status.errors), ("/api", 10, 2));
        assert_eq!((status.p50_seconds, status.p99_seconds), (Some(0.05), Some(0.099)));
        assert_eq!((status.instances_busy, status.instances_idle), (1, 2));
    }
}
