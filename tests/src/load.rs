//! Clients of several kinds that keep a server busy at the same time.
//!
//! Owner: a thread of its own, so that what a test does meanwhile does not show in the
//! times. Invariants: so many clients and no more; every request that was sent is in the
//! report, as answered, retried or failed.

mod client;
mod open;
mod report;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};

pub use open::{Offered, Outcome};
pub use report::{Failure, Fault, Kind, Report, Tally, Times};

use crate::{
    client::{Ask, Endpoint, Reply},
    process::Pid,
    server::Server,
    wait,
};

type Check = dyn Fn(&Reply) -> Result<(), String> + Send + Sync;

/// Clients before they begin.
#[must_use]
pub struct Plan {
    endpoint: Endpoint,
    supervisor: Pid,
    clients: Vec<(Kind, usize)>,
    asks: Vec<Ask>,
    check: Arc<Check>,
    pause: Duration,
    knows_workers: bool,
}

/// Clients at work. They stop when it is dropped.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What all clients share.
struct Shared {
    plan: Plan,
    order: watch::Sender<Order>,
    report: Mutex<Report>,
}

/// What clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    GoOn,
    /// After the request that is under way.
    Stop,
    AtOnce,
}

impl Server {
    /// Clients of its first address, or of its unix socket if it has only that, that ask
    /// for `/` over and over.
    pub fn load(&self) -> Plan {
        Plan::new(self.endpoint(), self.supervisor())
    }
}

impl Plan {
    pub(crate) fn new(endpoint: Endpoint, supervisor: Pid) -> Self {
        Self {
            endpoint,
            supervisor,
            clients: Vec::new(),
            asks: Vec::new(),
            check: Arc::new(|_| Ok(())),
            pause: Duration::ZERO,
            knows_workers: false,
        }
    }

    /// So many clients, each with an HTTP/1.1 connection that it keeps.
    pub fn kept(mut self, clients: usize) -> Self {
        self.clients.push((Kind::Kept, clients));
        self
    }

    /// So many clients, each with a new HTTP/1.1 connection for every request.
    pub fn fresh(mut self, clients: usize) -> Self {
        self.clients.push((Kind::Fresh, clients));
        self
    }

    /// So many clients, each with an HTTP/2 connection and so many streams on it at the
    /// same time.
    pub fn http2(mut self, clients: usize, streams: usize) -> Self {
        self.clients.push((Kind::Http2 { streams }, clients));
        self
    }

    /// Some clients of each kind.
    pub fn mixed(self) -> Self {
        self.kept(8).fresh(4).http2(2, 4)
    }

    /// What is asked, instead of `/`; several are asked in turn.
    pub fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    /// Another socket than the server's first.
    pub fn of(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// What must hold for each response with status 200; the error says what does not.
    pub fn check(
        mut self,
        check: impl Fn(&Reply) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.check = Arc::new(check);
        self
    }

    /// The body of each response is one of these.
    pub fn expect(self, bodies: &[&'static str]) -> Self {
        let bodies = bodies.to_vec();
        self.check(move |reply| {
            let text = reply.text();
            let expected = bodies.contains(&text.as_str());
            expected.then_some(()).ok_or_else(|| format!("the body is {text:?}"))
        })
    }

    /// How long each client is idle between two requests.
    pub fn pause(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }

    /// Finds out which worker holds each kept connection. That takes a while for every
    /// connection on a machine that has closed many lately.
    pub fn knowing_workers(mut self) -> Self {
        self.knows_workers = true;
        self
    }

    /// Has them begin.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start(mut self) -> Load {
        if self.asks.is_empty() {
            self.asks.push(Ask::get("/"));
        }
        let clients = self.clients.clone();
        let shared = Arc::new(Shared {
            plan: self,
            order: watch::Sender::new(Order::GoOn),
            report: Mutex::new(Report::of(clients.iter().map(|(kind, _)| *kind))),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime for the clients");
        let all = run(Arc::clone(&shared), clients);
        let thread = std::thread::Builder::new().name("clients".to_owned());
        let thread = thread.spawn(move || runtime.block_on(all)).expect("a thread for the clients");
        Load { shared, thread: Some(thread) }
    }
}

async fn run(shared: Arc<Shared>, clients: Vec<(Kind, usize)>) {
    let mut tasks = JoinSet::new();
    for (kind, count) in clients {
        for _ in 0..count {
            tasks.spawn(client::run(Arc::clone(&shared), kind));
        }
    }
    let mut order = shared.order.subscribe();
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        _ = order.wait_for(|order| *order == Order::AtOnce) => {}
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
        let wanted = self.shared.report().answered() + count;
        let enough = || (self.shared.report().answered() >= wanted).then_some(());
        wait::until(&format!("{wanted} answers under load"), enough).await;
    }

    /// Waits for so many more answers to each kind of client.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for_answers_to_each_kind(&self, count: usize) {
        let least = || self.shared.report().tallies.values().map(|tally| tally.answered).min();
        let wanted = least().unwrap_or_default() + count;
        let enough = || (least().unwrap_or_default() >= wanted).then_some(());
        wait::until(&format!("{wanted} answers to each kind under load"), enough).await;
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
        self.shared.order.send_replace(Order::Stop);
        self.until_refused().await
    }

    /// Goes on until nobody listens any more.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn until_refused(self) -> Report {
        let ended = || self.thread.as_ref().is_none_or(JoinHandle::is_finished).then_some(());
        wait::until("the clients to end", ended).await;
        self.report()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.order.send_replace(Order::AtOnce);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a client has panicked");
        }
    }
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_go_on(&self) -> bool {
        *self.order.borrow() == Order::GoOn
    }
}
