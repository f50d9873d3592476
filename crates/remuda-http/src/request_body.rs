//! A request body within its limits.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::Rejection;

/// What a handler reads: the client's bytes, until one of the limits is broken.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` for a request without a body.
    inner: Option<Limited>,
}

#[derive(Debug)]
struct Limited {
    incoming: Incoming,
    /// Bytes that may still come.
    remaining: u64,
    silence: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    verdict: Verdict,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    #[error("request body exceeds http.max_body")]
    TooLarge,
    #[error("client sent nothing for http.body_timeout")]
    Stalled,
    #[error("failed to read the request body: {0}")]
    Connection(#[from] hyper::Error),
}

/// Lets whoever answers know that the body broke a limit.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<AtomicU8>);

const TOO_LARGE: u8 = 1;
const STALLED: u8 = 2;
const MALFORMED: u8 = 3;

impl Verdict {
    fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What the client did wrong, if anything.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        match self.0.load(Ordering::Relaxed) {
            TOO_LARGE => Some(Rejection::BodyTooLarge),
            STALLED => Some(Rejection::BodyTimeout),
            MALFORMED => Some(Rejection::BadRequest("its body is malformed or cut short")),
            _ => None,
        }
    }
}

impl RequestBody {
    /// Wraps `incoming`; the verdict is there unless the body is known to be empty.
    pub(crate) fn new(
        incoming: Incoming,
        max_bytes: u64,
        silence: Duration,
    ) -> Result<(Self, Option<Verdict>), Rejection> {
        if incoming.is_end_stream() {
            return Ok((Self { inner: None }, None));
        }
        if incoming.size_hint().lower() > max_bytes {
            return Err(Rejection::BodyTooLarge);
        }
        let verdict = Verdict::default();
        let limited = Limited {
            incoming,
            remaining: max_bytes,
            silence,
            deadline: None,
            verdict: verdict.clone(),
        };
        Ok((Self { inner: Some(limited) }, Some(verdict)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.inner {
            None => Poll::Ready(None),
            Some(limited) => limited.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|limited| limited.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            None => SizeHint::with_exact(0),
            Some(limited) => limited.incoming.size_hint(),
        }
    }
}

impl Limited {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let silence = self.silence;
            let sleep = || Box::pin(tokio::time::sleep(silence));
            ready!(self.deadline.get_or_insert_with(sleep).as_mut().poll(cx));
            self.verdict.set(STALLED);
            return Poll::Ready(Some(Err(RequestBodyError::Stalled)));
        };
        self.deadline = None;
        let frame = frame.transpose().inspect_err(|_| self.verdict.set(MALFORMED))?;
        let Some(frame) = frame else { return Poll::Ready(None) };
        if let Some(data) = frame.data_ref() {
            let Some(remaining) = self.remaining.checked_sub(data.len() as u64) else {
                self.verdict.set(TOO_LARGE);
                return Poll::Ready(Some(Err(RequestBodyError::TooLarge)));
            };
            self.remaining = remaining;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}
