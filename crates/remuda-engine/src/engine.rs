//! The wasmtime of one worker.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use remuda_config::{Config, GuestBudget, Route};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use wasmtime::PoolingAllocatorMetrics;

use crate::{
    capacity::Capacity,
    epoch::{LongTurn, Ticker},
    executor::{Executors, Site},
    jobs::JobEnd,
    memory::Ledger,
    outbound::Outbound,
    program::Program,
    room::Room,
    settings::{self, EngineKind},
};

/// Everything that the programs of a worker share: wasmtime engines with their pools,
/// the epoch ticker, the connections to upstreams.
pub struct Engine {
    sequential: Option<Runtime>,
    concurrent: Option<Runtime>,
    pub(crate) shared: Arc<Shared>,
    /// Programs that have been loaded.
    routes: AtomicUsize,
    /// Bytes that guests of one route may hold together.
    pub(crate) share_of_route: u64,
}

/// A wasmtime engine, and the room in its pools.
pub(crate) struct Runtime {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) room: Arc<Room>,
}

/// The parts that calls need while they run.
pub(crate) struct Shared {
    pub(crate) executors: Executors,
    pub(crate) ticker: Ticker,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) memory: Arc<Ledger>,
    /// Instances that drive themselves, and guests that work on after their response.
    pub(crate) tasks: TaskTracker,
    /// Instances that have a hook to be called before they end.
    pub(crate) hooks: TaskTracker,
    /// Hears how jobs end.
    jobs: OnceLock<JobWatcher>,
    event_loop: Handle,
}

type JobWatcher = Box<dyn Fn(&JobEnd<'_>) + Send + Sync>;

impl Shared {
    pub(crate) fn job_ended(&self, end: &JobEnd<'_>) {
        self.jobs.get().into_iter().for_each(|watcher| watcher(end));
    }

    /// Runs something on the event loop that [`Engine::finished`] waits for, whichever
    /// thread this is.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.event_loop);
    }

    /// As [`Self::spawn`] for the end of an instance, see [`Engine::hooks_finished`].
    pub(crate) fn spawn_hook(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(self.hooks.track_future(task));
    }
}

/// How much the blocking executor has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockingLoad {
    /// Threads that run a guest.
    pub busy: usize,
    /// Guests that wait for a thread.
    pub waiting: usize,
}

/// Why a worker cannot run its components.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "failed to set up wasmtime: {0} (it reserves address space for limits.concurrency \
         instances; where that is limited, raise ulimit -v or lower limits.concurrency)"
    )]
    Wasmtime(String),
    #[error("failed to set up outgoing requests: {0}")]
    Outbound(String),
    #[error("failed to start the epoch thread: {0}")]
    Thread(#[from] io::Error),
    #[error("failed to load {}: {message}", path.display())]
    Load { path: PathBuf, message: String },
    #[error("failed to start an instance for route {route}: {fault}")]
    Probe { route: String, fault: crate::Fault },
}

impl EngineError {
    fn wasmtime(error: &wasmtime::Error) -> Self {
        Self::Wasmtime(format!("{error:#}"))
    }
}

/// Instances beyond the requests in flight: idle ones, and ones about to be dropped.
const SPARE_INSTANCES: u32 = 50;

impl Engine {
    /// Sets up what `artifacts` need, for the limits in `config`.
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the address space or another resource of the process does not suffice.
    pub fn build(config: &Config, artifacts: &[PathBuf]) -> Result<Self, EngineError> {
        let in_flight = u32::try_from(config.limits.concurrency).unwrap_or(u32::MAX);
        let floors = config.routes.iter().filter_map(|route| route.readiness.min_idle);
        let floors = u32::try_from(floors.sum::<usize>()).unwrap_or(u32::MAX);
        let wanted = in_flight.saturating_add(SPARE_INSTANCES).saturating_add(floors);
        let capacity = |kind| Capacity::of(artifacts, kind, wanted);
        let (sequential, concurrent) =
            (capacity(EngineKind::Sequential), capacity(EngineKind::Concurrent));
        // Each of the two engines has a pool.
        let instances = sequential.iter().chain(&concurrent).map(|pool| pool.instances).sum();
        let budget = GuestBudget::of(config.workers.memory, instances);
        let runtime = |kind, capacity: Option<Capacity>| {
            let build = |pool| {
                let pool = Capacity { kept: budget.kept, ..pool };
                let wasmtime = wasmtime::Engine::new(&settings::serving(kind, pool))?;
                Ok(Runtime { wasmtime, room: Arc::default() })
            };
            capacity.map(build).transpose().map_err(|error| EngineError::wasmtime(&error))
        };
        let sequential = runtime(EngineKind::Sequential, sequential)?;
        let concurrent = runtime(EngineKind::Concurrent, concurrent)?;
        let engines = || sequential.iter().chain(&concurrent).map(|runtime| &runtime.wasmtime);
        let ticker = Ticker::start(engines().cloned().collect())?;
        let outbound = Outbound::build(&config.outbound).map_err(EngineError::Outbound)?;
        let (threads, queue) = (config.workers.blocking_threads, config.workers.blocking_queue);
        let pools = engines().filter_map(wasmtime::Engine::pooling_allocator_metrics).collect();
        let shared = Shared {
            executors: Executors::new(threads, queue),
            ticker,
            outbound: Arc::new(outbound),
            memory: Arc::new(ledger(budget, instances, pools)),
            tasks: TaskTracker::new(),
            hooks: TaskTracker::new(),
            jobs: OnceLock::new(),
            event_loop: Handle::current(),
        };
        Ok(Self {
            sequential,
            concurrent,
            shared: Arc::new(shared),
            routes: AtomicUsize::new(0),
            share_of_route: budget.share_of_route(config.routes.len()),
        })
    }

