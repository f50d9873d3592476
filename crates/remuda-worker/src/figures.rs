//! Everything a worker has counted, put together for its supervisor.
//!
//! Owner: [`life`](crate::life). Invariant: the only place that knows both the server's
//! figures and the messages of the control socket.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use remuda_control::{Connections, InstanceCounts, RouteSnapshot, Snapshot};
use remuda_engine::{Engine, Usage};
use remuda_http::{Histogram, Observer, Reading, RouteReading};

use crate::{handler::Programs, jobs::Jobs};

/// Reads all figures of this worker.
pub(crate) struct Figures<'a> {
    pub(crate) observer: Observer,
    /// Names of the routes, in the order of the configuration.
    pub(crate) routes: Arc<[String]>,
    /// Gone at the end of a drain.
    pub(crate) programs: Weak<Programs>,
    pub(crate) outbound: Arc<OutboundTimes>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) stalls: Cell<u64>,
    pub(crate) last_usage: RefCell<Vec<Usage>>,
    pub(crate) engine: &'a Engine,
}

/// Outgoing requests' time to the response head, by authority.
#[derive(Debug, Default)]
pub(crate) struct OutboundTimes {
    hosts: Mutex<BTreeMap<String, Histogram>>,
}

impl Figures<'_> {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let reading = self.observer.read();
        let Reading { unrouted, load, .. } = &reading;
        let instances = self.instances();
        let counts = instances.into_iter().chain(std::iter::repeat(InstanceCounts::default()));
        let used = self.usage().into_iter().zip(self.jobs.read());
        let routes = self.routes.iter().zip(&reading.routes).zip(counts).zip(used);
        let mut routes: Vec<RouteSnapshot> = routes
            .map(|(((name, route), counts), (usage, jobs))| RouteSnapshot {
                jobs,
                guest_cpu_seconds: usage.cpu_time.as_secs_f64(),
                offloads: usage.offloads,
                offload_wait_seconds: usage.waited.as_secs_f64(),
                ..route_snapshot(name, route, counts)
            })
            .collect();
        // Requests of no route have a name that no route has, and their own line once there
        // were any.
        if !unrouted.responses.is_empty() {
            routes.push(route_snapshot("", unrouted, InstanceCounts::default()));
        }
        let active = reading.active_connections;
        let blocking = self.engine.blocking();
        Snapshot {
            routes,
            rejected: named(&reading.rejected),
            broken_off: named(&reading.broken_off),
            tls_handshakes: named(&reading.tls_handshakes),
            proxy_headers: named(&reading.proxy_headers),
            connections: Connections {
                active: active as u64,
                idle: load.connections.saturating_sub(active) as u64,
            },
            in_flight: load.in_flight as u64,
            capacity: reading.capacity as u64,
            queue_depth: (load.queued + self.waiting_for_room()) as u64,
            queue_seconds: seconds(&reading.queue_times),
            blocking_busy: blocking.busy as u64,
            blocking_queue: blocking.waiting as u64,
            guest_memory: self.engine.guest_memory(),
            stalls: self.stalls.get(),
            outbound_seconds: self.outbound.read(),
        }
    }
}

impl Figures<'_> {
    fn waiting_for_room(&self) -> usize {
        self.programs.upgrade().map_or(0, |programs| programs.waiting())
    }

    fn instances(&self) -> Vec<InstanceCounts> {
        self.programs.upgrade().map(|programs| programs.instance_counts()).unwrap_or_default()
    }

    /// What the guests of each route have used; what it was at last, when they are gone.
    fn usage(&self) -> Vec<Usage> {
        if let Some(programs) = self.programs.upgrade() {
            self.last_usage.replace(programs.usage());
        }
        let mut usage = self.last_usage.borrow().clone();
        usage.resize(self.routes.len(), Usage::default());
        usage
    }
}

fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn route_snapshot(name: &str, route: &RouteReading, instances: InstanceCounts) -> RouteSnapshot {
    RouteSnapshot {
        route: name.to_owned(),
        responses: route.responses.clone(),
        seconds: seconds(&route.times),
        instances,
        ..RouteSnapshot::default()
    }
}

fn seconds(times: &Histogram) -> remuda_control::Histogram {
    remuda_control::Histogram {
        bounds: Histogram::bounds().collect(),
        counts: times.counts().to_vec(),
        sum: times.sum().as_secs_f64(),
    }
}

impl OutboundTimes {
    pub(crate) fn observe(&self, authority: &str, time: Duration) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get_mut(authority) {
            return host.observe(time);
        }
        let name =
            if hosts.len() < Snapshot::MAX_HOSTS { authority } else { Snapshot::OTHER_HOSTS };
        hosts.entry(name.to_owned()).or_default().observe(time);
    }

    fn read(&self) -> BTreeMap<String, remuda_control::Histogram> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().map(|(host, times)| (host.clone(), seconds(times))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_beyond_the_limit_are_counted_together() {
        let times = OutboundTimes::default();
        for host in 0..Snapshot::MAX_HOSTS + 7 {
            times.observe(&format!("{host}.example:443"), Duration::ZERO);
        }
        times.observe("0.example:443", Duration::ZERO);
        let read = times.read();
        assert_eq!(read.len(), Snapshot::MAX_HOSTS + 1);
        assert_eq!(read[Snapshot::OTHER_HOSTS].count(), 7);
        assert_eq!(read["0.example:443"].count(), 2);
    }
}
