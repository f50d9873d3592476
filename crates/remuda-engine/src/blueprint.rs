//! What all instances of a component are made from.
//!
//! Purpose: whatever can be looked up once is not looked up for every instance: how the
//! component takes requests, and what it exports of `remuda:runtime` (see `wit/`). Owner:
//! [`crate::program::Template`]. Invariant: a component that exports nothing of
//! `remuda:runtime` costs nothing for it.

use wasmtime::{
    Store,
    component::{ComponentExportIndex, InstancePre},
};
use wasmtime_wasi_http::{
    handler::Proxy, p2::bindings::ProxyIndices, p3::bindings::ServiceIndices,
};

use crate::{component::HandlerWorld, host::HostState};

const JOBS: &str = "remuda:runtime/jobs@0.1.0";
const LIFECYCLE: &str = "remuda:runtime/lifecycle@0.1.0";

pub(crate) struct Blueprint {
    pre: InstancePre<HostState>,
    handler: Handler,
    pub(crate) hooks: Option<Hooks>,
    /// What runs jobs.
    pub(crate) jobs: Option<ComponentExportIndex>,
}

/// Where requests go in.
enum Handler {
    Http02(ProxyIndices),
    Http03(ServiceIndices),
}

/// What is called before the first request and after the last one.
#[derive(Clone, Copy)]
pub(crate) struct Hooks {
    pub(crate) startup: ComponentExportIndex,
    pub(crate) shutdown: ComponentExportIndex,
}

/// What an instance gives to its host.
pub(crate) struct Parts {
    pub(crate) proxy: Proxy,
    pub(crate) exports: wasmtime::component::Instance,
}

impl Blueprint {
    /// # Errors
    /// When the component takes no requests.
    pub(crate) fn new(pre: InstancePre<HostState>) -> wasmtime::Result<Self> {
        let handler = match ServiceIndices::new(&pre) {
            Ok(indices) => Handler::Http03(indices),
            Err(_) => Handler::Http02(ProxyIndices::new(&pre)?),
        };
        let hooks = Hooks::find(&pre);
        let component = pre.component();
        let jobs = component
            .get_export_index(None, JOBS)
            .and_then(|jobs| component.get_export_index(Some(&jobs), "run"));
        Ok(Self { pre, handler, hooks, jobs })
    }

    pub(crate) fn handler(&self) -> HandlerWorld {
        match self.handler {
            Handler::Http02(_) => HandlerWorld::Http02,
            Handler::Http03(_) => HandlerWorld::Http03,
        }
    }

    /// Makes an instance in `store`.
    pub(crate) async fn build(&self, store: &mut Store<HostState>) -> wasmtime::Result<Parts> {
        let exports = self.pre.instantiate_async(&mut *store).await?;
        let proxy = match &self.handler {
            Handler::Http02(indices) => Proxy::P2(indices.load(store, &exports)?),
            Handler::Http03(indices) => Proxy::P3(indices.load(store, &exports)?),
        };
        Ok(Parts { proxy, exports })
    }
}

impl Hooks {
    fn find(pre: &InstancePre<HostState>) -> Option<Self> {
        let component = pre.component();
        let lifecycle = component.get_export_index(None, LIFECYCLE)?;
        let find = |name| component.get_export_index(Some(&lifecycle), name);
        Some(Self { startup: find("startup")?, shutdown: find("shutdown")? })
    }
}
