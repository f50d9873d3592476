//! An HTTP/1 connection, polled by whoever waits for its response.
//!
//! Owner: a lane. Invariant: nobody but the holder polls the connection, and always just
//! before it looks for what the connection may have brought: so what comes out of hyper's
//! channels needs no waker of its own, and no request wakes a task to hand itself over.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;

use super::{HyperError, stream::Stream};

pub(super) struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    is_over: bool,
}

impl Http1 {
    /// Short requests go out as one piece of memory, which the kernel takes more quickly.
    pub(super) async fn new(stream: Stream, is_short: bool) -> Result<Self, HyperError> {
        let mut builder = http1::Builder::new();
        if is_short {
            builder.writev(false);
        }
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection, is_over: false })
    }

    /// Whether another request can be sent; waits for the end of the last exchange.
    pub(super) async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            if self.is_over {
                Poll::Ready(false)
            } else {
                self.sender.poll_ready(cx).map(|r| r.is_ok())
            }
        })
        .await
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, HyperError> {
        // Tokio's channel would ask that waker for another turn when the task has had many.
        let mut response = pin!(unconstrained(self.sender.send_request(request)));
        poll_fn(|cx| {
            Self::drive_parts(&mut self.connection, &mut self.is_over, cx);
            // Only the connection can complete it; see the invariant.
            response.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn data(&mut self, body: &mut Incoming) -> Option<Result<Bytes, HyperError>> {
        poll_fn(|cx| {
            loop {
                // What is there already is taken first, and makes room.
                let piece =
                    Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop()));
                let piece = match piece {
                    Poll::Ready(piece) => piece,
                    Poll::Pending => {
                        self.drive(cx);
                        let noop = &mut Context::from_waker(Waker::noop());
                        ready!(Pin::new(&mut *body).poll_frame(noop))
                    }
                };
                match piece {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(frame)) => {
                        // Trailers are no data.
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            }
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        Self::drive_parts(&mut self.connection, &mut self.is_over, cx);
    }

    fn drive_parts(
        connection: &mut http1::Connection<TokioIo<Stream>, Full<Bytes>>,
        is_over: &mut bool,
        cx: &mut Context<'_>,
    ) {
        // What it says at its end is also told to the request that was on it.
        if !*is_over && Pin::new(connection).poll(cx).is_ready() {
            *is_over = true;
        }
    }
}
