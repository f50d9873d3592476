//! Jobs: work for another instance of this component, off the event loop.
//!
//! Owner: `#[job]` writes a [`Job`] for each function, `#[handler(jobs(…))]` the export that runs
//! those which it lists. Invariant: a job that is not listed does not compile.

pub mod codec;

use http::StatusCode;

use crate::Result;

/// A function that `#[job]` stands before.
pub trait Job {
    /// What the server passes on: path and name.
    const NAME: &'static str;

    /// Runs it in this instance.
    fn run(payload: Vec<u8>) -> impl Future<Output = Result<Vec<u8>>>;
}

/// A job that the handler lists.
#[diagnostic::on_unimplemented(
    message = "the job `{Self}` is not listed",
    label = "no `#[handler]` lists this job",
    note = "the component runs those that its handler lists: `#[handler(jobs({Self}))]`"
)]
pub trait Listed: Job {}

/// What fits into one call of the server, in bytes: 4 MiB, less what goes with it. More than that would
/// be the end of the whole instance.
pub(crate) const MAX_PAYLOAD: usize = (4 << 20) - (4 << 10);

/// What may be handed over, or how long it is.
pub(crate) fn fits(payload: Vec<u8>) -> Result<Vec<u8>> {
    match payload.len() {
        length if length > MAX_PAYLOAD => Err(OffloadError::TooLarge(length).into()),
        _ => Ok(payload),
    }
}

/// Runs a job elsewhere: in a guest, in an instance of its own; in a test, in place.
///
/// # Errors
/// What the job returned, or an [`OffloadError`].
pub async fn offload<J: Listed>(payload: Vec<u8>) -> Result<Vec<u8>> {
    let payload = fits(payload)?;
    #[cfg(target_family = "wasm")]
    return crate::guest::offload(J::NAME, payload).await;
    #[cfg(not(target_family = "wasm"))]
    J::run(payload)
        .await
        .and_then(fits)
        .map_err(|error| crate::Error::from_wire(&error.into_wire()))
}

/// Why a job has no result, where that is not for an error of its own.
///
/// It becomes an [`Error`](crate::Error) with a status for the client: 503 with `Retry-After` when there is no room
/// for the job, 504 when it took too long, else 500.
///
/// ```
/// use remuda_sdk::{Error, OffloadError};
///
/// let error = Error::from(OffloadError::QueueFull);
/// assert_eq!(error.status(), 503);
/// assert!(matches!(error.downcast_ref(), Some(OffloadError::QueueFull)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OffloadError {
    /// The component runs no job of this name.
    #[error("failed to offload {0}: there is no such job")]
    Unknown(String),
    /// The arguments or the result have so many bytes, which is more than 4 MiB.
    #[error(
        "failed to offload a job: {0} bytes are too many, 4 MiB are the most; use smaller pieces"
    )]
    TooLarge(usize),
    /// The job's instance ended instead of returning.
    #[error("failed to finish a job: {0}")]
    Trapped(String),
    /// It used up `limits.cpu_time`.
    #[error("failed to finish a job within `limits.cpu_time`")]
    CpuTime,
    /// It needed more than `limits.memory`.
    #[error("failed to finish a job within `limits.memory`")]
    Memory,
    /// The request's deadline passed.
    #[error("failed to finish a job by the deadline of its request")]
    Deadline,
    /// As many jobs as may wait do so.
    #[error("failed to offload a job: as many as may wait do so (`workers.blocking_queue`)")]
    QueueFull,
    /// A job wanted to run a job.
    #[error("failed to offload a job: a job cannot run jobs; call the function itself")]
    Nested,
}

impl OffloadError {
    /// What the client reads.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::CpuTime | Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
