//! HTTP/2 connections, each shared by some lanes of a thread.
//!
//! Owner: the thread; a connection lives in a task of its own until all its lanes have let
//! go. Invariant: at most one connection is being made for the lanes of a [`Mux`].

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    client::conn::http2::{self, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{HyperError, connect::Connector, stream::Stream};
use crate::record::{Failure, Kind};

/// What one connection's requests go through.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// A response should not wait for the client to make room: it reads all it gets.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Tasks of the thread's own.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

pub(super) async fn open(stream: Stream) -> Result<Sender, HyperError> {
    let (sender, connection) = http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream))
        .await?;
    // Its end is told to the requests on it.
    tokio::task::spawn_local(async move { connection.await.is_ok() });
    Ok(sender)
}

/// A connection that is made when it is needed.
#[derive(Default)]
pub(crate) struct Mux(tokio::sync::Mutex<Option<Sender>>);

impl Mux {
    /// The connection, or a new one when there is none or it has ended.
    pub(super) async fn sender(
        &self,
        connector: &Connector,
        connected: impl FnOnce(std::time::Duration),
    ) -> Result<Sender, Failure> {
        let mut sender = self.0.lock().await;
        if let Some(sender) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let (stream, _, time) = connector.connect().await?;
        connected(time);
        let new = open(stream).await;
        let new = new.map_err(|error| Failure::new(Kind::Protocol, error.to_string()))?;
        *sender = Some(new.clone());
        Ok(new)
    }
}
