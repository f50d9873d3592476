//! From a request to a guest and back.

use http::{Request, Response};
use http_body_util::{BodyExt as _, combinators::MapErr};
use remuda_control::InstanceCounts;
use remuda_engine::{BodyError, Fault, GuestBody, Program, RequestId, Usage};
use remuda_http::{Failure, Handler, Permit, Rejection, RequestBody, RequestBodyError, Ticket};

/// The programs of all routes, in the order of the configuration.
pub(crate) struct Programs {
    routes: Vec<Program>,
}

impl Programs {
    pub(crate) fn new(routes: Vec<Program>) -> Self {
        Self { routes }
    }

    /// Instances of each route.
    pub(crate) fn instance_counts(&self) -> Vec<InstanceCounts> {
        let counts = self.routes.iter().map(Program::instance_counts);
        let count = |number: usize| number as u64;
        counts
            .map(|counts| InstanceCounts { busy: count(counts.busy), idle: count(counts.idle) })
            .collect()
    }

    /// What the guests of each route have used.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        self.routes.iter().map(Program::usage).collect()
    }

    /// Requests that have a place and wait for room for their instance.
    pub(crate) fn waiting(&self) -> usize {
        self.routes.iter().map(Program::waiting).sum()
    }

    /// Retires all idle instances; no request will come.
    pub(crate) fn close(&self) {
        for program in &self.routes {
            program.close();
        }
    }

    /// Retires instances that nobody has needed for a while.
    pub(crate) fn sweep(&self) {
        for program in &self.routes {
            program.sweep();
        }
    }
}

/// Lets the server own the programs together with the sweeper.
pub(crate) struct Guests(pub(crate) std::sync::Arc<Programs>);

impl Handler for Guests {
    type Body = MapErr<GuestBody<Permit>, fn(Fault) -> Failure>;

    async fn handle(
        &self,
        request: Request<RequestBody>,
        ticket: Ticket,
    ) -> Result<Response<Self::Body>, Failure> {
        let Ticket { route, id, deadline, permit } = ticket;
        let request = request.map(|body| body.map_err(to_guest));
        let call = self.0.routes[route].call(request, RequestId(id), deadline, permit);
        let response = call.await.map_err(failure)?;
        Ok(response.map(|body| body.map_err(failure as fn(_) -> _)))
    }
}

/// How a guest hears that its request's body has broken off.
fn to_guest(error: RequestBodyError) -> BodyError {
    match error {
        RequestBodyError::TooLarge => BodyError::HttpRequestBodySize(None),
        RequestBodyError::Stalled => BodyError::ConnectionReadTimeout,
        RequestBodyError::Connection(error) if error.is_incomplete_message() => {
            BodyError::ConnectionTerminated
        }
        RequestBodyError::Connection(_) => BodyError::HttpProtocolError,
    }
}

fn failure(fault: Fault) -> Failure {
    Failure { rejection: to_client(&fault), detail: fault.to_string() }
}

/// How a client hears that the guest has failed.
fn to_client(fault: &Fault) -> Rejection {
    match fault {
        Fault::Trap(_) | Fault::Exit(_) => Rejection::GuestTrap,
        Fault::NoResponse
        | Fault::ErrorCode(_)
        | Fault::InvalidResponse(_)
        | Fault::Startup(_)
        | Fault::Instantiate(_) => Rejection::GuestError,
        Fault::MemoryLimit => Rejection::MemoryLimit,
        Fault::MemoryBudget => Rejection::MemoryBudget,
        Fault::CpuTime(_) => Rejection::CpuTime,
        Fault::Deadline => Rejection::Deadline,
        // It has waited in vain as for a place.
        Fault::NoCapacity(_) | Fault::NoRoom(_) | Fault::Crowded(_) => Rejection::QueueTimeout,
        Fault::NoThread | Fault::QueueFull => Rejection::QueueFull,
    }
}
