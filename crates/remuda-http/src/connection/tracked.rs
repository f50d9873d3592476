//! A socket that tells its connection when bytes arrive.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    ConnectionState,
    ending::Ending,
    framing::{Framing, Refusal},
    http2_frames::GOAWAY,
};
use crate::{Rejection, listener::Stream};

pub(super) struct Tracked {
    stream: Stream,
    state: Arc<ConnectionState>,
    framing: Framing,
    /// The beginning of a line whose end has not come, which hyper must not see.
    held: Vec<u8>,
    /// What hyper may see and has had no room for, from `staged_at` on.
    staged: Vec<u8>,
    staged_at: usize,
    refused: Option<Refused>,
    flooded: bool,
    /// The client has been told that its head took too long.
    told_head_timeout: bool,
    /// The client sends no more; it is taken to have gone when this is over.
    half_closed: Option<Pin<Box<Sleep>>>,
    /// The client has yet to take what was written.
    flush_waits: bool,
    /// The socket itself is waited for, and not something before it.
    listens: bool,
    ending: Ending,
}

/// Why nothing more is read.
enum Refused {
    /// What was received is no request; whether the client has been told.
    Head { rejection: Rejection, told: bool },
    /// The body of the request in flight is malformed.
    Body(&'static str),
}

/// How long a request in flight goes on when its client sends no more. Whether the client
/// still reads or has closed the socket shows in nothing before it is written to; those who
/// do the first (`nc -N`) get what a guest answers at once.
const HALF_CLOSED: Duration = Duration::from_millis(30);

/// The reason for which a connection of HTTP/2 ends that is flooded.
pub(super) const HTTP2_FLOOD: &str = "http2_flood";

/// Bytes that are read at a time while a line is unfinished: hyper has little room then.
const PIECE: usize = 4096;

impl Tracked {
    /// For request heads of at most `max_head` bytes.
    pub(super) fn new(stream: Stream, state: Arc<ConnectionState>, max_head: usize) -> Self {
        Self {
            stream,
            state,
            framing: Framing::new(max_head),
            held: Vec::new(),
            staged: Vec::new(),
            staged_at: 0,
            refused: None,
            flooded: false,
            told_head_timeout: false,
            half_closed: None,
            flush_waits: false,
            listens: false,
            ending: Ending::NotBegun,
        }
    }

    /// Looks at what was received; how much of it may go on.
    fn look(&mut self, received: &[u8]) -> usize {
        let was_http2 = self.framing.is_http2();
        let (passed, refusal) = self.framing.look(received);
        if self.framing.is_http2() && !was_http2 {
            self.state.mark_http2();
        }
        let head = |rejection| Refused::Head { rejection, told: false };
        self.refused = match refusal {
            None => return passed,
            Some(Refusal::Ambiguous(what)) => Some(head(Rejection::BadRequest(what))),
            Some(Refusal::TooLarge) => Some(head(Rejection::HeaderTooLarge)),
            Some(Refusal::Body(what)) => Some(Refused::Body(what)),
            Some(Refusal::Flood) => {
                self.flooded = true;
                self.state.rejected(HTTP2_FLOOD);
                return passed;
            }
        };
        passed
    }

