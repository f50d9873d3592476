//! The guest's side of a call, for both worlds.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker, ready},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response, uri::Scheme};
use http_body::Body;
use wasmtime::{
    AsContextMut as _, Store,
    component::{Accessor, HasSelf},
};
use wasmtime_wasi_http::{
    Error, FieldMap, WasiBody, WasiHttpView as _,
    p2::bindings::{Proxy, http::types as p2},
    p3::{self, bindings::Service},
};

use super::Allowance;
use crate::{Fault, host::HostState};

/// What a guest and whoever polls it tell each other: the guest leaves its response
/// head, the other one says when it has all of the body.
#[derive(Clone, Default)]
pub(super) struct HeadSlot(Arc<Slot>);

#[derive(Default)]
struct Slot {
    head: Mutex<Option<Head>>,
    /// Why the guest has failed.
    fault: OnceLock<Fault>,
    body_ended: AtomicBool,
    /// Waits for the head of a guest that another thread polls.
    reader: AtomicWaker,
}

/// A response with a body that the guest may still be writing, or the reason for none.
pub(super) type Head = Result<Response<WasiBody>, Fault>;

impl HeadSlot {
    pub(super) fn put(&self, head: Head) {
        *self.0.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        self.0.reader.wake();
    }

    /// The guest has failed. Said before anything of it goes: on another thread somebody may
    /// see its body end.
    pub(super) fn fail(&self, fault: &Fault) {
        let _ = self.0.fault.set(fault.clone());
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        self.0.fault.get()
    }

    /// Has whoever polls the guest woken when the head is there.
    pub(super) fn wake_with(&self, waker: &Waker) {
        self.0.reader.register(waker);
    }

    pub(super) fn take(&self) -> Option<Head> {
        self.0.head.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The whole body has been read, or nobody wants the rest.
    pub(super) fn body_has_ended(&self) {
        self.0.body_ended.store(true, Ordering::Relaxed);
    }

    fn has_body_ended(&self) -> bool {
        self.0.body_ended.load(Ordering::Relaxed)
    }
}

/// Runs a 0.3 handler to its end, and the store as long as it takes to move the body out
/// of it: that is done by the store's event loop, after the guest's task has ended.
pub(super) async fn run_03_to_end<B>(
    accessor: &Accessor<HostState, HasSelf<HostState>>,
    service: &Service,
    request: Request<B>,
    allowance: Arc<Allowance>,
    slot: HeadSlot,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let head = run_03(accessor, service, request, allowance).await?;
    if head.is_err() {
        slot.body_has_ended();
    }
    slot.put(head);
    std::future::poll_fn(|cx| {
        ready!(accessor.poll_no_interesting_tasks(cx));
        // Whoever reads the body polls this future once more after its end.
        if slot.has_body_ended() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    Ok(())
}

/// Runs a 0.2 handler to its end.
pub(super) async fn run_02<B>(
    store: &mut Store<HostState>,
    proxy: &Proxy,
    request: Request<B>,
    slot: HeadSlot,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let https = request.uri().scheme() == Some(&Scheme::HTTPS);
    let scheme = if https { p2::Scheme::Https } else { p2::Scheme::Http };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let outparam = http.new_response_outparam_from_callback(move |outcome| {
        slot.put(outcome.map_err(|code| Fault::ErrorCode(code_name(&code))));
    })?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, outparam).await
}

/// Runs a 0.3 handler until it returns its response, whose body may be unfinished.
pub(super) async fn run_03<B>(
    accessor: &Accessor<HostState, HasSelf<HostState>>,
    service: &Service,
    request: Request<B>,
    allowance: Arc<Allowance>,
) -> wasmtime::Result<Head>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
{
    let handle = service.wasi_http_handler().func_handle();
    let (call, request_io) = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let state = store.data_mut();
        let (parts, body) = request.into_parts();
        let headers = FieldMap::new_immutable(&mut state.hooks, parts.headers);
        let uri = parts.uri.into_parts();
        let (request, request_io) = p3::Request::new(
            parts.method,
            uri.scheme,
            uri.authority,
            uri.path_and_query,
            headers,
            None,
            body,
        );
        let request = state.table.push(request)?;
        let call = handle.start_call_concurrent(&mut store, (request,))?;
        store.data_mut().begin(call.task(), allowance);
        wasmtime::error::Ok((call, request_io))
    })?;
    let (outcome,) = handle.finish_call_concurrent(accessor, call).await?;
    match outcome {
        Err(code) => Ok(Err(Fault::ErrorCode(code_name(&code)))),
        Ok(response) => accessor.with(|mut access| {
            let mut store = access.as_context_mut();
            let response = store.data_mut().table.delete(response)?;
            let converted = response.into_http(&mut store, request_io);
            Ok(converted.map_err(|error| Fault::InvalidResponse(format!("{error:#}"))))
        }),
    }
}

/// The name of an error code, without the module path of its type.
fn code_name(code: &impl std::fmt::Debug) -> String {
    format!("{code:?}").trim_start_matches("ErrorCode::").to_owned()
}
