//! A loaded component with the settings of its route.

use std::{
    fmt,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request, Response};
use http_body::Body;
use remuda_config::{Instances, Readiness, Route};
use wasmtime::Store;
use wasmtime_wasi_http::Error;

use crate::{
    Engine, EngineError, Fault, GuestBody,
    blueprint::Blueprint,
    call::{Allowance, Instance, Reuse, SharedPool, SinglePool},
    component::{HandlerWorld, discard, verify},
    engine::{Runtime, Shared},
    epoch,
    executor::{Crowded, Site},
    herd::Herd,
    host::{self, Grants, HostState},
    jobs::JobPlaces,
    lifecycle::{Failures, Purpose},
    memory::{Account, Share},
    room::{Patience, Room},
    sys,
};

/// Names a request in logs; unique within a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

impl RequestId {
    /// Stands for no request.
    pub(crate) const NONE: Self = Self(u64::MAX);
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Answers the requests of one route.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    handler: HandlerWorld,
    instances: Instances,
    pool: Pool,
}

/// Instances of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounts {
    /// At work, or being made.
    pub busy: usize,
    /// Warm, waiting for a request.
    pub idle: usize,
}

/// What all guests of a program have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_time: Duration,
    /// How often one of them went to the blocking executor.
    pub offloads: u64,
    /// How long they have waited there for a thread.
    pub waited: Duration,
}

/// Where instances come from.
enum Pool {
    /// Each instance serves one request at a time, polled by whoever sent it.
    Single(Arc<SinglePool>),
    /// Each instance serves several requests at a time and drives itself.
    Shared(Arc<SharedPool>),
}

/// Bytes that a guest may hand over to the host in one call. What is long is written bit by
/// bit, at most 1 MiB at a time.
const MAX_HANDED_OVER: usize = 4 << 20;

/// Handles that a guest may have at the same time, its own resources among them.
const MAX_HANDLES: usize = 16 << 10;

/// How to make an instance; what all instances of a program have in common.
pub(crate) struct Template {
    wasmtime: wasmtime::Engine,
    pub(crate) blueprint: Blueprint,
    grants: Grants,
    pub(crate) readiness: Readiness,
    pub(crate) failures: Failures,
    pub(crate) room: Arc<Room>,
    patience: Patience,
    pub(crate) job_places: JobPlaces,
    pub(crate) request_timeout: Duration,
    pub(crate) cpu_time: Duration,
    pub(crate) after_response_timeout: Duration,
    pub(crate) engine: Arc<Shared>,
    pub(crate) site: Arc<Site>,
    pub(crate) job_site: Arc<Site>,
    /// Nanoseconds of CPU that all guests have used.
    used: AtomicU64,
    memory: Arc<Share>,
    /// Bytes with which an instance begins, as far as is known.
    begins_with: AtomicU64,
}

impl Template {
    /// The name of the route, for log lines.
    pub(crate) fn route(&self) -> &Arc<str> {
        &self.grants.route
    }

    /// What a request of this route may use.
    pub(crate) fn allowance(&self, id: RequestId, deadline: Instant) -> Arc<Allowance> {
        Arc::new(Allowance::new(id, deadline, self.cpu_time))
    }

    /// Counts what guests of this route have used.
    pub(crate) fn count(&self, used: Duration) {
        let nanoseconds = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.used.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// From now on idle instances of `pool` leave where there is no room for others.
    pub(crate) fn watch<H: Herd + 'static>(&self, pool: &Arc<H>) {
        let pool: Weak<H> = Arc::downgrade(pool);
        self.room.watch(Weak::clone(&pool) as _);
        self.memory.watch(pool);
    }

    /// An account for another instance.
    async fn open_account(&self, purpose: Purpose) -> Result<Account, Fault> {
        let (cap, expected) = (self.grants.memory, self.begins_with.load(Ordering::Relaxed));
        let account = match purpose {
            Purpose::Request => Account::open(&self.memory, cap, expected).await,
            Purpose::Stock => Account::try_open(&self.memory, cap, expected),
        };
        Ok(account?)
    }

    /// Makes a fresh instance, which works for `request`. It waits for room in the pool.
    pub(crate) async fn instantiate(
        &self,
        request: Option<Arc<Allowance>>,
    ) -> Result<Instance, Fault> {
        match self.try_instantiate(request.clone(), Purpose::Request).await {
            Err(Fault::NoCapacity(_)) => {
                let attempt = || self.try_instantiate(request.clone(), Purpose::Request).boxed();
                // Rare, and it should not enlarge every request's task.
                self.room.wait(&self.patience, attempt).boxed().await
            }
            made => made,
        }
    }

