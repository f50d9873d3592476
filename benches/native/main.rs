//! The reference: hyper alone, answering the same bytes as `guests/hello`, on one thread.
//!
//! What it needs per request is what HTTP costs; what a server needs beyond that is the
//! price of its guests.
//!
//! With a number of microseconds as second argument it burns so much for every request. What
//! a request costs beyond those is what HTTP costs a server of that speed: one that is slower
//! than its client has to wake it for every answer, a quicker one finds it awake.

use std::{
    convert::Infallible,
    net::SocketAddr,
    time::{Duration, Instant},
};

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
        .context("usage: native-hello ADDRESS [MICROSECONDS]")?
        .parse()
        .context("ADDRESS is an IP address and a port, such as 127.0.0.1:8000")?;
    let burnt = std::env::args().nth(2).map(|number| number.parse()).transpose();
    let burnt = Duration::from_micros(burnt.context("MICROSECONDS is a number")?.unwrap_or(0));
    let listener = TcpListener::bind(address).await.context("failed to listen")?;
    loop {
        let (stream, _) = listener.accept().await.context("failed to accept")?;
        stream.set_nodelay(true)?;
        let answer = service_fn(move |_request| async move {
            burn(burnt);
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

/// Keeps the thread busy, as a guest would.
fn burn(time: Duration) {
    if time.is_zero() {
        return;
    }
    let started = Instant::now();
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}
