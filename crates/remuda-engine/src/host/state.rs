//! The host's side of one store.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    fields,
    limiter::Limiter,
    pollables,
    stdio::{GuestOutput, Speaker, Stream},
};
use crate::{
    call::Allowance,
    memory::Account,
    outbound::{Hooks, Outbound},
    program::{RequestId, Template},
};

/// Things of the host's that one instance may have at the same time: requests, fields, bodies,
/// streams, timers. A request needs about ten.
const MAX_RESOURCES: usize = 1024;

/// The same for each request that an instance may serve at the same time with others.
const RESOURCES_PER_REQUEST: usize = 64;

/// What a route grants to its guests; shared by all their stores.
pub(crate) struct Grants {
    /// What makes instances of the same component, for jobs.
    pub(crate) template: Weak<Template>,
    pub(crate) route: Arc<str>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) mounts: Vec<remuda_config::Mount>,
    /// Bytes of all memories and tables of one instance.
    pub(crate) memory: u64,
    pub(crate) outbound: Arc<Outbound>,
    /// Requests that an instance serves at the same time.
    pub(crate) max_concurrency: usize,
}

/// The data of a store.
pub(crate) struct HostState {
    pub(crate) table: ResourceTable,
    /// Places that the table has got beyond its first ones.
    pub(super) places: usize,
    pub(super) wasi: WasiCtx,
    pub(super) http: WasiHttpCtx,
    pub(crate) hooks: Hooks,
    pub(crate) limiter: Limiter,
    /// Makes instances of the same component.
    pub(super) template: Weak<Template>,
    /// The instance runs a job, and may not have another one run.
    pub(crate) is_job: bool,
    speaker: Arc<Speaker>,
    /// The one request that the guest works for, if it is only one.
    request: Option<Arc<Allowance>>,
    /// Which request each guest task belongs to, where several run at once.
    tasks: HashMap<GuestTaskId, Arc<Allowance>>,
}

impl HostState {
    /// Opens what `grants` allows.
    ///
    /// # Errors
    /// When a mounted folder cannot be opened.
    pub(crate) fn new(grants: &Grants, account: Account) -> wasmtime::Result<Self> {
        let speaker = Arc::new(Speaker::new(Arc::clone(&grants.route)));
        let output = |stream| GuestOutput { speaker: Arc::clone(&speaker), stream };
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output(Stream::Stdout)).stderr(output(Stream::Stderr)).envs(&grants.env);
        for mount in &grants.mounts {
            let permissions = if mount.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&mount.host, &mount.guest, permissions)?;
        }
        let mut table = ResourceTable::new();
        let others = RESOURCES_PER_REQUEST.saturating_mul(grants.max_concurrency);
        table.set_max_capacity(MAX_RESOURCES.saturating_add(others));
        Ok(Self {
            table,
            places: 0,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks::new(grants),
            limiter: Limiter::new(account),
            template: Weak::clone(&grants.template),
            is_job: false,
            speaker,
            request: None,
            tasks: HashMap::new(),
        })
    }

    /// From now on the guest works for this request, or for nobody.
    pub(crate) fn work_for(&mut self, request: Option<Arc<Allowance>>) {
        self.speak_for(request.as_ref().map(|request| request.id));
        self.request = request;
    }

    /// The one request that the guest works for, if it is only one.
    pub(crate) fn request(&self) -> Option<&Arc<Allowance>> {
        self.request.as_ref()
    }

    /// From now on whatever the guest prints belongs to `request`.
    pub(super) fn speak_for(&self, request: Option<RequestId>) {
        self.speaker.speak_for(request);
    }

    /// Remembers that `task` works for `request`.
    pub(crate) fn begin(&mut self, task: GuestTaskId, request: Arc<Allowance>) {
        self.tasks.insert(task, request);
    }

    /// Forgets all tasks and counts what they have left; called when none works any more.
    pub(crate) fn rest(&mut self) {
        self.tasks.clear();
        let left = fields::left_in(&mut self.table) + pollables::bytes_of(self.places);
        self.limiter.rest(left);
    }

    /// Whether any task works for a request that it alone knows.
    pub(crate) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The request that `task` works for.
    pub(super) fn request_of(&self, task: GuestTaskId) -> Option<&Arc<Allowance>> {
        self.tasks.get(&task)
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}
