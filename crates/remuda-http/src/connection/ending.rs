//! The end of a connection whose client may still be sending.
//!
//! Purpose: what nobody has read when a socket is closed makes the kernel reset the connection,
//! and the client may lose the answer that it was sent (RFC 9112, section 9.6). Owner: the
//! socket. Invariant: the client is told that nothing more comes before it is waited for, and
//! that not for longer than [`LINGER`].

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::{Sleep, sleep},
};

use crate::listener::Stream;

/// How long a client that was answered before it had sent everything may go on sending.
const LINGER: Duration = Duration::from_secs(5);

/// Bytes that are thrown away at a time.
const PIECE: usize = 4096;

/// How far the end is.
pub(super) enum Ending {
    NotBegun,
    /// The client has been told; what it sends is thrown away until this is over.
    Lingers(Pin<Box<Sleep>>),
}

impl Ending {
    /// Says that nothing more comes, and waits for the client if it `may_send`.
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        may_send: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::NotBegun => {
                    ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                    if !may_send {
                        return Poll::Ready(Ok(()));
                    }
                    *self = Self::Lingers(Box::pin(sleep(LINGER)));
                }
                Self::Lingers(over) => {
                    let mut space = [MaybeUninit::uninit(); PIECE];
                    let mut piece = ReadBuf::uninit(&mut space);
                    let read = Pin::new(&mut *stream).poll_read(cx, &mut piece);
                    let has_ended = read.is_ready() && piece.filled().is_empty();
                    if has_ended || over.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    ready!(read)?;
                }
            }
        }
    }
}
