//! Leaving connections to other workers.
//!
//! Owner: the server. Invariant: without [`Peers`], no connection is ever left to anybody.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{
    Peers,
    balance::{Balance, is_clearly_ahead},
};
use crate::{listener::Readiness, metrics::Metrics};

/// How long a connection is left to workers that have fewer, and how often it is looked
/// whether one has taken it. Timers may be a millisecond late.
const HOLD: Duration = Duration::from_millis(4);
const HOLD_STEP: Duration = Duration::from_millis(1);

/// This worker's connections, and those of the others.
pub(crate) struct Company {
    metrics: Arc<Metrics>,
    peers: Option<Box<dyn Peers>>,
    closed: Notify,
}

/// An open connection, of which the other workers know.
pub(super) struct Open(Arc<Company>);

impl Company {
    pub(crate) fn new(metrics: Arc<Metrics>, peers: Option<Box<dyn Peers>>) -> Self {
        Self { metrics, peers, closed: Notify::new() }
    }

    /// Counts a connection for as long as what is returned lives.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.tell(self.metrics.connection_opened());
        Open(Arc::clone(self))
    }

    /// Whether this worker takes the next connection; it may be left to others for a moment
    /// before. False if there is none any more.
    pub(super) async fn takes_next(
        &self,
        readiness: &mut Readiness<'_>,
        balance: &mut Balance,
    ) -> bool {
        if !self.is_ahead() {
            return true;
        }
        if !readiness.is_still_ready() {
            return false;
        }
        if !balance.holds_back() {
            return true;
        }
        // Connections that are short may be over once everybody has had a turn.
        yield_now().await;
        let (before, until) = (self.fewest_elsewhere(), Instant::now() + HOLD);
        while self.is_ahead() {
            let now = Instant::now();
            if now >= until {
                // Where connections keep coming, there is always another one.
                if self.fewest_elsewhere() > before {
                    balance.was_relieved();
                } else {
                    balance.was_not_relieved();
                }
                return true;
            }
            tokio::select! {
                () = self.closed.notified() => {}
                () = sleep_until(until.min(now + HOLD_STEP)) => if !readiness.is_still_ready() {
                    balance.was_relieved();
                    return false;
                },
            }
        }
        true
    }

    fn is_ahead(&self) -> bool {
        let fewest = self.fewest_elsewhere();
        fewest.is_some_and(|fewest| is_clearly_ahead(self.metrics.connections(), fewest))
    }

    fn fewest_elsewhere(&self) -> Option<usize> {
        self.peers.as_ref().and_then(|peers| peers.fewest_elsewhere())
    }

    fn tell(&self, connections: usize) {
        if let Some(peers) = &self.peers {
            peers.set_connections(connections);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.tell(self.0.metrics.connection_closed());
        self.0.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{SocketAddr, TcpListener, TcpStream},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::Listener;

    /// Another worker, with so many connections.
    #[derive(Clone, Default)]
    struct Other(Arc<AtomicUsize>);

    impl Peers for Other {
        fn set_connections(&self, _: usize) {}

        fn fewest_elsewhere(&self) -> Option<usize> {
            Some(self.0.load(Ordering::Relaxed))
        }
    }

    fn company(other: &Other) -> Arc<Company> {
        Arc::new(Company::new(Arc::new(Metrics::new(Vec::new())), Some(Box::new(other.clone()))))
    }

    fn listener() -> (Listener, TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let others = listener.try_clone().expect("another descriptor of it");
        (Listener::tcp(listener).expect("watched"), others, address)
    }

    #[tokio::test]
    async fn what_nobody_else_takes_is_taken_after_a_moment() {
        let (company, (listener, _others, address)) = (company(&Other::default()), listener());
        let _connections = [company.open(), company.open()];
        let _client = TcpStream::connect(address).expect("connected");
        let mut readiness = listener.readiness().await.expect("ready");
        let started = Instant::now();
        assert!(company.takes_next(&mut readiness, &mut Balance::default()).await);
        assert!(started.elapsed() >= HOLD);
        assert!(readiness.try_accept().expect("no error").is_some());
    }

    #[tokio::test]
    async fn what_another_one_takes_is_gone() {
        let (company, (listener, others, address)) = (company(&Other::default()), listener());
        let _connections = [company.open(), company.open()];
        let _client = TcpStream::connect(address).expect("connected");
        let mut readiness = listener.readiness().await.expect("ready");
        let mut balance = Balance::default();
        let (takes, _taken) =
            tokio::join!(company.takes_next(&mut readiness, &mut balance), async {
                others.accept().expect("a connection")
            });
        assert!(!takes);
    }

    #[tokio::test]
    async fn a_worker_that_is_no_longer_ahead_takes_it_at_once() {
        let (other, (listener, _others, address)) = (Other::default(), listener());
        let company = company(&other);
        let mut connections = vec![company.open(), company.open()];
        let _client = TcpStream::connect(address).expect("connected");
        let mut readiness = listener.readiness().await.expect("ready");
        let mut balance = Balance::default();
        let (takes, ()) = tokio::join!(company.takes_next(&mut readiness, &mut balance), async {
            connections.pop();
        });
        assert!(takes);
        assert!(balance.holds_back(), "it has learned nothing of the others");
        connections.push(company.open());
        other.0.store(1, Ordering::Relaxed);
        assert!(company.takes_next(&mut readiness, &mut balance).await);
    }
}
