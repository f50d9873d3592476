//! The server of one worker.
//!
//! Purpose: accept connections, serve them, stop when told to. Invariant: [`Server::run`]
//! returns only when every connection, and every request on it, has ended.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use remuda_config::Config;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Admission, Handler, LastAccepts, Listener, Observer, Peers, RouteTable, Tls,
    accept::{Company, accept_until_drained},
    complaint::Complaint,
    connection::KeepAlive,
    metrics::Metrics,
};

/// Accepts connections and has a [`Handler`] answer their requests.
pub struct Server<H: Handler> {
    shared: Arc<Shared<H>>,
}

/// What all connections have in common.
pub(crate) struct Shared<H> {
    pub(crate) config: Config,
    pub(crate) routes: RouteTable,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) handler: H,
    /// Connections, and the streams of HTTP/2 connections.
    pub(crate) tasks: TaskTracker,
    pub(crate) drain: CancellationToken,
    /// For connections that may still be opened.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) company: Arc<Company>,
    pub(crate) keep_alive: Arc<KeepAlive>,
    pub(crate) tls: Option<Tls>,
    /// Connections that were refused for their PROXY header.
    pub(crate) unannounced: Mutex<Complaint>,
    last_id: AtomicU64,
}

impl<H> Shared<H> {
    /// Names the next request.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed)
    }
}

impl<H: Handler> Server<H> {
    /// A server for `config` that accepts nothing yet. Requests are numbered from
    /// `first_id` on. With `peers`, it leaves connections to those that have fewer. With
    /// `tls`, TCP connections are encrypted.
    #[must_use]
    pub fn build(
        config: &Config,
        handler: H,
        first_id: u64,
        peers: Option<Box<dyn Peers>>,
        tls: Option<Tls>,
    ) -> Self {
        let max_connections = config.http.max_connections.min(Semaphore::MAX_PERMITS);
        let names = config.routes.iter().map(|route| route.name().into()).collect();
        let metrics = Arc::new(Metrics::new(names));
        let shared = Shared {
            config: config.clone(),
            routes: RouteTable::new(&config.routes),
            admission: Arc::new(Admission::new(config)),
            handler,
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            places: Arc::new(Semaphore::new(max_connections)),
            company: Arc::new(Company::new(Arc::clone(&metrics), peers)),
            keep_alive: Arc::new(KeepAlive::new(config.http.max_keep_alive)),
            tls,
            unannounced: Mutex::default(),
            last_id: AtomicU64::new(first_id),
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Reads the server's figures, also after its end.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let Shared { metrics, admission, .. } = &*self.shared;
        Observer { metrics: Arc::clone(metrics), admission: Arc::clone(admission) }
    }

    /// Serves until `drain` says that it is enough, and everything in flight has ended;
    /// calls `accepts_no_more` in between.
    pub async fn run(
        self,
        listeners: Vec<Listener>,
        drain: impl Future<Output = LastAccepts>,
        accepts_no_more: impl FnOnce(),
    ) {
        let shared = self.shared;
        let (enough, _) = watch::channel(None);
        let accepting = TaskTracker::new();
        for listener in listeners {
            let (shared, enough) = (Arc::clone(&shared), enough.subscribe());
            accepting.spawn(async move { accept_until_drained(&shared, listener, enough).await });
        }
        enough.send_replace(Some(drain.await));
        shared.drain.cancel();
        accepting.close();
        accepting.wait().await;
        accepts_no_more();
        shared.tasks.close();
        shared.tasks.wait().await;
    }
}
