//! What goes out: a handler's body or the server's own words.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::{BodyFailure, access_log::AccessRecord, connection::InFlight};

/// Counted when a handler's body says nothing for too long. The other reasons are those of
/// the rejections that it was too late for.
const RESPONSE_IDLE_TIMEOUT: &str = "response_idle_timeout";

/// The body of every response; while it lives, its connection is not idle.
pub struct ResponseBody<B> {
    inner: Inner<B>,
    access: Option<Box<AccessRecord>>,
    in_flight: InFlight,
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
        Self { inner: Inner::Words(words), access: None, in_flight }
    }

    /// A handler's body, which may be silent for `silence` at a time.
    pub(crate) fn handler(body: B, id: u64, silence: Duration, in_flight: InFlight) -> Self {
        let inner = Inner::Handler { body, id, silence, deadline: None };
        Self { inner, access: None, in_flight }
    }

    /// Has the access log record written when this body is dropped.
    pub(crate) fn record(mut self, record: Box<AccessRecord>) -> Self {
        self.access = Some(record);
        self
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error = BodyFailure> + Unpin,
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
                    frame.map(|frame| {
                        frame.map_err(|BodyFailure { rejection, detail }| {
                            broken_off(&this.in_flight, *id, rejection.reason(), &detail)
                        })
                    })
                } else {
                    let sleep = || Box::pin(tokio::time::sleep(*silence));
                    ready!(deadline.get_or_insert_with(sleep).as_mut().poll(cx));
                    let detail = "guest sent nothing for response_idle_timeout";
                    let reason = RESPONSE_IDLE_TIMEOUT;
                    Some(Err(broken_off(&this.in_flight, *id, reason, detail)))
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

fn broken_off(in_flight: &InFlight, id: u64, reason: &'static str, detail: &str) -> BrokenOff {
    in_flight.broke_off(reason);
    let request = format_args!("{id:016x}");
    tracing::warn!(request, reason, error = detail, "response broke off");
    BrokenOff
}
