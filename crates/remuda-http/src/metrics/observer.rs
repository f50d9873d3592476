//! Reading a server's figures while it serves.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use super::{Histogram, Metrics, RequestInFlight, RouteReading};
use crate::Admission;

/// Reads what a server counts, from any thread.
#[derive(Clone, Debug)]
pub struct Observer {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Arc<Admission>,
}

/// Everything a server has counted, and its gauges at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// In the order of the configuration.
    pub routes: Vec<RouteReading>,
    /// Requests rejected before their route was known.
    pub unrouted: RouteReading,
    /// Requests that the server has answered itself, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Responses that have ended before their end, by reason.
    pub broken_off: BTreeMap<&'static str, u64>,
    /// TLS handshakes, by how they ended.
    pub tls_handshakes: BTreeMap<&'static str, u64>,
    /// Connections that were to begin with a header of the PROXY protocol, by what came.
    pub proxy_headers: BTreeMap<&'static str, u64>,
    /// Open connections with a request in flight.
    pub active_connections: usize,
    /// Requests that may be in flight at the same time.
    pub capacity: usize,
    /// How long requests have waited for a place, in vain or not; those that got one at
    /// once took no time.
    pub queue_times: Histogram,
    pub load: Load,
}

/// How much a server has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that wait for a place.
    pub queued: usize,
    /// Open connections.
    pub connections: usize,
    /// Requests that have ended.
    pub served: u64,
}

impl Observer {
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            in_flight: self.admission.table().len(),
            queued: self.admission.waiting(),
            connections: self.metrics.connections(),
            served: self.metrics.served.load(Ordering::Relaxed),
        }
    }

    #[must_use]
    pub fn read(&self) -> Reading {
        let metrics = &self.metrics;
        let read = |route: &std::sync::Mutex<RouteReading>| {
            route.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let counts = |counts: &std::sync::Mutex<BTreeMap<&'static str, u64>>| {
            counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        Reading {
            routes: metrics.routes.iter().map(read).collect(),
            unrouted: read(&metrics.unrouted),
            rejected: counts(&metrics.rejected),
            broken_off: counts(&metrics.broken_off),
            tls_handshakes: counts(&metrics.tls_handshakes),
            proxy_headers: counts(&metrics.proxy_headers),
            active_connections: metrics.active_connections.load(Ordering::Relaxed),
            capacity: self.admission.capacity(),
            queue_times: self.admission.queue_times(),
            load: self.load(),
        }
    }

    /// How many requests are in flight, and the `limit` oldest of them, oldest first; for a
    /// thread other than the event loop's. `None` when the event loop holds the table.
    #[must_use]
    pub fn oldest_in_flight(&self, limit: usize) -> Option<(usize, Vec<RequestInFlight>)> {
        self.admission.table().oldest(limit)
    }
}
