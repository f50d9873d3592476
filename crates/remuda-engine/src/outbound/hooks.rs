//! Where wasi:http hands an outgoing request over.

use std::sync::Arc;

use http::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use super::Outbound;
use crate::call::Allowance;

type Io = Box<dyn Future<Output = Result<()>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Io)>> + Send>;

/// The outgoing side of one store.
pub(crate) struct Hooks {
    route: Arc<str>,
    outbound: Arc<Outbound>,
    /// For whom the next request is sent, where the guest works for several at once.
    next: Option<Arc<Allowance>>,
}

impl Hooks {
    pub(crate) fn new(route: Arc<str>, outbound: Arc<Outbound>) -> Self {
        Self { route, outbound, next: None }
    }

    /// The next request goes out on behalf of this one, and ends with it.
    pub(crate) fn send_for(&mut self, request: Option<Arc<Allowance>>) {
        self.next = request;
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // How the guest fared with the response; nobody upstream wants to know.
        _processed: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Sending {
        let (route, outbound) = (Arc::clone(&self.route), Arc::clone(&self.outbound));
        let on_behalf = self.next.take();
        Box::new(async move {
            let sending = outbound.send(&route, request, options.unwrap_or_default());
            let response = match on_behalf {
                None => sending.await?,
                Some(request) => tokio::select! {
                    biased;
                    () = request.given_up() => return Err(Error::ConnectionTerminated),
                    response = sending => response?,
                },
            };
            // The connection is driven by the pool, so there is no I/O left to do here.
            let io: Io = Box::new(std::future::ready(Ok::<(), Error>(())));
            Ok((response, io))
        })
    }
}
