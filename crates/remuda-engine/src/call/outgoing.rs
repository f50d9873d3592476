//! A response on its way out of the guest.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, response::Parts};
use http_body::Body as _;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::Fault;

/// Bytes of a response that are collected before its head is sent; what is longer
/// streams.
const MAX_COLLECTED_BYTES: usize = 64 * 1024;

/// A response head, and what is there of the body already.
pub(super) struct Outgoing {
    pub(super) parts: Parts,
    pub(super) body: WasiBody,
    pub(super) collected: Collected,
}

/// The beginning of a body, perhaps all of it.
#[derive(Default)]
pub(super) struct Collected {
    data: Data,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) ended: bool,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

/// What an attempt to collect more has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// Something; the guest may have more if it is polled again.
    Some,
    /// Nothing, or as much as is wanted.
    Nothing,
}

impl Outgoing {
    pub(super) fn new(response: Response<WasiBody>) -> Self {
        let (parts, body) = response.into_parts();
        Self { parts, body, collected: Collected::default() }
    }

    /// Takes what the body has ready, without waiting.
    ///
    /// # Errors
    /// When the body is broken.
    pub(super) fn drain(&mut self, cx: &mut Context<'_>) -> Result<Drained, Error> {
        let mut drained = Drained::Nothing;
        while !self.collected.ended {
            if self.collected.len() >= MAX_COLLECTED_BYTES {
                return Ok(Drained::Nothing);
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.collected.ended = true,
                Poll::Ready(Some(frame)) => {
                    drained = Drained::Some;
                    match frame?.into_data() {
                        Ok(data) => self.collected.push(data),
                        Err(other) => {
                            self.collected.trailers = other.into_trailers().ok();
                            self.collected.ended = true;
                        }
                    }
                }
            }
        }
        Ok(drained)
    }
}

/// What a broken body comes to, in words for whoever wrote the guest.
pub(super) fn invalid(error: &Error) -> Fault {
    let length = "is not as long as its content-length says";
    Fault::InvalidResponse(match error {
        Error::HttpResponseBodySize(Some(bytes)) => {
            format!("its body, of {bytes} bytes or more, {length}")
        }
        Error::HttpResponseBodySize(None) => format!("its body {length}"),
        // All that is known of a body of 0.2 in either case.
        Error::HttpProtocolError => format!("its body was not finished, or {length}"),
        _ => error.to_string(),
    })
}

/// Throws away what `body` has ready, so that its guest can go on. Ready at its end.
pub(super) fn discard(body: &mut WasiBody, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(_)) => {}
            None | Some(Err(_)) => return Poll::Ready(()),
        }
    }
}

impl Collected {
    fn len(&self) -> usize {
        match &self.data {
            Data::None => 0,
            Data::One(bytes) => bytes.len(),
            Data::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, more: Bytes) {
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::One(more),
            Data::One(first) => {
                let mut bytes = BytesMut::with_capacity((first.len() + more.len()) * 2);
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&more);
                Data::Many(bytes)
            }
            Data::Many(mut bytes) => {
                bytes.extend_from_slice(&more);
                Data::Many(bytes)
            }
        }
    }

    /// The bytes collected so far, in one piece.
    pub(super) fn take_data(&mut self) -> Bytes {
        match std::mem::take(&mut self.data) {
            Data::None => Bytes::new(),
            Data::One(bytes) => bytes,
            Data::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn outgoing(frames: Vec<Result<Frame<Bytes>, Error>>, then_pending: bool) -> Outgoing {
        use futures_util::{StreamExt as _, stream};
        let frames = stream::iter(frames);
        let body = if then_pending {
            StreamBody::new(frames.chain(stream::pending())).boxed_unsync()
        } else {
            StreamBody::new(frames).boxed_unsync()
        };
        Outgoing::new(Response::new(body))
    }

    fn data(bytes: &'static [u8]) -> Result<Frame<Bytes>, Error> {
        Ok(Frame::data(Bytes::from_static(bytes)))
    }

    fn drain(outgoing: &mut Outgoing) -> Result<Drained, Error> {
        outgoing.drain(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_complete_body_becomes_one_piece() {
        let mut outgoing = outgoing(vec![data(b"a"), data(b"b"), data(b"c")], false);
        assert_eq!(drain(&mut outgoing).expect("whole"), Drained::Some);
        assert!(outgoing.collected.ended);
        assert_eq!(outgoing.collected.take_data(), "abc");
    }

    #[test]
    fn an_open_body_gives_what_it_has() {
        let mut outgoing = outgoing(vec![data(b"a")], true);
        assert_eq!(drain(&mut outgoing).expect("open"), Drained::Some);
        assert_eq!(drain(&mut outgoing).expect("open"), Drained::Nothing);
        assert!(!outgoing.collected.ended);
    }

    #[test]
    fn a_long_body_is_not_collected_whole() {
        let chunk: &[u8] = &[7; 40_000];
        let mut outgoing = outgoing((0..10).map(|_| data(chunk)).collect(), false);
        assert_eq!(drain(&mut outgoing).expect("long"), Drained::Nothing);
        assert!(!outgoing.collected.ended);
        assert_eq!(outgoing.collected.take_data().len(), 80_000);
    }

    #[test]
    fn a_broken_body_is_an_error() {
        let mut outgoing = outgoing(vec![data(b"a"), Err(Error::ConnectionTerminated)], false);
        assert!(drain(&mut outgoing).is_err());
    }
}
