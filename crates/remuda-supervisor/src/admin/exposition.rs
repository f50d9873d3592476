//! `/metrics`: what the workers have counted, in OpenMetrics text 1.0.
//!
//! Owner: the [admin service](super::service), once for every scrape. Invariant: names,
//! labels and units are those of the design, and every family is there even when it has
//! no samples yet, so that nobody has to guess whether a name is misspelt.

mod families;

use std::{collections::BTreeMap, fmt};

use families::{Families, NONE, label};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::{Registry, Unit},
};

use super::call::{Metrics, WorkerStatus};
use crate::meter::CpuTime;

/// Prometheus chooses its parser by it.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The reasons for which there was no room, a part of all in [`Metrics::total`].
const SHED: [&str; 4] = ["queue_full", "queue_timeout", "memory_budget", "draining"];

/// Each has a sample at all times, for a gauge that vanishes looks like an outage.
const WORKER_STATES: [&str; 3] = ["starting", "ready", "draining"];

/// The text of `metrics`.
///
/// # Errors
/// None in practice: writing to a string does not fail.
pub(super) fn encode(metrics: Metrics) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition(metrics)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Exposition(Metrics);

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.server(&mut families)?;
        self.requests(&mut families)?;
        self.admission(&mut families)?;
        self.workers(&mut families)
    }
}

impl Exposition {
    /// The server as a whole.
    fn server(&self, families: &mut Families<'_>) -> fmt::Result {
        families.info(
            "remuda_build",
            "The running server",
            "version",
            env!("CARGO_PKG_VERSION"),
        )?;
        families.gauges(
            "remuda_uptime",
            Some(Unit::Seconds),
            "Age of the supervisor",
            [(NONE, self.0.uptime_seconds)],
        )?;
        let reloads = [("success", self.0.reloads.succeeded), ("failure", self.0.reloads.failed)];
        families.counters(
            "remuda_reloads",
            "Reloads of the configuration",
            reloads.map(|(result, count)| (label("result", result), count)),
        )?;
        families.counters(
            "remuda_cpu_throttled_periods",
            "CPU periods in which the container was throttled, where it has a quota",
            self.0.throttled_periods.map(|periods| (NONE, periods)),
        )
    }

    /// What the routes have done.
    fn requests(&self, families: &mut Families<'_>) -> fmt::Result {
        let total = &self.0.total;
        let responses = total.routes.iter().flat_map(|route| {
            let with =
                |status: &u16| vec![("route", route.route.clone()), ("status", status.to_string())];
            route.responses.iter().map(move |(status, count)| (with(status), *count))
        });
        families.counters("remuda_requests", "Responses of routes", responses)?;
        families.histograms(
            "remuda_request",
            "From the request head to the end of the response",
            total.routes.iter().map(|route| (label("route", &route.route), &route.seconds)),
        )?;
        families.counters_of_seconds(
            "remuda_guest_cpu",
            "CPU time that guests have used",
            total
                .routes
                .iter()
                .map(|route| (label("route", &route.route), route.guest_cpu_seconds)),
        )?;
        families.counters(
            "remuda_offloads",
            "Times that guests went to the blocking executor",
            total.routes.iter().map(|route| (label("route", &route.route), route.offloads)),
        )?;
        families.counters_of_seconds(
            "remuda_offload_wait",
            "Time that guests have waited for a blocking thread",
            total
                .routes
                .iter()
                .map(|route| (label("route", &route.route), route.offload_wait_seconds)),
        )?;
        let jobs = total.routes.iter().flat_map(|route| {
            let with = |outcome: &String| {
                vec![("route", route.route.clone()), ("outcome", outcome.clone())]
            };
            route.jobs.iter().map(move |(outcome, count)| (with(outcome), *count))
        });
        families.counters("remuda_jobs", "Jobs of guests by how they ended", jobs)?;
        let instances = total.routes.iter().flat_map(|route| {
            let with = |state: &str| vec![("route", route.route.clone()), ("state", state.into())];
            let states = [("busy", route.instances.busy), ("idle", route.instances.idle)];
            states.map(|(state, count)| (with(state), count as f64))
        });
        families.gauges("remuda_instances", None, "Instances of components", instances)?;
        let outbound = total.outbound_seconds.iter();
        families.histograms(
            "remuda_outbound",
            "Outgoing requests of guests, until the response head",
            outbound.map(|(host, seconds)| (label("host", host), seconds)),
        )
    }

