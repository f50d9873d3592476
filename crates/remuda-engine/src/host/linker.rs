//! Which host functions a component finds.

use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use super::{HostState, attribution, client, fields, offload, pollables};
use crate::settings::EngineKind;

/// All host functions that components of this kind may import.
///
/// Everything of WASI is there, so that whatever is built with a plain standard library
/// runs; what a guest may do with it is decided by its [`super::Grants`].
pub(crate) fn linker(engine: &Engine, kind: EngineKind) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if kind == EngineKind::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        attribution::add_to_linker(&mut linker)?;
        client::add_to_linker(&mut linker)?;
    }
    offload::add_to_linker(&mut linker, kind)?;
    fields::add_to_linker(&mut linker, kind)?;
    pollables::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Checks that the host has everything that `component` imports.
pub(crate) fn check_imports(
    engine: &Engine,
    kind: EngineKind,
    component: &Component,
) -> wasmtime::Result<()> {
    linker(engine, kind)?.instantiate_pre(component)?;
    Ok(())
}
