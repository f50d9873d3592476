//! Requests that stay in flight for as long as a test wants.

use crate::{
    client::{Ask, Connection, Exchange},
    server::Server,
    upstream::Upstream,
};

/// A request to the guest fetch that its upstream has not answered yet. Dropping it gives
/// it up.
pub struct Held {
    exchange: Exchange,
    _connection: Connection,
}

impl Server {
    /// Has the guest fetch ask `upstream`, which answers once it is
    /// [released](Upstream::release); returns when it has been asked.
    ///
    /// # Panics
    /// When it is not asked.
    pub async fn hold(&self, upstream: &Upstream) -> Held {
        let requests = upstream.requests();
        let mut connection = self.connect().await;
        let mut exchange = connection.open(Ask::fetch(&upstream.url("/held"))).await;
        exchange.finish();
        upstream.wait_for_requests(requests + 1).await;
        Held { exchange, _connection: connection }
    }
}

impl Held {
    /// Waits for an answer that is not the upstream's.
    ///
    /// # Panics
    /// When it has another status.
    pub async fn is_answered_with(mut self, status: u16) {
        assert_eq!(self.exchange.head().await.status(), status);
    }

    /// Waits for the upstream's answer.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn is_answered(mut self) {
        assert_eq!(self.exchange.head().await.status(), 200);
        assert_eq!(self.exchange.read_exactly(9).await, b"upstream\n");
    }
}
