//! Clients that keep a server busy.
//!
//! Invariants: so many connections at a time and no more; every request that was not
//! answered with 200 is in the report, with the worker that held its connection.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{sync::watch, task::JoinSet};

use crate::{
    client::{Ask, Connection},
    process::{self, Pid},
    server::Server,
    wait,
};

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    address: SocketAddr,
    supervisor: Pid,
    ask: Ask,
    stop: watch::Sender<bool>,
    report: Mutex<Report>,
}

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub answered: usize,
    /// How often a client found that nobody listens any more.
    pub refused: usize,
    pub failures: Vec<Failure>,
    /// The worker of each open connection.
    pub workers: BTreeMap<SocketAddr, Pid>,
}

/// A request that was not answered.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which worker held the connection, if it had answered on it before.
    pub worker: Option<Pid>,
    pub reason: String,
    pub at: Instant,
}

/// Whether a client goes on.
enum Next {
    Reconnect,
    Stop,
}

impl Server {
    /// Sends `ask` over and over on so many connections.
    #[must_use]
    pub fn load(&self, connections: usize, ask: Ask) -> Load {
        let shared = Arc::new(Shared {
            address: self.address(),
            supervisor: self.supervisor(),
            ask,
            stop: watch::Sender::new(false),
            report: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(keep_asking(Arc::clone(&shared)));
        }
        Load { shared, clients }
    }
}

impl Load {
    /// What has been seen so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report().clone()
    }

    /// Waits for so many more answers.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for_answers(&self, count: usize) {
        let wanted = self.report().answered + count;
        let enough = || (self.shared.report().answered >= wanted).then_some(());
        wait::until(&format!("{wanted} answers under load"), enough).await;
    }

    /// Waits until so many connections are open and known to be held by a worker.
    ///
    /// # Panics
    /// When they are not.
    pub async fn wait_for_connections(&self, count: usize) {
        let enough = || (self.shared.report().workers.len() >= count).then_some(());
        wait::until(&format!("{count} connections under load"), enough).await;
    }

    /// Has every client stop after its request.
    ///
    /// # Panics
    /// When one does not.
    pub async fn stop(self) -> Report {
        self.shared.stop.send_replace(true);
        self.until_refused().await
    }

    /// Goes on until nobody listens any more.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn until_refused(mut self) -> Report {
        let all = async { while self.clients.join_next().await.is_some() {} };
        wait::within_patience("the clients to end", all).await;
        self.shared.report().clone()
    }
}

async fn keep_asking(shared: Arc<Shared>) {
    while let Next::Reconnect = one_connection(&shared).await {}
}

async fn one_connection(shared: &Shared) -> Next {
    let mut connection = match Connection::http1(shared.address).await {
        Ok(connection) => connection,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            shared.report().refused += 1;
            return Next::Stop;
        }
        Err(error) => return shared.failed(None, error.to_string()),
    };
    let (local, peer) = connection.ends();
    let next = use_connection(shared, &mut connection, || {
        process::holder(peer, local, &process::children(shared.supervisor))
    });
    let next = next.await;
    shared.report().workers.remove(&local);
    next
}

async fn use_connection(
    shared: &Shared,
    connection: &mut Connection,
    holder: impl Fn() -> Option<Pid>,
) -> Next {
    let (local, _) = connection.ends();
    let mut worker = None;
    while !*shared.stop.borrow() {
        let reply = match connection.try_send(shared.ask.clone()).await {
            Ok(reply) if reply.status == 200 => reply,
            Ok(reply) => return shared.failed(worker, format!("{reply:?}")),
            Err(broken) => return shared.failed(worker, broken.to_string()),
        };
        shared.report().answered += 1;
        if reply.header("connection") == "close" {
            return Next::Reconnect;
        }
        if worker.is_none() {
            worker = holder();
            shared.report().workers.extend(worker.map(|worker| (local, worker)));
        }
    }
    Next::Stop
}

impl Shared {
    fn failed(&self, worker: Option<Pid>, reason: String) -> Next {
        self.report().failures.push(Failure { worker, reason, at: Instant::now() });
        Next::Reconnect
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
