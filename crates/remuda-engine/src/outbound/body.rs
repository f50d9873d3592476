//! The body of an upstream's response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};
use wasmtime_wasi_http::Error;

/// The place among the requests to its host, and among those of its instance.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Fails when the upstream is silent for too long; holds its places until it is dropped.
pub(super) struct UpstreamBody {
    inner: Incoming,
    silence: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    _places: Places,
}

impl UpstreamBody {
    pub(super) fn new(inner: Incoming, silence: Duration, places: Places) -> Self {
        Self { inner, silence, deadline: None, _places: places }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.deadline = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(terminated)));
        }
        let silence = self.silence;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + silence)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn terminated(error: hyper::Error) -> Error {
    if error.is_incomplete_message() { Error::HttpResponseIncomplete } else { Error::Hyper(error) }
}
