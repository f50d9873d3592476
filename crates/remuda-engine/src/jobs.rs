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

/// How a job has ended.
#[derive(Debug)]
pub struct JobEnd<'a> {
    /// The name of the route.
    pub route: &'a str,
    /// The request that it was for.
    pub request: RequestId,
    /// Its name, as the guest said it.
    pub job: &'a str,
    /// Why it has no result, if it has none.
    pub error: Option<&'a JobError>,
}

/// Why a job has no result. `Display` is for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The component has no job of this name.
    #[error("the component has no such job")]
    Unknown(String),
    /// The job's own error.
    #[error("it returned an error")]
    Failed(String),
    #[error("{0}")]
    Trapped(String),
    #[error("it used more CPU than limits.cpu_time and was ended")]
    CpuTime,
    /// It, or all guests together, needed more than there is.
    #[error("it ended after it was refused memory, by limits.memory or workers.memory")]
    Memory,
    #[error("the deadline of its request has passed, or its client has gone")]
    Deadline,
    #[error("as many jobs as may wait do so, or there is no room for one more instance")]
    QueueFull,
}

impl JobError {
    /// Its name in figures.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_job",
            Self::Failed(_) => "failed",
            Self::Trapped(_) => "trapped",
            Self::CpuTime => "cpu_time",
            Self::Memory => "memory",
            Self::Deadline => "deadline",
            Self::QueueFull => "queue_full",
        }
    }
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
    /// Runs the job to its end, or to the end of the request that it is for, and tells how it
    /// has ended.
    pub(crate) async fn run(self) -> Result<Vec<u8>, JobError> {
        let (template, name) = (Arc::clone(&self.template), self.name.clone());
        let request = self.caller.as_ref().map_or(RequestId::NONE, |caller| caller.id);
        let result = self.run_silently().await;
        let error = result.as_ref().err();
        template.engine.job_ended(&JobEnd { route: template.route(), request, job: &name, error });
        result
    }

    async fn run_silently(self) -> Result<Vec<u8>, JobError> {
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
            called.map(|(outcome,)| outcome).map_err(|error| {
                match Fault::from_call(&error, instance.store.data().limiter.refused()) {
                    // There was room for it, which it has outgrown.
                    Fault::MemoryBudget => Fault::MemoryLimit,
                    fault => fault,
                }
            })
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
            | Fault::Crowded(_)
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
