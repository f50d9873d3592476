//! Requests, jobs and offloaded work: between what the server calls and what an author has written.

use http::Method;
use wasip3::http::types::{ErrorCode, Request as WasiRequest, Response as WasiResponse};

use super::{
    bindings::{
        jobs::exports::remuda::runtime::jobs, offloading::remuda::runtime::offload as host,
    },
    incoming::Incoming,
    outgoing,
};
use crate::{
    Error, Handler, OffloadError, Request, Result, Router,
    job::{Job, fits},
};

/// Answers a request with a function.
pub async fn serve<H, M>(request: WasiRequest, handler: &H) -> Result<WasiResponse, ErrorCode>
where
    H: Handler<M>,
{
    crate::log::install();
    let request = Request::from_host(Incoming::request(request));
    let response = handler.call(request, &()).await;
    Ok(outgoing::response(response))
}

thread_local! {
    /// What `#[handler]` made of this instance's only function that makes a router.
    static APP: std::cell::OnceCell<&'static Router> = const { std::cell::OnceCell::new() };
}

/// Answers a request with the router that this function makes once.
pub async fn serve_app(
    request: WasiRequest,
    app: fn() -> Router,
) -> Result<WasiResponse, ErrorCode> {
    // The log comes first, for what `app` may have to say.
    crate::log::install();
    let router = APP.with(|cell| *cell.get_or_init(|| Box::leak(Box::new(app()))));
    serve(request, &router).await
}

/// Runs a job that was offloaded to this instance.
pub async fn run_job<J: Job>(payload: Vec<u8>) -> Result<Vec<u8>, jobs::Error> {
    crate::log::install();
    let result = J::run(payload).await.and_then(fits);
    result.map_err(|error| jobs::Error::Failed(error.into_wire()))
}

pub(crate) async fn offload(job: &str, payload: Vec<u8>) -> Result<Vec<u8>> {
    let result = host::run_async(job.to_owned(), payload).await;
    result.map_err(|error| match error {
        host::Error::Failed(error) => Error::from_wire(&error),
        host::Error::UnknownJob(name) => OffloadError::Unknown(name).into(),
        host::Error::Trapped(why) => OffloadError::Trapped(why).into(),
        host::Error::CpuTime => OffloadError::CpuTime.into(),
        host::Error::Memory => OffloadError::Memory.into(),
        host::Error::Deadline => OffloadError::Deadline.into(),
        host::Error::QueueFull => OffloadError::QueueFull.into(),
        host::Error::Nested => OffloadError::Nested.into(),
    })
}

/// How `wasi:http` and the crate `http` name methods.
pub(super) fn method_from_host(method: wasip3::http::types::Method) -> Method {
    use wasip3::http::types::Method as M;
    match method {
        M::Get => Method::GET,
        M::Head => Method::HEAD,
        M::Post => Method::POST,
        M::Put => Method::PUT,
        M::Delete => Method::DELETE,
        M::Connect => Method::CONNECT,
        M::Options => Method::OPTIONS,
        M::Trace => Method::TRACE,
        M::Patch => Method::PATCH,
        // The server has parsed it.
        M::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or_default(),
    }
}

pub(super) fn method_to_host(method: &Method) -> wasip3::http::types::Method {
    use wasip3::http::types::Method as M;
    match *method {
        Method::GET => M::Get,
        Method::HEAD => M::Head,
        Method::POST => M::Post,
        Method::PUT => M::Put,
        Method::DELETE => M::Delete,
        Method::CONNECT => M::Connect,
        Method::OPTIONS => M::Options,
        Method::TRACE => M::Trace,
        Method::PATCH => M::Patch,
        _ => M::Other(method.as_str().to_owned()),
    }
}
