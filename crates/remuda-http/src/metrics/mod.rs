//! What the server counts.
//!
//! Purpose: figures for whoever watches the server, at a price of some tens of
//! nanoseconds per request: relaxed atomics, one lock that nobody else wants. Owner: the
//! [`Server`](crate::Server); others read through an [`Observer`]. Invariants: counters
//! only grow; a request that was rejected before its route was known belongs to none, and
//! is counted apart from the routes.

mod histogram;
mod in_flight;
mod observer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

pub use histogram::Histogram;
pub use in_flight::RequestInFlight;
pub(crate) use in_flight::{Entry, InFlightTable};
pub use observer::{Load, Observer, Reading};

use crate::complaint::Complaints;

/// The counters of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    routes: Vec<Mutex<RouteReading>>,
    /// What logs call them.
    names: Vec<Arc<str>>,
    complaints: Complaints,
    /// Requests rejected before their route was known.
    unrouted: Mutex<RouteReading>,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    broken_off: Mutex<BTreeMap<&'static str, u64>>,
    tls_handshakes: Mutex<BTreeMap<&'static str, u64>>,
    proxy_headers: Mutex<BTreeMap<&'static str, u64>>,
    connections: AtomicUsize,
    active_connections: AtomicUsize,
    served: AtomicU64,
}

/// What one route has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteReading {
    /// Responses by status code.
    pub responses: BTreeMap<u16, u64>,
    /// From the request head to the end of the response body.
    pub times: Histogram,
}

impl Metrics {
    /// For routes of these names.
    pub(crate) fn new(names: Vec<Arc<str>>) -> Self {
        Self {
            routes: std::iter::repeat_with(Mutex::default).take(names.len()).collect(),
            names,
            complaints: Complaints::default(),
            unrouted: Mutex::default(),
            rejected: Mutex::default(),
            broken_off: Mutex::default(),
            tls_handshakes: Mutex::default(),
            proxy_headers: Mutex::default(),
            connections: AtomicUsize::new(0),
            active_connections: AtomicUsize::new(0),
            served: AtomicU64::new(0),
        }
    }

    /// What logs call a route.
    pub(crate) fn name(&self, route: usize) -> Option<&Arc<str>> {
        self.names.get(route)
    }

    /// How many failures of this kind the log does not name, if it is to name this one.
    pub(crate) fn complain(&self, route: Option<usize>, kind: &'static str) -> Option<u64> {
        self.complaints.count(route, kind)
    }

    /// A request has ended; without a status, it was given up before its response began.
    pub(crate) fn ended(&self, route: Option<usize>, status: Option<StatusCode>, time: Duration) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let Some(status) = status else { return };
        let route = route.and_then(|route| self.routes.get(route)).unwrap_or(&self.unrouted);
        let mut route = route.lock().unwrap_or_else(PoisonError::into_inner);
        *route.responses.entry(status.as_u16()).or_default() += 1;
        route.times.observe(time);
    }

    /// The server answers itself.
    pub(crate) fn rejected(&self, reason: &'static str) {
        count(&self.rejected, reason);
    }

    /// A handshake has come to this end.
    pub(crate) fn tls_handshake(&self, result: &'static str) {
        count(&self.tls_handshakes, result);
    }

    /// A header of the PROXY protocol was read, or was not.
    pub(crate) fn proxy_header(&self, result: &'static str) {
        count(&self.proxy_headers, result);
    }

    /// A response has ended before its end.
    pub(crate) fn broke_off(&self, reason: &'static str) {
        count(&self.broken_off, reason);
    }

    /// A connection has its first request in flight, or none any more.
    pub(crate) fn connection_is_active(&self, active: bool) {
        if active {
            self.active_connections.fetch_add(1, Ordering::Relaxed);
        } else {
            self.active_connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns how many connections are open now.
    pub(crate) fn connection_opened(&self) -> usize {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns how many connections are open now.
    pub(crate) fn connection_closed(&self) -> usize {
        self.connections.fetch_sub(1, Ordering::Relaxed) - 1
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn count(counts: &Mutex<BTreeMap<&'static str, u64>>, name: &'static str) {
    *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_given_up_is_served_but_has_no_response() {
        let metrics = Metrics::new(vec!["/".into()]);
        metrics.ended(Some(0), Some(StatusCode::OK), Duration::ZERO);
        metrics.ended(Some(0), None, Duration::ZERO);
        metrics.ended(None, Some(StatusCode::NOT_FOUND), Duration::ZERO);
        assert_eq!(metrics.served.load(Ordering::Relaxed), 3);
        let route = metrics.routes[0].lock().expect("no panic").clone();
        assert_eq!(route.responses, [(200, 1)].into());
        assert_eq!(route.times.counts().iter().sum::<u64>(), 1);
        assert_eq!(metrics.unrouted.lock().expect("no panic").responses, [(404, 1)].into());
    }
}
