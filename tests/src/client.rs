//! HTTP clients: HTTP/1.1 and HTTP/2 with prior knowledge, over TCP and unix sockets, and both
//! over TLS.
//!
//! Invariant: a [`Connection`] is one connection and never makes another; what breaks on
//! it is returned, not mended.

mod ask;
mod endpoint;
mod exchange;
mod fate;
mod reply;
mod tls;

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use futures_util::{TryFutureExt as _, future::Either};
use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, UnixStream},
    task::JoinSet,
};

pub use ask::Ask;
use ask::Body;
pub use endpoint::{Endpoint, Protocol};
pub use exchange::Exchange;
pub use fate::Fate;
pub use reply::{Broken, Reply};
pub use tls::{TlsClient, certificate_of};

use crate::wait::{self, within_patience};

/// One connection to a server.
pub struct Connection {
    sender: Sender,
    authority: String,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    /// Moves the bytes; ends with the connection.
    _driver: Arc<JoinSet<()>>,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Connects with HTTP/1.1.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn http1(address: SocketAddr) -> io::Result<Self> {
        Self::http1_over(TcpStream::connect(address).await?).await
    }

    /// Connects with HTTP/1.1, and so little room in the kernel that a server which does
    /// not read makes us wait soon.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn http1_with_buffers(address: SocketAddr, bytes: u32) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_send_buffer_size(bytes)?;
        socket.set_recv_buffer_size(bytes)?;
        Self::http1_over(socket.connect(address).await?).await
    }

    async fn http1_over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        let connection = Self::speak_http1(stream, peer.to_string()).await?;
        Ok(Self { local: Some(local), peer: Some(peer), ..connection })
    }

    /// Connects with HTTP/1.1 to a unix socket.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn unix(path: &Path) -> io::Result<Self> {
        Self::speak_http1(UnixStream::connect(path).await?, "localhost".to_owned()).await
    }

    /// Connects with HTTP/2, without asking whether the server speaks it.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn http2(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let connection = Self::speak_http2(stream, address.to_string()).await?;
        Ok(Self { local: Some(local), peer: Some(address), ..connection })
    }

    /// The same connection once more, for requests at the same time.
    ///
    /// # Panics
    /// When it speaks HTTP/1.1.
    #[must_use]
    pub fn multiplexed(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else { panic!("only HTTP/2 has streams") };
        Self {
            sender: Sender::Http2(sender.clone()),
            authority: self.authority.clone(),
            local: self.local,
            peer: self.peer,
            _driver: Arc::clone(&self._driver),
        }
    }

    async fn speak_http2<S>(stream: S, authority: String) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = spawn(async {
            // The requests on it tell what went wrong.
            let _ = driver.await;
        });
        let sender = Sender::Http2(sender);
        Ok(Self { sender, authority, local: None, peer: None, _driver: driver })
    }

    async fn speak_http1<S>(stream: S, authority: String) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = spawn(async {
            // The requests on it tell what went wrong.
            let _ = driver.await;
        });
        let sender = Sender::Http1(sender);
        Ok(Self { sender, authority, local: None, peer: None, _driver: driver })
    }

    /// Our end of a TCP connection and the server's.
    ///
    /// # Panics
    /// When it is a unix socket.
    #[must_use]
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        self.local.zip(self.peer).expect("a TCP connection")
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Panics
    /// When there is none, or it takes too long.
    pub async fn send(&mut self, ask: Ask) -> Reply {
        let what = ask.to_string();
        let reply = self.try_send(ask).await;
        reply.unwrap_or_else(|broken| panic!("{what} got no whole response: {broken}"))
    }

    /// GET
    ///
    /// # Panics
    /// As [`Self::send`].
    pub async fn get(&mut self, target: &str) -> Reply {
        self.send(Ask::get(target)).await
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// When the connection breaks before its end.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn try_send(&mut self, ask: Ask) -> Result<Reply, Broken> {
        let what = ask.to_string();
        within_patience(&what, self.attempt(ask)).await
    }

    /// Sends a request and reads the whole response, however long it takes.
    ///
    /// # Errors
    /// When the connection breaks before its end; [`Broken::fate`] says whether a client
    /// may ask again.
    pub async fn attempt(&mut self, ask: Ask) -> Result<Reply, Broken> {
        let before = |error| Broken::before_the_head(Fate::NotSent, &error);
        self.ready().await.map_err(before)?;
        let request = ask.into_request(&self.authority, self.version());
        let response = self.try_dispatch(request).await.map_err(|error| {
            let came_back = error.message().is_some();
            let fate = if came_back { Fate::NotSent } else { Fate::of(error.error()) };
            Broken::before_the_head(fate, error.error())
        })?;
        Reply::read(response).await
    }

    /// Sends a request whose body is written, and whose response is read, bit by bit.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn open(&mut self, ask: Ask) -> Exchange {
        self.ready().await.expect("a connection that takes requests");
        let (body, content) = exchange::body();
        let request = ask.into_request(&self.authority, self.version()).map(|_| content);
        Exchange::new(body, Box::pin(self.dispatch(request)))
    }

    /// Waits until the connection takes a request.
    ///
    /// # Errors
    /// When it has ended.
    async fn ready(&mut self) -> hyper::Result<()> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until the server has closed the connection.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(&self) {
        wait::until("a connection to be closed", || self.is_closed().then_some(())).await;
    }

    fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::HTTP_11,
            Sender::Http2(_) => Version::HTTP_2,
        }
    }

    /// The request is under way once this was called, polled or not.
    fn dispatch(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + 'static {
        self.try_dispatch(request).map_err(TrySendError::into_error)
    }

    /// As [`Self::dispatch`]; a request that was never written comes back with the error.
    fn try_dispatch(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + Send + 'static
    {
        match &mut self.sender {
            Sender::Http1(sender) => Either::Left(sender.try_send_request(request)),
            Sender::Http2(sender) => Either::Right(sender.try_send_request(request)),
        }
    }
}

fn spawn(driver: impl Future<Output = ()> + Send + 'static) -> Arc<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    Arc::new(tasks)
}
