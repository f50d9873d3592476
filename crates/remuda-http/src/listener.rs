//! Listening sockets and the streams they give.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SocketFlags, acceptfrom_with},
};
use tokio::{
    io::{
        AsyncRead, AsyncWrite, Interest, ReadBuf,
        unix::{AsyncFd, AsyncFdReadyGuard},
    },
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

use crate::sys;

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<OwnedFd>,
    family: Family,
}

#[derive(Clone, Copy, Debug)]
enum Family {
    Tcp,
    Unix,
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// One of which some bytes have been read already.
    Rewound(Box<Rewound>),
    Tls(Box<TlsStream<Stream>>),
}

/// A stream that begins with bytes which were read from it before.
#[derive(Debug)]
pub(crate) struct Rewound {
    bytes: Vec<u8>,
    at: usize,
    stream: Stream,
}

/// What a listener gives.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    /// The peer's address, where it has one.
    pub(crate) client: Option<IpAddr>,
}

/// Somebody has connected; whether the connection is still there is another matter, for
/// other processes accept from the same socket.
pub(crate) struct Readiness<'a> {
    guard: AsyncFdReadyGuard<'a, OwnedFd>,
    family: Family,
}

impl Listener {
    /// Takes over a listening TCP socket.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::watch(socket.into(), Family::Tcp)
    }

    /// Takes over a listening unix socket.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn unix(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::watch(socket.into(), Family::Unix)
    }

    fn watch(socket: OwnedFd, family: Family) -> io::Result<Self> {
        Ok(Self { socket: sys::watch(socket)?, family })
    }

    /// Waits until somebody has connected. Cancel safe.
    pub(crate) async fn readiness(&self) -> io::Result<Readiness<'_>> {
        Ok(Readiness { guard: self.socket.readable().await?, family: self.family })
    }
}

impl Readiness<'_> {
    /// Takes the next connection; `None` if there is none any more.
    pub(crate) fn try_accept(&mut self) -> io::Result<Option<Accepted>> {
        let family = self.family;
        match self.guard.try_io(|socket| accept(socket.get_ref(), family)) {
            Ok(accepted) => accepted.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Whether there is a connection, without taking it.
    pub(crate) fn is_still_ready(&mut self) -> bool {
        let mut wanted = [PollFd::new(self.guard.get_inner(), PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Where the question fails, accepting tells more.
        let is_ready = poll(&mut wanted, Some(&at_once)).map_or(true, |ready| ready > 0);
        if !is_ready {
            self.guard.clear_ready();
        }
        is_ready
    }
}

fn accept(socket: &OwnedFd, family: Family) -> io::Result<Accepted> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(socket, flags)?;
    Ok(match family {
        Family::Tcp => {
            let stream = TcpStream::from_std(stream.into())?;
            // Without it, Nagle's algorithm holds back the end of a response. A socket that
            // is gone by now fails when it is read.
            let _ = stream.set_nodelay(true);
            let client = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            Accepted { stream: Stream::Tcp(stream), client: client.map(|client| client.ip()) }
        }
        Family::Unix => {
            let stream = UnixStream::from_std(stream.into())?;
            Accepted { stream: Stream::Unix(stream), client: None }
        }
    })
}

impl Rewound {
    /// `stream` as it was before these bytes were read from it.
    pub(crate) fn new(bytes: Vec<u8>, stream: Stream) -> Self {
        Self { bytes, at: 0, stream }
    }

    /// Gives bytes that were read before; false if there are none any more.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.at += count;
        if self.at == self.bytes.len() {
            (self.bytes, self.at) = (Vec::new(), 0);
        }
        count > 0
    }
}

impl Stream {
    /// What is read next, without reading it; `None` at the end. Of an encrypted stream, and
    /// of a unix socket, it is not known.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        match self {
            Self::Rewound(rewound) if rewound.at < rewound.bytes.len() => {
                Ok(Some(rewound.bytes[rewound.at]))
            }
            Self::Rewound(rewound) => Box::pin(rewound.stream.first_byte()).await,
            Self::Tcp(stream) => {
                let mut byte = [0];
                Ok((stream.peek(&mut byte).await? > 0).then_some(byte[0]))
            }
            Self::Unix(_) | Self::Tls(_) => Ok(None),
        }
    }

    /// Whether the peer has closed the socket, or its sending half, although bytes may be left
    /// to be read.
    pub(crate) fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        let ready = match self {
            Self::Tcp(stream) => pin!(stream.ready(Interest::READABLE)).poll(cx),
            Self::Unix(stream) => pin!(stream.ready(Interest::READABLE)).poll(cx),
            Self::Rewound(rewound) => return rewound.stream.has_ended(cx),
            Self::Tls(stream) => return stream.get_ref().0.has_ended(cx),
        };
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Whether its end is told within it.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Self::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Self::Rewound(rewound) => {
                let $stream = Pin::new(&mut rewound.stream);
                $call
            }
            Self::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Self::Rewound(rewound) = &mut *self
            && rewound.give(buffer)
        {
            return Poll::Ready(Ok(()));
        }
        forward!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(cx))
    }
}
