//! Where wasi:http hands an outgoing request over.

use std::sync::Arc;

use http::{Request, Response};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use super::Outbound;
use crate::{call::Allowance, host::Grants};

/// Outgoing requests of one instance that may be under way at the same time, until their
/// responses have been read.
const MAX_UNDER_WAY: usize = 128;

/// The same for each request that an instance may serve at the same time with others, where
/// that is more.
const UNDER_WAY_PER_REQUEST: usize = 16;

/// Bytes of a body that the host takes from a guest before somebody has taken them from the
/// host: one write.
const BODY_CHUNK: usize = 16 << 10;

/// The same for 0.3, where it is taken only when somebody wants it.
const BODY_CHUNK_03: usize = 64 << 10;

type Io = Box<dyn Future<Output = Result<()>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Io)>> + Send>;

/// The outgoing side of one store.
pub(crate) struct Hooks {
    route: Arc<str>,
    outbound: Arc<Outbound>,
    /// For whom the next request is sent, where the guest works for several at once.
    next: Option<Arc<Allowance>>,
    max_under_way: usize,
    /// Made for the first request.
    places: Option<Arc<Semaphore>>,
}

impl Hooks {
    pub(crate) fn new(grants: &Grants) -> Self {
        let (route, outbound) = (Arc::clone(&grants.route), Arc::clone(&grants.outbound));
        let max = MAX_UNDER_WAY.max(UNDER_WAY_PER_REQUEST.saturating_mul(grants.max_concurrency));
        Self { route, outbound, next: None, max_under_way: max, places: None }
    }

    /// The next request goes out on behalf of this one, and ends with it.
    pub(crate) fn send_for(&mut self, request: Option<Arc<Allowance>>) {
        self.next = request;
    }
}

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_03
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // How the guest fared with the response; nobody upstream wants to know.
        _processed: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Sending {
        let (route, outbound) = (Arc::clone(&self.route), Arc::clone(&self.outbound));
        let on_behalf = self.next.take();
        let max = self.max_under_way.min(Semaphore::MAX_PERMITS);
        let places = self.places.get_or_insert_with(|| Arc::new(Semaphore::new(max)));
        let place = Arc::clone(places).try_acquire_owned();
        Box::new(async move {
            let place = place.map_err(|_| Error::ConnectionLimitReached)?;
            let sending = outbound.send(&route, request, options.unwrap_or_default(), place);
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
