//! Jobs: work that a guest gives to another instance of its component.
//!
//! Purpose: run one call of `remuda:runtime/jobs` in a fresh instance, with a CPU time and a
//! memory cap of its own, on the blocking executor. Owner: the guest's call of `offload`;
//! dropping it ends the job. Invariants: a job ends no later than the request it is for; of
//! one route, [`AT_ONCE`] run and `limits.queue` wait at the same time; the instance of a
//! job is used for nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout_at,
};
use wasmtime::component::{ComponentExportIndex, ComponentType, Lift};

use crate::{
    Fault, RequestId,
    call::{Allowance, Counted, errand},
    program::Template,
};

/// Jobs of one route that have an instance at the same time. More than there are threads, so
/// that short ones take turns with long ones.
const AT_ONCE: usize = 32;

/// The places of a route's jobs.
pub(crate) struct JobPlaces {
    places: Semaphore,
    waiting: AtomicUsize,
    queue: usize,
    running: AtomicUsize,
}

impl JobPlaces {
    /// Places of which at most so many jobs wait for one.
    pub(crate) fn new(queue: usize) -> Self {
        let (waiting, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { places: Semaphore::new(AT_ONCE), waiting, queue, running }
    }

    /// Jobs that run, or wait for a thread.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// First come, first served.
    async fn take(&self) -> Result<SemaphorePermit<'_>, JobError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if ahead >= self.queue {
            return Err(JobError::QueueFull);
        }
        self.places.acquire().await.map_err(|_| JobError::QueueFull)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to be done, and for whom.
pub(crate) struct Job {
    pub(crate) template: Arc<Template>,
    /// `None` for a hook.
    pub(crate) caller: Option<Arc<Allowance>>,
    pub(crate) name: String,
    pub(crate) payload: Vec<u8>,
}

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobError {
    /// The component has no job of this name.
    Unknown(String),
    /// The job's own error.
    Failed(String),
    Trapped(String),
    CpuTime,
    Memory,
    Deadline,
    QueueFull,
}

/// The variant `error` of `jobs`.
#[derive(ComponentType, Lift, Clone, Debug)]
#[component(variant)]
enum GuestError {
    #[component(name = "unknown-job")]
    UnknownJob,
    #[component(name = "failed")]
    Failed(String),
}

type Outcome = (Result<Vec<u8>, GuestError>,);

impl Job {
    /// Runs the job to its end, or to the end of the request that it is for.
    pub(crate) async fn run(self) -> Result<Vec<u8>, JobError> {
        let Some(entry) = self.template.blueprint.jobs else {
            return Err(JobError::Unknown(self.name));
        };
        let (template, caller) = (Arc::clone(&self.template), self.caller.clone());
        let deadline = match &caller {
            // Without one, the job ends with the guest's work after its response.
            Some(caller) => caller.deadline(),
            None => Some(Instant::now() + template.request_timeout),
        };
        let running = async move {
            let _place = template.job_places.take().await?;
            self.run_away(entry, deadline).await
        };
        let in_time = async move {
            match deadline {
                None => running.await,
                Some(deadline) => {
                    timeout_at(deadline.into(), running).await.unwrap_or(Err(JobError::Deadline))
                }
            }
        };
        let given_up = async move {
            match &caller {
                Some(caller) => caller.given_up().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = given_up => Err(JobError::Deadline),
            result = in_time => result,
        }
    }

    /// On the blocking executor. The guest that waits for it is charged with nothing.
    async fn run_away(
        self,
        entry: ComponentExportIndex,
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, JobError> {
        let Self { template, caller, name, payload } = self;
        let id = caller.map_or(RequestId::NONE, |caller| caller.id);
        let allowance = template.allowance(id, deadline.unwrap_or_else(Instant::now));
        if deadline.is_none() {
            allowance.answered();
        }
        let (ours, request, job) = (Arc::clone(&template), Arc::clone(&allowance), name.clone());
        let run = async move {
            let _running = Counted::new(&ours.job_places.running);
            let mut instance = ours.instantiate(Some(request)).await?;
            instance.store.data_mut().is_job = true;
            let called = instance.call::<_, Outcome>(entry, (job, payload)).await;
            called
                .map(|(outcome,)| outcome)
                .map_err(|error| Fault::from_call(&error, instance.store.data().limiter.refused()))
        };
        let outcome = errand(&template, &template.job_site, Some(allowance), run).await?;
        outcome.map_err(|error| match error {
            GuestError::UnknownJob => JobError::Unknown(name),
            GuestError::Failed(why) => JobError::Failed(why),
        })
    }
}

impl From<Fault> for JobError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::CpuTime(_) => Self::CpuTime,
            Fault::Deadline => Self::Deadline,
            Fault::MemoryLimit => Self::Memory,
            Fault::NoCapacity(_)
            | Fault::NoRoom(_)
            | Fault::NoThread
            | Fault::QueueFull
            | Fault::MemoryBudget => Self::QueueFull,
            other => Self::Trapped(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn jobs_beyond_the_places_wait_and_those_beyond_the_queue_do_not() {
        let places = JobPlaces::new(1);
        let mut taken: Vec<_> =
            (0..AT_ONCE).map(|_| places.take().now_or_never().expect("a place")).collect();
        let mut waits = Box::pin(places.take());
        assert!(waits.as_mut().now_or_never().is_none());
        let refused = places.take().now_or_never().expect("an answer");
        assert_eq!(refused.err(), Some(JobError::QueueFull));
        taken.pop();
        assert!(waits.now_or_never().is_some());
        assert_eq!(places.waiting.load(Ordering::Relaxed), 0);
    }
}