    /// How full the server is.
    fn admission(&self, families: &mut Families<'_>) -> fmt::Result {
        let total = &self.0.total;
        // No worker, no capacity.
        let utilization = total.in_flight as f64 / total.capacity.max(1) as f64;
        for (name, help, value) in [
            ("remuda_in_flight", "Requests in flight", total.in_flight as f64),
            ("remuda_capacity", "Requests that may be in flight", total.capacity as f64),
            ("remuda_utilization", "Requests in flight as a share of capacity", utilization),
            ("remuda_queue_depth", "Requests that wait for a place", total.queue_depth as f64),
            ("remuda_blocking_busy", "Blocking threads at work", total.blocking_busy as f64),
            ("remuda_blocking_queue", "Guests that wait for one", total.blocking_queue as f64),
        ] {
            families.gauges(name, None, help, [(NONE, value)])?;
        }
        families.histograms(
            "remuda_queue",
            "How long requests have waited for a place",
            [(NONE, &total.queue_seconds)],
        )?;
        let rejected = |reason| total.rejected.get(reason).copied().unwrap_or_default();
        families.counters(
            "remuda_shed",
            "Requests answered 503 for lack of room",
            SHED.map(|reason| (label("reason", reason), rejected(reason))),
        )?;
        families.counters(
            "remuda_rejected",
            "Requests answered by the server itself, by the reason in Proxy-Status",
            total.rejected.iter().map(|(reason, count)| (label("reason", reason), *count)),
        )?;
        families.counters(
            "remuda_responses_broken_off",
            "Responses that ended before their end, after the head was sent",
            total.broken_off.iter().map(|(reason, count)| (label("reason", reason), *count)),
        )?;
        let connections = [("active", total.connections.active), ("idle", total.connections.idle)];
        let results = |counts: &BTreeMap<String, u64>| -> Vec<_> {
            counts.iter().map(|(result, count)| (label("result", result), *count)).collect()
        };
        families.counters(
            "remuda_tls_handshakes",
            "TLS handshakes of clients",
            results(&total.tls_handshakes),
        )?;
        families.counters(
            "remuda_proxy_headers",
            "Connections that were to begin with a PROXY protocol header",
            results(&total.proxy_headers),
        )?;
        families.gauges(
            "remuda_connections",
            None,
            "Open connections, with and without a request in flight",
            connections.map(|(state, count)| (label("state", state), count as f64)),
        )
    }

    /// The processes.
    fn workers(&self, families: &mut Families<'_>) -> fmt::Result {
        let in_state = |state| self.0.workers.iter().filter(|worker| worker.state == state).count();
        families.gauges(
            "remuda_workers",
            None,
            "Worker processes",
            WORKER_STATES.map(|state| (label("state", state), in_state(state) as f64)),
        )?;
        families.counters(
            "remuda_worker_restarts",
            "Workers that were replaced",
            self.0.restarts.iter().map(|(reason, count)| (label("reason", reason), *count)),
        )?;
        families.counters(
            "remuda_loop_stalls",
            "Stalls of an event loop of more than 100 ms",
            [(NONE, self.0.total.stalls)],
        )?;
        let modes = |used: &CpuTime| {
            [("user", used.user.as_secs_f64()), ("system", used.system.as_secs_f64())]
        };
        let of_slots = self.0.cpu.iter().flat_map(|(slot, used)| {
            let with = |mode: &str| vec![("worker", slot.to_string()), ("mode", mode.to_owned())];
            modes(used).map(|(mode, seconds)| (with(mode), seconds))
        });
        families.counters_of_seconds(
            "remuda_worker_cpu",
            "CPU time of worker processes, those included that were replaced",
            of_slots,
        )?;
        families.counters_of_seconds(
            "remuda_supervisor_cpu",
            "CPU time of the supervisor itself",
            modes(&self.0.own_cpu).map(|(mode, seconds)| (label("mode", mode), seconds)),
        )?;
        let newest = self.newest();
        families.gauges(
            "remuda_worker_rss",
            Some(Unit::Bytes),
            "Resident memory",
            newest.iter().map(|worker| (label("worker", worker.slot), worker.rss_bytes as f64)),
        )?;
        let guests = |worker: &&WorkerStatus| worker.guest_memory_bytes as f64;
        families.gauges(
            "remuda_guest_memory",
            Some(Unit::Bytes),
            "What guests hold: memories, tables, and a little for each instance",
            newest.iter().map(|worker| (label("worker", worker.slot), guests(worker))),
        )?;
        families.gauges(
            "remuda_loop_lag",
            Some(Unit::Seconds),
            "Lag of the event loop at the last heartbeat",
            newest.iter().map(|worker| (label("worker", worker.slot), worker.lag_seconds)),
        )
    }

    /// The youngest worker of each slot: while it replaces another, both have the slot's
    /// number, and a label set may appear but once.
    fn newest(&self) -> Vec<&WorkerStatus> {
        let mut newest: Vec<&WorkerStatus> = Vec::new();
        for worker in &self.0.workers {
            match newest.iter_mut().find(|other| other.slot == worker.slot) {
                Some(other) if worker.age_seconds < other.age_seconds => *other = worker,
                Some(_) => {}
                None => newest.push(worker),
            }
        }
        newest
    }
}

#[cfg(test)]
mod tests;
