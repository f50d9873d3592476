//! What a worker has counted.
//!
//! Invariants: counters only grow, so that two snapshots of one worker can be compared
//! and those of all workers, dead ones included, added up; the type says how to add.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything a worker has counted since its start, and its gauges at this moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// In the order of the worker's configuration.
    pub routes: Vec<RouteSnapshot>,
    /// Requests answered by the server itself, by the reason in `Proxy-Status`.
    pub rejected: BTreeMap<String, u64>,
    /// Responses that have ended before their end, by the reason.
    pub broken_off: BTreeMap<String, u64>,
    /// TLS handshakes, by how they ended.
    pub tls_handshakes: BTreeMap<String, u64>,
    /// Connections that were to begin with a header of the PROXY protocol, by what came.
    pub proxy_headers: BTreeMap<String, u64>,
    pub connections: Connections,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that may be in flight at the same time.
    pub capacity: u64,
    /// Requests that wait for a place.
    pub queue_depth: u64,
    /// How long requests have waited for a place, those that got one at once included.
    pub queue_seconds: Histogram,
    /// Blocking threads that run a guest.
    pub blocking_busy: u64,
    /// Guests that wait for a blocking thread.
    pub blocking_queue: u64,
    /// Bytes that all guests hold together.
    pub guest_memory: u64,
    /// Stalls of the event loop of more than 100 ms.
    pub stalls: u64,
    /// Outgoing requests' time to the response head, by host.
    pub outbound_seconds: BTreeMap<String, Histogram>,
}

/// What one route has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteSnapshot {
    /// Host and path prefix, as in the configuration.
    pub route: String,
    /// Responses by status code.
    pub responses: BTreeMap<u16, u64>,
    /// From the request head to the end of the response.
    pub seconds: Histogram,
    pub instances: InstanceCounts,
    /// CPU time that its guests have used, in seconds.
    pub guest_cpu_seconds: f64,
    /// How often a guest of it went to the blocking executor.
    pub offloads: u64,
    /// How long its guests have waited there for a thread, in seconds.
    pub offload_wait_seconds: f64,
    /// Jobs of its guests, by how they ended.
    pub jobs: BTreeMap<String, u64>,
}

/// Open connections of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// With a request in flight.
    pub active: u64,
    /// Without one.
    pub idle: u64,
}

/// Instances of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCounts {
    /// At work.
    pub busy: u64,
    /// Warm, waiting for a request.
    pub idle: u64,
}

/// A cumulative distribution of seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Upper bounds in seconds, ascending; one more bucket holds everything above.
    pub bounds: Vec<f64>,
    /// Observations in each bucket (not cumulative): one more than `bounds`.
    pub counts: Vec<u64>,
    /// Of all observations, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The seconds below which a fraction `q` of the observations lies, linear within a
    /// bucket; `None` without observations. What lies above all bounds counts as the last.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q * self.count() as f64;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                return Some(lower + (bound - lower) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
            lower = *bound;
        }
        (self.count() > 0).then_some(lower)
    }

    /// Adds the observations of `other`; of another set of bounds only their number and
    /// sum are kept, in the last bucket.
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            return self.clone_from(other);
        }
        self.sum += other.sum;
        if self.bounds == other.bounds {
            for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
                *ours += theirs;
            }
        } else if let Some(last) = self.counts.last_mut() {
            *last += other.count();
        }
    }
}

impl Snapshot {
    /// Hosts that are told apart: guests can make up as many as they like.
    pub const MAX_HOSTS: usize = 100;
    /// All hosts beyond those.
    pub const OTHER_HOSTS: &str = "other";

