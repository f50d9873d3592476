//! Where wasi:http hands an outgoing request over.

use std::sync::Arc;

use http::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use super::Outbound;

type Io = Box<dyn Future<Output = Result<()>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Io)>> + Send>;

/// The outgoing side of one store.
pub(crate) struct Hooks {
    route: Arc<str>,
    outbound: Arc<Outbound>,
}

impl Hooks {
    pub(crate) fn new(route: Arc<str>, outbound: Arc<Outbound>) -> Self {
        Self { route, outbound }
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
        Box::new(async move {
            let response = outbound.send(&route, request, options.unwrap_or_default()).await?;
            // The connection is driven by the pool, so there is no I/O left to do here.
            let io: Io = Box::new(std::future::ready(Ok::<(), Error>(())));
            Ok((response, io))
        })
    }
}