    /// Whether hyper may write: what it would make of half a head, its client is not to read
    /// after the answer to it.
    fn may_write(&self) -> io::Result<()> {
        if self.told_head_timeout { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Ends the connection with all its streams.
    fn end_flood(&mut self, cx: &mut Context<'_>) -> io::Error {
        self.send_away(cx);
        io::Error::other("client floods the connection with frames that carry nothing")
    }

    /// Tells a client of HTTP/2 that it asks too much.
    fn send_away(&mut self, cx: &mut Context<'_>) {
        // Amid a frame of hyper's there is no room for another; then the client sees only
        // the end, as it does when it does not take this at once.
        if self.framing.can_write_a_frame() {
            let _ = Pin::new(&mut self.stream).poll_write(cx, &GOAWAY);
        }
    }

    /// The socket took so many of these bytes, or refused them.
    fn wrote(&mut self, written: &Poll<io::Result<usize>>, slices: &[io::IoSlice<'_>]) {
        self.state.wrote(written.is_pending());
        if let Poll::Ready(Ok(mut left)) = *written
            && self.framing.is_http2()
        {
            for slice in slices {
                let taken = left.min(slice.len());
                self.framing.wrote(&slice[..taken]);
                left -= taken;
            }
        }
    }

    /// Reads what the client sends; that it sends no more, only when that is to be known.
    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.half_closed.is_none() {
            let before = buffer.filled().len();
            let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
            self.listens = read.is_pending();
            ready!(read)?;
            if buffer.filled().len() > before || self.framing.is_http2() {
                return Poll::Ready(Ok(()));
            }
        }
        if self.state.is_busy_until_woken(cx.waker()) {
            let over = self.half_closed.get_or_insert_with(|| Box::pin(sleep(HALF_CLOSED)));
            self.listens = true;
            ready!(over.as_mut().poll(cx));
        }
        Poll::Ready(Ok(()))
    }

    /// Gives hyper what is staged.
    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.staged[self.staged_at..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.staged_at += count;
        if self.staged_at == self.staged.len() {
            (self.staged, self.staged_at) = (Vec::new(), 0);
        }
    }

    /// Tells the client, once what came before is answered, and ends the stream. Of a body
    /// hyper is told, which answers the request to which it belongs.
    fn refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (rejection, told) = match &mut self.refused {
            None => return Poll::Ready(Ok(())),
            Some(Refused::Body(what)) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *what)));
            }
            Some(Refused::Head { rejection, told }) => (rejection, told),
        };
        if self.state.is_busy_until_woken(cx.waker()) {
            return Poll::Pending;
        }
        if !std::mem::replace(told, true) {
            self.state.rejected(rejection.reason());
            // What the client does not take at once, it does not get.
            let answer = rejection.bytes(self.framing.accepts_json());
            let _ = Pin::new(&mut self.stream).poll_write(cx, &answer);
            self.state.head_is_refused();
        }
        // hyper has half a head, and does not end the stream itself.
        self.end(cx)
    }
}

impl Tracked {
    /// Says that nothing more comes, and waits for the client if it has yet to notice.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let may_send = self.may_still_receive();
        self.ending.poll(&mut self.stream, may_send, cx)
    }

    /// Whether the client may be amid a request, or has sent what nobody will read.
    fn may_still_receive(&self) -> bool {
        let is_whole = self.framing.is_between_requests() || self.framing.is_http2();
        let has_ended = self.half_closed.is_some();
        !has_ended && (!is_whole || self.refused.is_some() || !self.staged.is_empty())
    }

    /// Ends an encrypted stream so that its client knows that nothing was cut off; hyper does
    /// that only at ends of its own.
    fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        if self.stream.is_tls() {
            // What the client does not take at once, it does not get.
            let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        }
    }
}

impl AsyncRead for Tracked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.listens = false;
        let read = this.read(cx, buffer);
        match (this.listens, &read) {
            (true, _) => this.state.listens(),
            (false, Poll::Ready(_)) => this.state.listens_no_more(),
            // As before, or else from now on.
            (false, Poll::Pending) if this.state.unread_since().is_some() => {}
            (false, Poll::Pending) => this.state.listens_no_more(),
        }
        read
    }
}

