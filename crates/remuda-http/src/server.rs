//! The server of one worker.
//!
//! Purpose: accept connections, serve them, stop when told to. Invariant: [`Server::run`]
//! returns only when every connection, and every request on it, has ended.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use remuda_config::Config;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Admission, Handler, Listener, RouteTable, connection};

/// How long a listener rests after an error such as a full table of open files
/// (EMFILE, ENFILE, ENOBUFS, ENOMEM), which goes away by itself.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a drained listener waits for another connection that the kernel has accepted
/// already, and how long it goes on taking them where new clients keep coming.
const LAST_ACCEPT: Duration = Duration::from_millis(20);
const LAST_ACCEPTS: Duration = Duration::from_millis(250);

/// Accepts connections and has a [`Handler`] answer their requests.
pub struct Server<H: Handler> {
    shared: Arc<Shared<H>>,
}

/// What all connections have in common.
pub(crate) struct Shared<H> {
    pub(crate) config: Config,
    pub(crate) routes: RouteTable,
    pub(crate) admission: Admission,
    pub(crate) handler: H,
    /// Connections, and the streams of HTTP/2 connections.
    pub(crate) tasks: TaskTracker,
    pub(crate) drain: CancellationToken,
    connections: Arc<Semaphore>,
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
    /// `first_id` on.
    #[must_use]
    pub fn build(config: &Config, handler: H, first_id: u64) -> Self {
        let max_connections = config.http.max_connections.min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            config: config.clone(),
            routes: RouteTable::new(&config.routes),
            admission: Admission::new(config),
            handler,
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            connections: Arc::new(Semaphore::new(max_connections)),
            last_id: AtomicU64::new(first_id),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves until `drain` is cancelled and everything in flight has ended.
    pub async fn run(self, listeners: Vec<Listener>, drain: CancellationToken) {
        let shared = self.shared;
        for listener in listeners {
            let (shared, drain) = (Arc::clone(&shared), drain.clone());
            let tasks = shared.tasks.clone();
            tasks.spawn(async move { accept_until_drained(&shared, listener, &drain).await });
        }
        drain.cancelled().await;
        shared.drain.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
    }
}

async fn accept_until_drained<H: Handler>(
    shared: &Arc<Shared<H>>,
    listener: Listener,
    drain: &CancellationToken,
) {
    tokio::select! {
        () = drain.cancelled() => {}
        () = accept_forever(shared, &listener) => {}
    }
    // Connections that the kernel has accepted would be reset with the socket.
    let rest =
        async { while let Ok(Ok(())) = timeout(LAST_ACCEPT, accept(shared, &listener)).await {} };
    let _ = timeout(LAST_ACCEPTS, rest).await;
}

async fn accept_forever<H: Handler>(shared: &Arc<Shared<H>>, listener: &Listener) {
    loop {
        if let Err(error) = accept(shared, listener).await {
            // The peer of a connection that was never ours has gone.
            if error.kind() != io::ErrorKind::ConnectionAborted {
                tracing::warn!(%error, "failed to accept a connection; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Takes one connection as soon as there is a place for it.
async fn accept<H: Handler>(shared: &Arc<Shared<H>>, listener: &Listener) -> io::Result<()> {
    let Ok(place) = Arc::clone(&shared.connections).acquire_owned().await else {
        unreachable!("this semaphore is never closed");
    };
    let (stream, client) = listener.accept().await?;
    let serving = connection::serve(Arc::clone(shared), stream, client);
    shared.tasks.spawn(async move {
        let _place = place;
        serving.await;
    });
    Ok(())
}
