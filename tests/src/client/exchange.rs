//! A request and its response, bit by bit.

use std::{io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::{Reply, ask::Body};
use crate::wait::within_patience;

type Frames = mpsc::Sender<Frame<Bytes>>;
type Answer = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// A request that is under way. Dropping it gives it up.
pub struct Exchange {
    request: Option<Frames>,
    response: Progress,
}

enum Progress {
    Awaited(Answer),
    Begun(Response<Incoming>),
}

/// A body that consists of what is sent to it.
pub(super) fn body() -> (Frames, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, |mut receiver| async {
        let frame = receiver.recv().await?;
        Some((Ok::<_, io::Error>(frame), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

impl Exchange {
    pub(super) fn new(request: Frames, answer: Answer) -> Self {
        Self { request: Some(request), response: Progress::Awaited(answer) }
    }

    /// Sends a piece of the body.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn write(&mut self, bytes: impl Into<Bytes>) {
        let request = self.request.as_ref().expect("a body that has not ended");
        let sent = within_patience("the server to take a chunk", {
            request.send(Frame::data(bytes.into()))
        });
        sent.await.expect("a server that takes the body");
    }

    /// Sends a piece of the body if the server takes it soon; false if it did not.
    ///
    /// # Panics
    /// When the body was ended before.
    pub async fn write_within(&mut self, time: Duration, bytes: impl Into<Bytes>) -> bool {
        let request = self.request.as_ref().expect("a body that has not ended");
        let sending = request.send(Frame::data(bytes.into()));
        tokio::time::timeout(time, sending).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Ends the body.
    pub fn finish(&mut self) {
        self.request = None;
    }

    /// The head of the response.
    ///
    /// # Panics
    /// When there is none.
    pub async fn head(&mut self) -> &Response<Incoming> {
        self.begun().await
    }

    /// The next piece of the response; `None` at its end.
    ///
    /// # Panics
    /// When the response breaks off.
    pub async fn read(&mut self) -> Option<Bytes> {
        self.try_read().await.expect("a response that does not break off")
    }

    /// The whole response; the request's body stays as it is.
    ///
    /// # Panics
    /// When there is none.
    pub async fn reply(mut self) -> Reply {
        self.begun().await;
        let Progress::Begun(response) = self.response else { unreachable!("it has begun") };
        let reply = within_patience("the rest of a response", Reply::read(response)).await;
        reply.unwrap_or_else(|broken| panic!("no whole response: {broken}"))
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When the response ends before, or goes on in the same chunk.
    pub async fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            bytes.extend(self.read().await.expect("more of the response"));
        }
        assert_eq!(bytes.len(), length, "more than was expected");
        bytes
    }

    /// The next piece of the response; `None` at its end.
    ///
    /// # Errors
    /// When the response breaks off.
    pub async fn try_read(&mut self) -> hyper::Result<Option<Bytes>> {
        let body = self.begun().await.body_mut();
        let frame = within_patience("more of a response", async {
            loop {
                match body.frame().await.transpose()?.map(Frame::into_data) {
                    None => return Ok(None),
                    Some(Ok(data)) if !data.is_empty() => return Ok(Some(data)),
                    // An empty frame may end an HTTP/2 stream, or trailers.
                    Some(_) => {}
                }
            }
        });
        frame.await
    }

    /// The trailers, and nothing before them.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn trailers(&mut self) -> HeaderMap {
        let body = self.begun().await.body_mut();
        let frame = within_patience("trailers", body.frame()).await;
        let frame = frame.expect("one more frame").expect("a whole response");
        frame.into_trailers().unwrap_or_else(|frame| panic!("expected trailers, got {frame:?}"))
    }

    async fn begun(&mut self) -> &mut Response<Incoming> {
        if let Progress::Awaited(answer) = &mut self.response {
            let response = within_patience("the head of a response", answer).await;
            self.response = Progress::Begun(response.expect("a response"));
        }
        match &mut self.response {
            Progress::Begun(response) => response,
            Progress::Awaited(_) => unreachable!("it has begun"),
        }
    }
}
