//! How guests' jobs end.
//!
//! Purpose: a guest hears why its job has no result, and may make of it what it likes; whoever
//! operates the server hears it here. Owner: [`boot`](crate::boot), which has the engine tell.
//! Invariants: every end is counted; what a guest is not told by its own code is in the log,
//! though not each time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use remuda_engine::{JobEnd, JobError};
use remuda_http::Complaints;

/// Bytes of a job's name in the log; guests choose it.
const MAX_NAME: usize = 64;

/// Jobs by their end, of each route.
#[derive(Debug)]
pub(crate) struct Jobs {
    routes: Arc<[String]>,
    ended: Mutex<Vec<BTreeMap<String, u64>>>,
    complaints: Complaints,
}

impl Jobs {
    /// For routes of these names.
    pub(crate) fn new(routes: Arc<[String]>) -> Self {
        let ended = Mutex::new(vec![BTreeMap::new(); routes.len()]);
        Self { routes, ended, complaints: Complaints::default() }
    }

    /// A job has ended.
    pub(crate) fn observe(&self, end: &JobEnd<'_>) {
        let outcome = end.error.map_or("ok", JobError::name);
        let route = self.routes.iter().position(|route| route == end.route);
        if let Some(route) = route {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            *ended[route].entry(outcome.to_owned()).or_default() += 1;
        }
        let Some(error) = end.error else { return };
        let JobEnd { route: name, request, job, .. } = end;
        let job = &job[..job.floor_char_boundary(MAX_NAME)];
        match error {
            JobError::Trapped(_) | JobError::CpuTime | JobError::Memory => {
                if let Some(unsaid) = self.complaints.count(route, outcome) {
                    let unsaid = (unsaid > 0).then_some(unsaid);
                    tracing::warn!(route = name, %request, ?job, unsaid, "job failed: {error}");
                }
            }
            // Its own errors, and what is as it should be under load.
            _ => tracing::debug!(route = name, %request, ?job, "job failed: {error}"),
        }
    }

    /// Jobs by their end, in the order of the routes.
    pub(crate) fn read(&self) -> Vec<BTreeMap<String, u64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
