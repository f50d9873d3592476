//! What goes out: a handler's body or the server's own words.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::{access_log::AccessRecord, connection::InFlight};

/// The body of every response; while it lives, its connection is not idle.
pub struct ResponseBody<B> {
    inner: Inner<B>,
    access: Option<Box<AccessRecord>>,
    _in_flight: InFlight,
}

enum Inner<B> {
    Words(Bytes),
    Handler { body: B, id: u64, silence: Duration, deadline: Option<Pin<Box<Sleep>>> },
}

/// A response broke off; hyper resets the connection or the stream.
#[derive(Debug, thiserror::Error)]
#[error("response broke off")]
pub struct BrokenOff;

impl<B> ResponseBody<B> {
    /// The server's own words.
    pub(crate) fn words(words: Bytes, in_flight: InFlight) -> Self {
        Self { inner: Inner::Words(words), access: None, _in_flight: in_flight }
    }

    /// A handler's body, which may be silent for `silence` at a time.
    pub(crate) fn handler(body: B, id: u64, silence: Duration, in_flight: InFlight) -> Self {
        let inner = Inner::Handler { body, id, silence, deadline: None };
        Self { inner, access: None, _in_flight: in_flight }
    }

    /// Has the access log record written when this body is dropped.
    pub(crate) fn record(mut self, record: Box<AccessRecord>) -> Self {
        self.access = Some(record);
        self
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        let frame = match &mut this.inner {
            Inner::Words(words) if words.is_empty() => None,
            Inner::Words(words) => Some(Ok(Frame::data(std::mem::take(words)))),
            Inner::Handler { body, id, silence, deadline } => {
                if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
                    *deadline = None;
                    frame.map(|frame| frame.map_err(|error| broken_off(*id, &error)))
                } else {
                    let sleep = || Box::pin(tokio::time::sleep(*silence));
                    ready!(deadline.get_or_insert_with(sleep).as_mut().poll(cx));
                    let reason = "guest sent nothing for response_idle_timeout";
                    Some(Err(broken_off(*id, &reason)))
                }
            }
        };
        if let (Some(access), Some(Ok(frame))) = (&mut this.access, &frame) {
            access.count(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Words(words) => words.is_empty(),
            Inner::Handler { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Words(words) => SizeHint::with_exact(words.len() as u64),
            Inner::Handler { body, .. } => body.size_hint(),
        }
    }
}

fn broken_off(id: u64, error: &dyn std::fmt::Display) -> BrokenOff {
    tracing::warn!(request = format_args!("{id:016x}"), %error, "response broke off");
    BrokenOff
}