    /// Adds the counters of another worker, routes by name. Gauges are added as well; use
    /// [`Self::counters`] for a worker that is gone.
    pub fn add(&mut self, other: &Self) {
        for theirs in &other.routes {
            let ours = match self.routes.iter_mut().position(|ours| ours.route == theirs.route) {
                Some(index) => &mut self.routes[index],
                None => {
                    let route = theirs.route.clone();
                    self.routes.push(RouteSnapshot { route, ..RouteSnapshot::default() });
                    let last = self.routes.len() - 1;
                    &mut self.routes[last]
                }
            };
            for (status, count) in &theirs.responses {
                *ours.responses.entry(*status).or_default() += count;
            }
            ours.seconds.add(&theirs.seconds);
            ours.instances.busy += theirs.instances.busy;
            ours.instances.idle += theirs.instances.idle;
            ours.guest_cpu_seconds += theirs.guest_cpu_seconds;
            ours.offloads += theirs.offloads;
            ours.offload_wait_seconds += theirs.offload_wait_seconds;
            for (outcome, count) in &theirs.jobs {
                *ours.jobs.entry(outcome.clone()).or_default() += count;
            }
        }
        for (ours, theirs) in [
            (&mut self.rejected, &other.rejected),
            (&mut self.broken_off, &other.broken_off),
            (&mut self.tls_handshakes, &other.tls_handshakes),
            (&mut self.proxy_headers, &other.proxy_headers),
        ] {
            for (name, count) in theirs {
                *ours.entry(name.clone()).or_default() += count;
            }
        }
        self.connections.active += other.connections.active;
        self.connections.idle += other.connections.idle;
        self.in_flight += other.in_flight;
        self.capacity += other.capacity;
        self.queue_depth += other.queue_depth;
        self.queue_seconds.add(&other.queue_seconds);
        self.blocking_busy += other.blocking_busy;
        self.blocking_queue += other.blocking_queue;
        self.guest_memory += other.guest_memory;
        self.stalls += other.stalls;
        for (host, seconds) in &other.outbound_seconds {
            let is_full = self.outbound_seconds.len() >= Self::MAX_HOSTS;
            let is_new = !self.outbound_seconds.contains_key(host);
            let host: &str = if is_full && is_new { Self::OTHER_HOSTS } else { host };
            self.outbound_seconds.entry(host.to_owned()).or_default().add(seconds);
        }
    }

    /// What remains of a worker that is gone: its counters without its gauges.
    #[must_use]
    pub fn counters(mut self) -> Self {
        for route in &mut self.routes {
            route.instances = InstanceCounts::default();
        }
        self.connections = Connections::default();
        (self.in_flight, self.capacity, self.queue_depth) = (0, 0, 0);
        (self.blocking_busy, self.blocking_queue) = (0, 0);
        self.guest_memory = 0;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: [u64; 3]) -> Histogram {
        Histogram { bounds: vec![0.1, 1.0], counts: counts.to_vec(), sum: 1.0 }
    }

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(histogram([10, 0, 0]).quantile(0.5), Some(0.05));
        assert_eq!(histogram([5, 10, 0]).quantile(1.0), Some(1.0));
        assert_eq!(histogram([0, 0, 3]).quantile(0.5), Some(1.0));
    }

    #[test]
    fn snapshots_of_different_workers_add_up() {
        let route = |name: &str, status, count| RouteSnapshot {
            route: name.to_owned(),
            responses: [(status, count)].into(),
            seconds: histogram([count, 0, 0]),
            instances: InstanceCounts { busy: 1, idle: 2 },
            guest_cpu_seconds: 0.5,
            offloads: 2,
            offload_wait_seconds: 0.25,
            jobs: [("ok".to_owned(), 3)].into(),
        };
        let mut all = Snapshot { routes: vec![route("/", 200, 3)], ..Snapshot::default() };
        let routes = vec![route("/", 200, 4), route("/api", 500, 1)];
        let broken_off = [("guest_trap".to_owned(), 2)].into();
        let tls_handshakes = [("success".to_owned(), 2)].into();
        let other =
            Snapshot { routes, in_flight: 7, broken_off, tls_handshakes, ..Snapshot::default() };
        all.add(&other.clone().counters());
        assert_eq!(all.routes[0].responses[&200], 7);
        assert_eq!(all.routes[0].seconds.count(), 7);
        let ours = &all.routes[0];
        let used = (ours.guest_cpu_seconds, ours.offloads, ours.offload_wait_seconds);
        assert_eq!(used, (1.0, 4, 0.5));
        assert_eq!(ours.jobs["ok"], 6);
        assert_eq!(all.routes[0].instances, InstanceCounts { busy: 1, idle: 2 });
        assert_eq!(all.routes[1].responses[&500], 1);
        assert_eq!(all.in_flight, 0);
        all.add(&other);
        assert_eq!(all.in_flight, 7);
        assert_eq!(all.broken_off["guest_trap"], 4);
        assert_eq!(all.tls_handshakes["success"], 4);
    }
}
