//! An instance and how often it may be used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use remuda_config::Instances;
use wasmtime::{
    Store,
    component::{ComponentExportIndex, ComponentNamedList, Lift, Lower},
};
use wasmtime_wasi_http::handler::Proxy;

use crate::{blueprint::Parts, host::HostState, memory::Usage, room::Place};

/// A store and the component instance in it.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(super) proxy: Proxy,
    pub(crate) exports: wasmtime::component::Instance,
    /// Its `startup` has returned, and its `shutdown` has not been called.
    pub(crate) started: bool,
    pub(super) served: u64,
    pub(super) idle_since: Instant,
    /// Free after all the others are dropped.
    _place: Place,
}

impl Instance {
    pub(crate) fn new(store: Store<HostState>, parts: Parts, place: Place) -> Self {
        let (Parts { proxy, exports }, idle_since) = (parts, Instant::now());
        Self { store, proxy, exports, started: false, served: 0, idle_since, _place: place }
    }

    /// Calls an export beside the handler of requests, to its end.
    ///
    /// # Errors
    /// When it is of another type, or traps.
    pub(crate) async fn call<P, R>(
        &mut self,
        export: ComponentExportIndex,
        parameters: P,
    ) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let export = self.exports.get_typed_func::<P, R>(&mut self.store, export)?;
        export.call_async(&mut self.store, parameters).await
    }

    /// How much memory it uses.
    pub(super) fn usage(&self) -> &Arc<Usage> {
        self.store.data().limiter.usage()
    }
}

/// Counts while it lives.
pub(crate) struct Counted<C: std::ops::Deref<Target = AtomicUsize>>(C);

impl<C: std::ops::Deref<Target = AtomicUsize>> Counted<C> {
    pub(crate) fn new(counter: C) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl<C: std::ops::Deref<Target = AtomicUsize>> Drop for Counted<C> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When an instance is retired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reuse {
    pub(crate) max_requests: u64,
    pub(crate) max_concurrency: usize,
    pub(crate) idle_timeout: Duration,
}

impl From<&Instances> for Reuse {
    fn from(instances: &Instances) -> Self {
        match *instances {
            Instances::Fresh => {
                Self { max_requests: 1, max_concurrency: 1, idle_timeout: Duration::ZERO }
            }
            Instances::Reuse { max_requests, max_concurrency, idle_timeout } => {
                Self { max_requests, max_concurrency, idle_timeout }
            }
        }
    }
}

impl Reuse {
    /// Whether an instance that has served so many requests may serve another.
    pub(super) fn allows_another(self, served: u64) -> bool {
        served < self.max_requests
    }

    /// Whether an instance that is idle since `since` should go.
    pub(super) fn is_stale(self, since: Instant) -> bool {
        since.elapsed() >= self.idle_timeout
    }
}
