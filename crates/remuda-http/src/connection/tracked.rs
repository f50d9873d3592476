//! A socket that tells its connection when bytes arrive.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ConnectionState;
use crate::{Rejection, listener::Stream};

/// The beginning of every HTTP/2 connection (RFC 9113, section 3.4), and of no HTTP/1
/// request.
const HTTP2_PREFACE: &[u8] = b"PRI";

pub(super) struct Tracked {
    stream: Stream,
    state: Arc<ConnectionState>,
    has_read: bool,
}

impl Tracked {
    pub(super) fn new(stream: Stream, state: Arc<ConnectionState>) -> Self {
        Self { stream, state, has_read: false }
    }
}

impl AsyncRead for Tracked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.is_head_given_up() {
            // hyper has no words for this, and sees the end of the stream. What the client
            // does not take at once, it does not get.
            let _ = Pin::new(&mut this.stream).poll_write(cx, Rejection::header_timeout());
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let received = &buffer.filled()[before..];
        if !received.is_empty() {
            this.state.received();
            if !this.has_read && received.starts_with(HTTP2_PREFACE) {
                this.state.mark_http2();
            }
            this.has_read = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.state.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.state.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
