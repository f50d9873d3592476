//! One request over a unix socket.
//!
//! Owner: [`ctl`](super). Invariant: whatever the server sends is read to its end, or there
//! is no answer.

use std::{io, path::Path};

use http::{Method, Request, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) is_success: bool,
    /// JSON.
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("nothing listens there; is it running?")]
    Nobody,
    #[error("permission denied; only the user who runs the server may give orders")]
    Denied,
    #[error("it does not answer; see its log, or whether it is stopped")]
    Silent,
    #[error("it ended before it answered; see its log")]
    Ended(#[source] hyper::Error),
    #[error("{0}")]
    Other(#[source] io::Error),
}

pub(super) async fn connect(socket: &Path) -> Result<UnixStream, Unreachable> {
    UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Unreachable::Nobody,
        io::ErrorKind::PermissionDenied => Unreachable::Denied,
        _ => Unreachable::Other(error),
    })
}

/// Sends a request without a body.
pub(super) async fn send(
    socket: &Path,
    method: Method,
    target: String,
) -> Result<Answer, Unreachable> {
    let stream = TokioIo::new(connect(socket).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(Unreachable::Ended)?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        // HTTP/1.1 wants one, and the socket has no name.
        .header(HOST, "remuda")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Unreachable::Other(io::Error::other(error)))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let is_success = response.status().is_success();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { is_success, body: String::from_utf8_lossy(&body).into_owned() })
    };
    tokio::pin!(exchange, connection);
    // The connection is what moves the exchange; it may be over first.
    let answer = tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    };
    answer.map_err(Unreachable::Ended)
}
