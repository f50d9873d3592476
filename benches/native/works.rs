//! The works of the comparison by hyper alone, on one thread, with others for what burns; see
//! guests/works.

#[path = "../../guests/works/src/content.rs"]
mod content;

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

type Upstreams = Client<HttpConnector, Empty<Bytes>>;
type Answer = Response<BoxBody<Bytes, hyper::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address: SocketAddr = std::env::args()
        .nth(1)
        .context("usage: native-works ADDRESS")?
        .parse()
        .context("ADDRESS is an IP address and a port, such as 127.0.0.1:8000")?;
    let upstreams: Upstreams = Client::builder(TokioExecutor::new()).build_http();
    let listener = TcpListener::bind(address).await.context("failed to listen")?;
    loop {
        let (stream, _) = listener.accept().await.context("failed to accept")?;
        stream.set_nodelay(true)?;
        let upstreams = upstreams.clone();
        let service = service_fn(move |request| answer(request, upstreams.clone()));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // Each connection ends by itself when its client leaves.
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>, upstreams: Upstreams) -> Result<Answer, Infallible> {
    Ok(match request.uri().path() {
        "/text" => response("text/plain", whole(Bytes::from_static(content::TEXT))),
        "/json" => response("application/json", whole(content::document().into())),
        "/stream" => {
            let pieces = (0..content::PIECES).map(|_| Ok(Frame::data(content::piece().into())));
            response("text/plain", StreamBody::new(futures_util::stream::iter(pieces)).boxed())
        }
        "/echo" => response("application/octet-stream", request.into_body().boxed()),
        "/burn" => {
            // As one does in Rust: the event loop is nobody's to burn.
            let query = request.uri().query().unwrap_or_default().to_owned();
            match tokio::task::spawn_blocking(move || content::burn(&query)).await {
                Ok(()) => response("text/plain", whole(Bytes::from_static(content::BURNT))),
                Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR),
            }
        }
        "/wait" => wait(request.uri().query().unwrap_or_default(), upstreams).await,
        _ => refused(StatusCode::NOT_FOUND),
    })
}

async fn wait(authority: &str, upstreams: Upstreams) -> Answer {
    let Ok(uri) = format!("http://{authority}/").parse() else {
        return refused(StatusCode::BAD_REQUEST);
    };
    match upstreams.get(uri).await {
        Ok(answer) => response("text/plain", answer.into_body().boxed()),
        Err(_) => refused(StatusCode::BAD_GATEWAY),
    }
}

fn whole(bytes: Bytes) -> BoxBody<Bytes, hyper::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn response(kind: &'static str, body: BoxBody<Bytes, hyper::Error>) -> Answer {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refused(status: StatusCode) -> Answer {
    let mut response = response("text/plain", whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
