//! The answers of an upstream.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::State;

type Body = UnsyncBoxBody<Bytes, io::Error>;

const LINE: Bytes = Bytes::from_static(b"upstream\n");

/// An error makes hyper hang up.
pub(super) async fn answer(
    request: Request<Incoming>,
    state: &Arc<State>,
) -> io::Result<Response<Body>> {
    let released = state.released.subscribe();
    let query = request.uri().query().unwrap_or_default();
    let body = match request.uri().path() {
        "/sleep" => {
            let millis = query.strip_prefix("ms=").and_then(|millis| millis.parse().ok());
            tokio::time::sleep(Duration::from_millis(millis.expect("ms=NUMBER"))).await;
            whole(LINE)
        }
        "/echo" => return Ok(echo(request)),
        "/whole" => {
            request.into_body().collect().await.map_err(io::Error::other)?;
            whole(LINE)
        }
        "/held" => {
            wait(released).await;
            whole(LINE)
        }
        "/half" => half(released),
        "/endless" => endless(Arc::clone(state)),
        "/cut" => return Ok(cut()),
        "/close" => return Err(io::Error::other("asked to hang up")),
        _ => whole(LINE),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(io::Error::other).boxed_unsync()
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(body.map_err(io::Error::other).boxed_unsync());
    if let Some(content_type) = head.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    response
}

fn half(released: watch::Receiver<bool>) -> Body {
    let data = |text: &'static [u8]| Ok(Frame::data(Bytes::from_static(text)));
    let second = stream::once(async move {
        wait(released).await;
        data(b"second")
    });
    StreamBody::new(stream::iter([data(b"first")]).chain(second)).boxed_unsync()
}

fn endless(state: Arc<State>) -> Body {
    const PIECE: Bytes = Bytes::from_static(&[b'x'; 64 << 10]);
    let piece = move || {
        state.sent.fetch_add(PIECE.len() as u64, Ordering::Relaxed);
        Ok(Frame::data(PIECE))
    };
    StreamBody::new(stream::repeat_with(piece)).boxed_unsync()
}

fn cut() -> Response<Body> {
    let beginning = stream::iter([Ok(Frame::data(LINE))]);
    // In a turn of its own, so that the beginning is sent.
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(io::Error::other("asked to hang up"))
    });
    let mut response = Response::new(StreamBody::new(beginning.chain(end)).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000"));
    response
}

async fn wait(mut released: watch::Receiver<bool>) {
    // Without an upstream there is nobody to answer.
    let _ = released.wait_for(|released| *released).await;
}
