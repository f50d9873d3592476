//! The reference: hyper alone, answering the same bytes as `guests/hello`, on one thread.
//!
//! What it needs per request is what HTTP costs; what a server needs beyond that is the
//! price of its guests.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address: SocketAddr = std::env::args()
        .nth(1)
        .context("usage: native-hello ADDRESS")?
        .parse()
        .context("ADDRESS is an IP address and a port, such as 127.0.0.1:8000")?;
    let listener = TcpListener::bind(address).await.context("failed to listen")?;
    loop {
        let (stream, _) = listener.accept().await.context("failed to accept")?;
        stream.set_nodelay(true)?;
        let answer = service_fn(|_request| async {
            let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, world!\n")));
            let text = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            Ok::<_, Infallible>(response)
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // Each connection ends by itself when its client leaves.
        tokio::spawn(connection);
    }
}
