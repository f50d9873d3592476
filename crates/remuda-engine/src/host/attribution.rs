//! Which request a guest works for, where one instance serves several at once.
//!
//! Purpose: CPU time is charged to the request that used it, and a line that a guest prints carries the id of the request whose task printed
//! it. A stream does not know who writes to it, so the two functions through which
//! standard libraries write are replaced by ones that look at the guest's call stack
//! first. Invariant: apart from that they do what the originals do.

use std::sync::Arc;

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::p2::{
    DynOutputStream, StreamResult,
    bindings::io::streams::{Host as _, HostOutputStream as _, StreamError},
};

use super::HostState;
use crate::call::Allowance;

/// The version that wasmtime's own linker registers; imports of every 0.2 version
/// resolve to it.
const STREAMS: &str = "wasi:io/streams@0.2.12";

type Written = wasmtime::Result<(Result<(), StreamError>,)>;

/// Replaces the functions. The linker must already have the originals.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut streams = linker.instance(STREAMS)?;
    streams.func_wrap(
        "[method]output-stream.write",
        |mut store: StoreContextMut<'_, HostState>,
         (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)|
         -> Written {
            attribute(&mut store)?;
            let table = &mut store.data_mut().table;
            let result = table.write(stream, bytes);
            written(table, result)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: StoreContextMut<'_, HostState>,
         (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            Box::new(async move {
                attribute(&mut store)?;
                let table = &mut store.data_mut().table;
                let result = table.blocking_write_and_flush(stream, bytes).await;
                written(table, result)
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The request that the guest's current task works for, where it is one of several.
pub(crate) fn asking(
    store: &mut StoreContextMut<'_, HostState>,
) -> wasmtime::Result<Option<Arc<Allowance>>> {
    // Engines without concurrent tasks have no such stack, and whoever works for nobody needs none.
    if !store.data().has_tasks() {
        return Ok(None);
    }
    let outermost = store.async_call_stack()?.last();
    Ok(outermost.and_then(|task| store.data().request_of(task).cloned()))
}

fn attribute(store: &mut StoreContextMut<'_, HostState>) -> wasmtime::Result<()> {
    let request = asking(store)?.map(|request| request.id);
    store.data().speak_for(request);
    Ok(())
}

fn written(table: &mut wasmtime::component::ResourceTable, result: StreamResult<()>) -> Written {
    Ok((match result {
        Ok(()) => Ok(()),
        Err(error) => Err(table.convert_stream_error(error)?),
    },))
}
