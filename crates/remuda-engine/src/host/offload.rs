//! `remuda:runtime/offload`: guests have jobs run.
//!
//! Purpose: the host functions behind `run` and `run-async` (see `wit/offload.wit`); what
//! they do is in [`crate::jobs`]. Invariant: neither holds up the event loop; the first waits in
//! its guest's fiber, the second beside the guest's other tasks.

use std::sync::Arc;

use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{Accessor, ComponentType, Linker, Lower},
};

use super::{HostState, asking};
use crate::{
    jobs::{Job, JobError},
    settings::EngineKind,
};

const OFFLOAD: &str = "remuda:runtime/offload@0.1.0";

/// The variant `error` of the interface.
#[derive(ComponentType, Lower, Clone, Debug, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum OffloadError {
    #[component(name = "unknown-job")]
    UnknownJob(String),
    #[component(name = "failed")]
    Failed(String),
    #[component(name = "trapped")]
    Trapped(String),
    #[component(name = "cpu-time")]
    CpuTime,
    #[component(name = "memory")]
    Memory,
    #[component(name = "deadline")]
    Deadline,
    #[component(name = "queue-full")]
    QueueFull,
    #[component(name = "nested")]
    Nested,
}

type Answer = wasmtime::Result<(Result<Vec<u8>, OffloadError>,)>;

/// Adds `run`, and `run-async` where there are guests that can await.
pub(super) fn add_to_linker(
    linker: &mut Linker<HostState>,
    kind: EngineKind,
) -> wasmtime::Result<()> {
    let mut offload = linker.instance(OFFLOAD)?;
    offload.func_wrap_async("run", |mut store, (name, payload): (String, Vec<u8>)| {
        Box::new(async move {
            let job = prepare(&mut store, name, payload)?;
            Ok((finish(job).await,))
        })
    })?;
    if kind == EngineKind::Concurrent {
        offload.func_wrap_concurrent("run-async", |accessor, (name, payload)| {
            Box::pin(run_async(accessor, name, payload))
        })?;
    }
    Ok(())
}

async fn run_async(accessor: &Accessor<HostState>, name: String, payload: Vec<u8>) -> Answer {
    let job = accessor.with(|mut access| prepare(&mut access.as_context_mut(), name, payload))?;
    Ok((finish(job).await,))
}

/// The job, for the request that the guest's current task works for.
fn prepare(
    store: &mut StoreContextMut<'_, HostState>,
    name: String,
    payload: Vec<u8>,
) -> wasmtime::Result<Result<Job, OffloadError>> {
    let asking = asking(store)?;
    let state = store.data();
    let caller = asking.or_else(|| state.request().map(Arc::clone));
    if state.is_job {
        return Ok(Err(OffloadError::Nested));
    }
    Ok(match state.template.upgrade() {
        Some(template) => Ok(Job { template, caller, name, payload }),
        // Its route has gone, and the guest is about to.
        None => Err(OffloadError::Deadline),
    })
}

async fn finish(job: Result<Job, OffloadError>) -> Result<Vec<u8>, OffloadError> {
    job?.run().await.map_err(OffloadError::from)
}

impl From<JobError> for OffloadError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Unknown(name) => Self::UnknownJob(name),
            JobError::Failed(why) => Self::Failed(why),
            JobError::Trapped(why) => Self::Trapped(why),
            JobError::CpuTime => Self::CpuTime,
            JobError::Memory => Self::Memory,
            JobError::Deadline => Self::Deadline,
            JobError::QueueFull => Self::QueueFull,
        }
    }
}
