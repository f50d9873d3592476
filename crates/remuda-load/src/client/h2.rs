//! HTTP/2 connections, each shared by some lanes of a thread.
//!
//! Owner: the thread; a connection lives in a task of its own until all its lanes have let
//! go. Invariant: at most one connection is being made for the lanes of a [`Mux`].

use std::time::{Duration, Instant};

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
pub(crate) struct Mux(tokio::sync::Mutex<State>);

#[derive(Default)]
struct State {
    sender: Option<Sender>,
    /// When the last attempt to connect ended in vain, and why.
    failed: Option<(Instant, Kind, String)>,
}

impl Mux {
    /// The connection, or a new one when there is none or it has ended. Whoever waited while
    /// an attempt failed has failed with it: one timeout is enough for all.
    pub(super) async fn sender(
        &self,
        connector: &Connector,
        connected: impl FnOnce(Duration),
    ) -> Result<Sender, Failure> {
        let asked = Instant::now();
        let mut state = self.0.lock().await;
        if let Some(sender) = state.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        if let Some((_, kind, detail)) = state.failed.as_ref().filter(|(at, ..)| *at > asked) {
            return Err(Failure::new(*kind, detail.clone()));
        }
        let attempt = async {
            let (stream, _, time) = connector.connect().await?;
            connected(time);
            let new = open(stream).await;
            new.map_err(|error| Failure::new(Kind::Protocol, error.to_string()))
        };
        match attempt.await {
            Ok(new) => {
                state.sender = Some(new.clone());
                Ok(new)
            }
            Err(failure) => {
                let detail = failure.detail.clone().into_owned();
                state.failed = Some((Instant::now(), failure.kind, detail));
                Err(failure)
            }
        }
    }
}