impl Tracked {
    /// What hyper reads next.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self;
        if this.state.is_saying_goodbye() {
            if this.state.is_stalled() {
                this.send_away(cx);
            }
            this.say_goodbye(cx);
            return Poll::Ready(Ok(()));
        }
        if this.state.is_head_given_up() {
            // hyper has no words for this, and sees the end of the stream, in a second read if
            // it has yet to find out which protocol this is. What the client does not take at
            // once, it does not get.
            if !std::mem::replace(&mut this.told_head_timeout, true) {
                let answer = Rejection::HeaderTimeout.bytes(this.framing.accepts_json());
                let _ = Pin::new(&mut this.stream).poll_write(cx, &answer);
                this.say_goodbye(cx);
            }
            return Poll::Ready(Ok(()));
        }
        if !this.staged.is_empty() {
            this.deliver(buffer);
            return Poll::Ready(Ok(()));
        }
        if this.refused.is_some() {
            return this.refuse(cx);
        }
        if this.held.is_empty() {
            let before = buffer.filled().len();
            ready!(this.receive(cx, buffer))?;
            let received = &buffer.filled()[before..];
            if received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.state.received();
            let passed = this.look(received);
            if this.flooded {
                return Poll::Ready(Err(this.end_flood(cx)));
            }
            if passed == received.len() {
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(&received[passed..]);
            buffer.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        while this.refused.is_none() {
            let mut space = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            ready!(this.receive(cx, &mut piece))?;
            if piece.filled().is_empty() {
                // A line without its end is nothing.
                return Poll::Ready(Ok(()));
            }
            this.state.received();
            let mut received = std::mem::take(&mut this.held);
            received.extend_from_slice(piece.filled());
            let passed = this.look(&received);
            if this.flooded {
                return Poll::Ready(Err(this.end_flood(cx)));
            }
            this.held = received.split_off(passed);
            this.staged = received;
            if !this.staged.is_empty() {
                this.deliver(buffer);
                return Poll::Ready(Ok(()));
            }
        }
        this.refuse(cx)
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.may_write()?;
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(&written, &[io::IoSlice::new(bytes)]);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.may_write()?;
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(&written, slices);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.is_looking_for_end() && this.stream.has_ended(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        // An encrypted stream takes bytes before its client does.
        if flushed.is_pending() || std::mem::take(&mut this.flush_waits) {
            this.flush_waits = flushed.is_pending();
            this.state.wrote(flushed.is_pending());
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().end(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use remuda_config::Identity;
    use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        join,
        net::UnixStream,
    };
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::*;
    use crate::{connection::KeepAlive, metrics::Metrics, tls::Tls};

    /// Both ends of an encrypted stream.
    async fn encrypted(state: Arc<ConnectionState>) -> (Tracked, TlsStream<UnixStream>) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
        let identity = Identity { chain: cert.pem(), key: signing_key.serialize_pem() };
        let tls = Tls::build(&remuda_config::Tls { cert: "c".into(), key: "k".into(), identity });
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("a certificate");
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("a.example").expect("a name");

        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let acceptor = tls.expect("valid").acceptor;
        let connector = TlsConnector::from(Arc::new(client));
        let (ours, theirs) =
            join!(acceptor.accept(Stream::Unix(ours)), connector.connect(name, theirs));
        let stream = Stream::Tls(Box::new(ours.expect("a handshake")));
        (Tracked::new(stream, state, 8192), theirs.expect("a handshake"))
    }

    #[tokio::test]
    async fn what_an_encrypted_stream_holds_back_waits_for_its_client() {
        let metrics = Arc::new(Metrics::new(vec!["/".into()]));
        let keep_alive = Arc::new(KeepAlive::new(None));
        let state = Arc::new(ConnectionState::new(metrics, keep_alive));
        let (mut tracked, mut client) = encrypted(Arc::clone(&state)).await;
        let mut sent = 0;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut tracked).poll_write(cx, &[7; 16 * 1024]) {
                    Poll::Ready(written) => sent += written.expect("room"),
                    Poll::Pending => panic!("it took nothing instead of holding it back"),
                }
                assert_eq!(state.blocked_since(), None);
                if Pin::new(&mut tracked).poll_flush(cx).is_pending() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
        assert!(state.blocked_since().is_some());

        let mut received = vec![0; sent];
        let (read, flushed) = join!(client.read_exact(&mut received), tracked.flush());
        read.expect("all of it");
        flushed.expect("nothing is left");
        assert_eq!(state.blocked_since(), None);
    }
}