    /// The same without waiting for room in the pool.
    pub(crate) async fn try_instantiate(
        &self,
        request: Option<Arc<Allowance>>,
        purpose: Purpose,
    ) -> Result<Instance, Fault> {
        let place = self.room.place();
        let account = self.open_account(purpose).await?;
        let mut state = HostState::new(&self.grants, account)
            .map_err(|error| Fault::Instantiate(format!("{error:#}")))?;
        state.work_for(request);
        let mut store = Store::new(&self.wasmtime, state);
        store.limiter_async(|state| &mut state.limiter);
        store.set_hostcall_fuel(MAX_HANDED_OVER);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(epoch::on_epoch);
        match self.in_turns(self.blueprint.build(&mut store)).await {
            Ok(parts) => {
                let account = store.data_mut().limiter.account();
                account.begin();
                self.begins_with.store(account.usage().bytes(), Ordering::Relaxed);
                Ok(Instance::new(store, parts, place))
            }
            Err(error) => {
                let fault = Fault::from_instantiation(&error, store.data().limiter.refused());
                if let Fault::NoCapacity(_) = fault {
                    place.was_none();
                }
                Err(fault)
            }
        }
    }

    /// Runs a guest of this route for nobody in particular, each time as a turn.
    pub(crate) async fn in_turns<F: Future>(&self, running: F) -> F::Output {
        let mut running = pin!(running);
        let who = || (Arc::clone(self.route()), None);
        std::future::poll_fn(|cx: &mut Context<'_>| {
            let (polled, used) = self.engine.ticker.turn(who, || running.as_mut().poll(cx));
            self.count(used.all);
            polled
        })
        .await
    }

    /// Waits, if need be, until another guest may burn. A request that has waited for its place
    /// has spent that of its patience.
    async fn may_begin(&self, deadline: Instant) -> Result<(), Fault> {
        let limit = self.patience.timeout();
        let came = deadline.checked_sub(self.request_timeout).unwrap_or_else(Instant::now);
        let crowd = self.site.crowd();
        crowd.join(deadline.min(came + limit)).await.map_err(|Crowded| Fault::Crowded(limit))
    }

    /// How many requests wait for room for their instance, or for fewer guests that burn.
    fn waiting(&self) -> usize {
        self.patience.waiting() + self.site.crowd().waiting()
    }
}

impl Program {
    pub(crate) async fn load(
        engine: &Engine,
        route: &Route,
        artifact: PathBuf,
    ) -> Result<Self, EngineError> {
        let load_error = |message| EngineError::Load { path: artifact.clone(), message };
        let wasmtime_error = |error: wasmtime::Error| load_error(format!("{error:#}"));
        let (kind, Runtime { wasmtime, room }) = engine
            .for_artifact(&artifact)
            .ok_or_else(|| load_error("it is no artifact of this version".to_owned()))?;
        verify(&artifact).map_err(|error| {
            discard(&artifact, &error);
            load_error(error.to_string())
        })?;
        let component = sys::map_artifact(wasmtime, &artifact).map_err(wasmtime_error)?;
        let blueprint = host::linker(wasmtime, kind)
            .and_then(|linker| Blueprint::new(linker.instantiate_pre(&component)?))
            .map_err(wasmtime_error)?;
        let handler = blueprint.handler();
        let instances = effective_instances(handler, blueprint.hooks.is_some(), route);
        let reuse = Reuse::from(&instances);
        let grants = |template| Grants {
            template,
            route: Arc::from(route.name()),
            env: route.env.clone(),
            mounts: route.mounts.clone(),
            memory: route.limits.memory,
            outbound: Arc::clone(&engine.shared.outbound),
            max_concurrency: reuse.max_concurrency,
        };
        let site = engine.site(route);
        let memory = Share::new(Arc::clone(&engine.shared.memory), engine.share_of_route);
        let template = Arc::new_cyclic(|template: &Weak<Template>| Template {
            wasmtime: wasmtime.clone(),
            blueprint,
            grants: grants(Weak::clone(template)),
            readiness: route.readiness.clone(),
            failures: Failures::default(),
            room: Arc::clone(room),
            patience: Patience::new(route.limits.queue, route.limits.queue_timeout),
            job_places: JobPlaces::new(route.limits.queue),
            request_timeout: route.limits.request_timeout,
            cpu_time: route.limits.cpu_time,
            after_response_timeout: route.limits.after_response_timeout,
            engine: Arc::clone(&engine.shared),
            job_site: Arc::new(site.for_jobs()),
            site: Arc::new(site),
            used: AtomicU64::new(0),
            memory: Arc::new(memory),
            begins_with: AtomicU64::new(0),
        });
        let probe = |fault| EngineError::Probe { route: route.name(), fault };
        let pool = match reuse.max_concurrency {
            2.. => Pool::Shared(SharedPool::start(template, reuse).await.map_err(probe)?),
            _ => Pool::Single(SinglePool::start(template, reuse).await.map_err(probe)?),
        };
        Ok(Self { inner: Arc::new(Inner { handler, instances, pool }) })
    }