    /// Loads the artifact of a route and starts one instance of it, to find out at boot
    /// what would otherwise fail the first request.
    ///
    /// # Errors
    /// When the artifact does not fit this engine or no instance can be started.
    pub async fn load(&self, route: &Route, artifact: PathBuf) -> Result<Program, EngineError> {
        Program::load(self, route, artifact).await
    }

    /// Where the guests of another route run.
    pub(crate) fn site(&self, route: &Route) -> Site {
        let number = self.routes.fetch_add(1, Ordering::Relaxed);
        let executors = self.shared.executors.clone();
        Site::new(executors, number, route.executor, route.offload_after)
    }

    /// What the blocking executor does now.
    #[must_use]
    pub fn blocking(&self) -> BlockingLoad {
        let blocking = &self.shared.executors.blocking;
        BlockingLoad { busy: blocking.busy(), waiting: blocking.waiting() }
    }

    /// The longest turn since the last call in which a guest held up the event loop for 50 ms
    /// or more.
    pub fn take_longest_turn(&self) -> Option<LongTurn> {
        self.shared.ticker.take_longest_turn()
    }

    /// From now on `watcher` hears how jobs end, those apart that are given up with their
    /// request. Only the first one set is asked.
    pub fn watch_jobs(&self, watcher: impl Fn(&JobEnd<'_>) + Send + Sync + 'static) {
        let _ = self.shared.jobs.set(Box::new(watcher));
    }

    /// From now on `watcher` hears of every outgoing request that gets a response: its
    /// authority, and the time to the response head. Only the first one set is asked.
    pub fn watch_outbound(&self, watcher: impl Fn(&str, Duration) + Send + Sync + 'static) {
        self.shared.outbound.watch(Box::new(watcher));
    }

    /// Bytes that all guests hold together: memories, tables, and what instances have beside
    /// those.
    #[must_use]
    pub fn guest_memory(&self) -> u64 {
        self.shared.memory.used()
    }

    /// Waits until no guest runs any more, the hooks of instances that end included.
    pub async fn finished(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Waits until no instance is left that has a hook to be called before it ends.
    pub async fn hooks_finished(&self) {
        self.shared.hooks.close();
        self.shared.hooks.wait().await;
    }

    /// The engine that runs `artifact`, if it has been built.
    pub(crate) fn for_artifact(&self, artifact: &Path) -> Option<(EngineKind, &Runtime)> {
        let kind = EngineKind::of_artifact(artifact)?;
        let engine = match kind {
            EngineKind::Sequential => self.sequential.as_ref(),
            EngineKind::Concurrent => self.concurrent.as_ref(),
        };
        Some((kind, engine?))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.executors.blocking.stop();
    }
}

/// A ledger against which counts what pools keep resident beyond their part.
fn ledger(budget: GuestBudget, instances: u32, pools: Vec<PoolingAllocatorMetrics>) -> Ledger {
    let kept = move || -> usize {
        let of_pool = |pool: &PoolingAllocatorMetrics| {
            pool.unused_memory_bytes_resident()
                + pool.unused_table_bytes_resident()
                + pool.unused_stack_bytes_resident().unwrap_or_default()
        };
        pools.iter().map(of_pool).sum()
    };
    let beyond = move || (kept() as u64).saturating_sub(budget.residue);
    let may_overflow = budget.may_overflow(instances);
    Ledger::new(budget.guests, may_overflow.then(|| Box::new(beyond) as _))
}
