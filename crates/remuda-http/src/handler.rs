//! Whoever answers requests.

use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use crate::{Permit, Rejection, RequestBody};

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What the client is answered, or would have been, had the response not begun.
    pub rejection: Rejection,
    /// For the log.
    pub detail: String,
}

/// Answers the requests that have been admitted.
pub trait Handler: Send + Sync + 'static {
    /// The body of an answer. It ends what it belongs to when it is dropped.
    type Body: Body<Data = Bytes, Error = Failure> + Send + Unpin + 'static;

    /// Answers `request`, whose URI is absolute.
    ///
    /// The ticket's permit must be held until all work for the request has ended, the
    /// response body included. Dropping the future gives the request up.
    fn handle(
        &self,
        request: Request<RequestBody>,
        ticket: Ticket,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>> + Send;
}

/// What a request has been given on its way in.
#[derive(Debug)]
pub struct Ticket {
    /// Index into the configured routes.
    pub route: usize,
    /// Names the request in logs.
    pub id: u64,
    /// When the response head must be there; what comes later is not wanted.
    pub deadline: Instant,
    pub permit: Permit,
}
