//! The outgoing side of `wasi:http` 0.3, which must know who asks.
//!
//! Purpose: an outgoing request ends with the request that a guest makes it for, also
//! where the instance goes on with others. The host function that sends is replaced by
//! one that looks at the guest's call stack first. Invariant: apart from that it does what
//! the original does.

use wasmtime::{
    AsContextMut as _,
    component::{Accessor, Linker, Resource},
};
use wasmtime_wasi_http::{
    WasiHttp, WasiHttpView as _,
    p3::{
        Request, Response,
        bindings::http::{client::HostWithStore, types::ErrorCode},
    },
};

use super::{HostState, asking};

/// As wasmtime's own linker registers it.
const CLIENT: &str = "wasi:http/client@0.3.0";

type Sent = wasmtime::Result<(Result<Resource<Response>, ErrorCode>,)>;

/// Replaces the function. The linker must already have the original.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker
        .instance(CLIENT)?
        .func_wrap_concurrent("send", |accessor, (request,)| Box::pin(send(accessor, request)))?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn send(accessor: &Accessor<HostState>, request: Resource<Request>) -> Sent {
    accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let asking = asking(&mut store)?;
        // The original hands the request to the hooks before it first waits.
        store.data_mut().hooks.send_for(asking);
        wasmtime::error::Ok(())
    })?;
    let http = accessor.with_getter::<WasiHttp>(HostState::http);
    let sent = <WasiHttp as HostWithStore<HostState>>::send(&http, request).await;
    Ok((match sent {
        Ok(response) => Ok(response),
        Err(error) => Err(error.downcast()?),
    },))
}
