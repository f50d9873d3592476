//! A server that does what a path says.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::oneshot,
};
use tokio_rustls::TlsAcceptor;

/// What the server has seen, and how it is to behave.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) http2: AtomicU64,
    /// Requests that were being answered at the same time, at most.
    pub(crate) most_at_once: AtomicU64,
    at_once: AtomicU64,
    /// The next request finds the whole server standing still.
    pub(crate) freeze: AtomicBool,
}

impl State {
    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) state: Arc<State>,
    /// Its certificate in PEM, when it has one.
    pub(crate) certificate: Option<PathBuf>,
    _folder: tempfile::TempDir,
    /// Dropped when the server is to end.
    _stop: oneshot::Sender<()>,
}

/// How the server is reached.
enum Socket {
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
    Unix(UnixListener),
}

impl Server {
    pub(crate) fn tcp() -> Self {
        Self::start(|_| Box::pin(async { (Socket::Tcp(loopback().await), None) }))
    }

    pub(crate) fn unix() -> Self {
        Self::start(|folder| {
            let path = folder.join("server.sock");
            Box::pin(async { (Socket::Unix(UnixListener::bind(path).unwrap()), None) })
        })
    }

    /// `h2` and `http/1.1` by ALPN.
    pub(crate) fn tls() -> Self {
        Self::tls_as(&["localhost", "127.0.0.1"], rcgen::IsCa::NoCa)
    }

    /// The same with a certificate of its own making.
    pub(crate) fn tls_as(names: &[&str], is_ca: rcgen::IsCa) -> Self {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Self::start(move |folder| {
            let file = folder.join("certificate.pem");
            Box::pin(async move {
                let mut parameters = rcgen::CertificateParams::new(names).unwrap();
                parameters.is_ca = is_ca;
                let key = rcgen::KeyPair::generate().unwrap();
                let certificate = parameters.self_signed(&key).unwrap();
                std::fs::write(&file, certificate.pem()).unwrap();
                let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let mut config = rustls::ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], key)
                    .unwrap();
                config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                let acceptor = TlsAcceptor::from(Arc::new(config));
                (Socket::Tls(loopback().await, acceptor), Some(file))
            })
        })
    }

    fn start<F>(bind: F) -> Self
    where
        F: FnOnce(&Path) -> Pin<Box<dyn Future<Output = (Socket, Option<PathBuf>)>>>
            + Send
            + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let (sender, ready) = std::sync::mpsc::channel();
        let served = Arc::clone(&state);
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (socket, certificate) = bind(&path).await;
                let url = match &socket {
                    Socket::Tcp(listener) => format!("http://{}", listener.local_addr().unwrap()),
                    Socket::Tls(listener, _) => {
                        format!("https://{}", listener.local_addr().unwrap())
                    }
                    Socket::Unix(_) => format!("unix:{}", path.join("server.sock").display()),
                };
                sender.send((url, certificate)).unwrap();
                tokio::select! {
                    () = accept(socket, served) => {}
                    _ = stopped => {}
                }
            });
        });
        let (url, certificate) = ready.recv().unwrap();
        Self { url, state, certificate, _folder: folder, _stop: stop }
    }

    pub(crate) fn requests(&self) -> u64 {
        State::get(&self.state.requests)
    }

    /// Without the one that looks whether there is a server.
    pub(crate) fn connections(&self) -> u64 {
        State::get(&self.state.connections) - 1
    }
}

async fn loopback() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

async fn accept(socket: Socket, state: Arc<State>) {
    loop {
        match &socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
            Socket::Tls(listener, acceptor) => {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, state).await;
                    }
                });
            }
        }
        state.connections.fetch_add(1, Ordering::SeqCst);
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let builder = auto::Builder::new(TokioExecutor::new());
    // How it ends is what some tests are about.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// Ends before it should.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the server wants it so")
    }
}

impl std::error::Error for Broken {}

/// A body, or one that breaks off after its first piece.
enum Answer {
    Whole(Full<Bytes>),
    Broken(Option<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {})
            }
            Self::Broken(piece) => Poll::Ready(Some(piece.take().map(Frame::data).ok_or(Broken))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Broken(_) => SizeHint::default(),
        }
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Answer>, Broken> {
    state.requests.fetch_add(1, Ordering::SeqCst);
    if request.version() == http::Version::HTTP_2 {
        state.http2.fetch_add(1, Ordering::SeqCst);
    }
    let at_once = state.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    state.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    if state.freeze.swap(false, Ordering::SeqCst) {
        // Not a pause of this request: nobody is served.
        thread::sleep(Duration::from_secs(1));
    }
    let result = reply(request).await;
    state.at_once.fetch_sub(1, Ordering::SeqCst);
    result
}

async fn reply(request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_matches('/').split('/');
    let text = |text: &'static str| Answer::Whole(Full::from(text));
    let response = match (parts.next(), parts.next()) {
        (Some("status"), Some(code)) => {
            let mut response = Response::new(text("status"));
            *response.status_mut() = StatusCode::from_bytes(code.as_bytes()).unwrap();
            response
        }
        (Some("slow"), Some(millis)) => {
            tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
            Response::new(text("slow"))
        }
        (Some("echo"), _) => {
            let host = request.headers().get(header::HOST).cloned();
            let body = request.into_body().collect().await.map_err(|_| Broken)?.to_bytes();
            let mut response = Response::new(Answer::Whole(Full::new(body)));
            if let Some(host) = host {
                response.headers_mut().insert("x-host", host);
            }
            response
        }
        (Some("large"), _) => Response::new(Answer::Whole(Full::from(vec![b'x'; 1 << 20]))),
        (Some("last"), _) => {
            let mut response = Response::new(text("bye"));
            let close = header::HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
        (Some("metrics"), _) => Response::new(text(
            "remuda_in_flight 3\nremuda_shed_total{reason=\"queue_full\"} 7\n\
             remuda_worker_rss_bytes{worker=\"0\"} 1048576\n",
        )),
        (Some("break"), _) => Response::new(Answer::Broken(Some(Bytes::from_static(b"half")))),
        (Some("hang-up"), _) => return Err(Broken),
        _ => Response::new(text("Hello, world!\n")),
    };
    Ok(response)
}