    /// The export through which requests reach the component.
    #[must_use]
    pub fn handler(&self) -> HandlerWorld {
        self.inner.handler
    }

    /// How instances are used, with the default of the component's kind applied.
    #[must_use]
    pub fn instances(&self) -> &Instances {
        &self.inner.instances
    }

    /// Answers one request, by `deadline`.
    ///
    /// A guest that is busy at its deadline is ended by it; for one that waits, whoever
    /// calls must see to it, by dropping this future. `held` is dropped when both the response body and the guest's work on it have
    /// ended, also if that is because this future or the body were dropped.
    ///
    /// # Errors
    /// When the guest gives no response; nothing of one has been sent then.
    pub async fn call<B, H>(
        &self,
        request: Request<B>,
        id: RequestId,
        deadline: Instant,
        held: H,
    ) -> Result<Response<GuestBody<H>>, Fault>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
        H: Send + Unpin + 'static,
    {
        let head_only = request.method() == Method::HEAD;
        if self.template().site.crowd().is_closed() {
            // Rare, and it should not enlarge every request's task.
            Box::pin(self.template().may_begin(deadline)).await?;
        }
        let response = match &self.inner.pool {
            Pool::Single(pool) => pool.call(request, id, deadline, held).await?,
            Pool::Shared(pool) => pool.call(request, id, deadline, held).await?,
        };
        Ok(if head_only { GuestBody::without_content(response) } else { response })
    }

    /// How many instances there are now.
    #[must_use]
    pub fn instance_counts(&self) -> InstanceCounts {
        let InstanceCounts { busy, idle } = match &self.inner.pool {
            Pool::Single(pool) => pool.instance_counts(),
            Pool::Shared(pool) => pool.instance_counts(),
        };
        InstanceCounts { busy: busy + self.template().job_places.running(), idle }
    }

    /// Retires all idle instances, and waits for their hooks with
    /// [`Engine::hooks_finished`]. No request will come.
    pub fn close(&self) {
        match &self.inner.pool {
            Pool::Single(pool) => pool.close(),
            Pool::Shared(pool) => pool.close(),
        }
    }

    /// What guests have used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let Template { used, site, job_site: jobs, .. } = self.template();
        let cpu_time = Duration::from_nanos(used.load(Ordering::Relaxed));
        let offloads = site.offloads() + jobs.offloads();
        Usage { cpu_time, offloads, waited: site.waited() + jobs.waited() }
    }

    /// How many requests that have a place wait for room for their instance, or to begin.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.template().waiting()
    }

    fn template(&self) -> &Template {
        match &self.inner.pool {
            Pool::Single(pool) => pool.template(),
            Pool::Shared(pool) => pool.template(),
        }
    }

    /// Retires instances that have been idle for too long.
    pub fn sweep(&self) {
        match &self.inner.pool {
            Pool::Single(pool) => pool.sweep(),
            Pool::Shared(pool) => pool.sweep(),
        }
    }
}

/// What the route sets, or else what suits the component: a 0.2 instance serves one
/// request at a time, and one that was worth a startup is worth more than one request.
fn effective_instances(handler: HandlerWorld, has_hooks: bool, route: &Route) -> Instances {
    let default = match handler {
        HandlerWorld::Http02 if !has_hooks => Instances::default_for_02(),
        _ => Instances::default_for_03(),
    };
    match (handler, route.instances.clone().unwrap_or(default)) {
        (HandlerWorld::Http02, Instances::Reuse { max_requests, idle_timeout, .. }) => {
            Instances::Reuse { max_requests, max_concurrency: 1, idle_timeout }
        }
        (_, instances) => instances,
    }
}
