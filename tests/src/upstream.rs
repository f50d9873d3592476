//! What guests call: an HTTP/1.1 server that does what the path says.
//!
//! | path | answer |
//! |---|---|
//! | `/` | `upstream` and a line feed |
//! | `/sleep?ms=N` | the same after N ms |
//! | `/echo` | the request's body |
//! | `/whole` | the same as `/` once the request's body has come |
//! | `/held` | the same as `/` once [`Upstream::release`] was called |
//! | `/half` | `first`, and `second` once [`Upstream::release`] was called |
//! | `/endless` | a body without end |
//! | `/cut` | less of a body than its content-length promises, then it hangs up |
//! | `/close` | hangs up at once |
//!
//! It runs on the test's own runtime and ends with its [`Upstream`].

mod behaviour;
mod certificate;
mod rude;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

pub use certificate::Certificate;
pub use rude::{Manner, Rude};

use crate::wait;

/// A running upstream.
pub struct Upstream {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    _server: JoinSet<()>,
}

/// What has happened so far.
struct State {
    accepted: AtomicUsize,
    open: AtomicUsize,
    requests: AtomicUsize,
    sent: AtomicU64,
    released: watch::Sender<bool>,
}

impl Upstream {
    /// Listens for plain HTTP.
    pub async fn start() -> Self {
        Self::listen("http", None).await
    }

    /// Listens for HTTPS.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        Self::listen("https", Some(certificate.acceptor())).await
    }

    async fn listen(scheme: &'static str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            released: watch::Sender::new(false),
        });
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&state), tls));
        Self { address, scheme, state, _server: server }
    }

    /// Such as `http://127.0.0.1:8081`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets `/held` and `/half` go on, now and from now on.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::Relaxed)
    }

    /// Bytes of `/endless` that have gone out so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }

    /// Requests whose head has come, so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many requests have come.
    ///
    /// # Panics
    /// When they do not.
    pub async fn wait_for_requests(&self, count: usize) {
        let enough = || (self.requests() >= count).then_some(());
        wait::until(&format!("{count} requests to the upstream"), enough).await;
    }

    /// Waits until so many connections are open.
    ///
    /// # Panics
    /// When there are always more or fewer.
    pub async fn wait_for_connections(&self, count: usize) {
        let so_many = || (self.state.open.load(Ordering::Relaxed) == count).then_some(());
        wait::until(&format!("{count} connections to the upstream"), so_many).await;
    }

    /// Waits until all connections have been closed by the other side.
    ///
    /// # Panics
    /// When they are not.
    pub async fn wait_until_left_alone(&self) {
        self.wait_for_connections(0).await;
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket of ours");
        state.accepted.fetch_add(1, Ordering::Relaxed);
        let (state, tls) = (Arc::clone(&state), tls.clone());
        connections.spawn(async move {
            let _open = Open::new(&state);
            match tls {
                None => serve(stream, &state).await,
                Some(tls) => {
                    // A client that does not trust us goes away here.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, &state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: &Arc<State>) {
    let service = service_fn(async |request| {
        state.requests.fetch_add(1, Ordering::Relaxed);
        behaviour::answer(request, state).await
    });
    // Some paths are there to break it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a State);

impl<'a> Open<'a> {
    fn new(state: &'a State) -> Self {
        state.open.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
