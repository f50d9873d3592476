//! A message from the host: its head until the body is wanted, then the body.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use wasip3::{
    http::types::{ErrorCode, Fields, Request, Response, Scheme, Trailers},
    wit_bindgen::{FutureReader, StreamReader, StreamResult},
    wit_future,
};

use super::{runtime::method_from_host, sending::client_error};
use crate::{Error, Phase, Result};

/// The least and the most that is asked for at once, in bytes.
const SMALL: usize = 4 * 1024;
const LARGE: usize = 64 * 1024;

/// Trailers, or why there is no end.
pub(super) type End = FutureReader<Result<Option<Trailers>, ErrorCode>>;

/// A request whose head may still be asked for, or a body.
pub(crate) struct Incoming(State);

enum State {
    Request(Request),
    Body(Reader),
    /// A chunk is on its way.
    Reading(Pin<Box<dyn Future<Output = (Option<Result<Bytes>>, Reader)>>>),
    Ended,
}

struct Reader {
    chunks: StreamReader<u8>,
    /// `None` once it was read.
    end: Option<End>,
    /// Who sends it, if that is not the client.
    origin: Option<String>,
    capacity: usize,
}

impl Incoming {
    pub(super) fn request(request: Request) -> Self {
        Self(State::Request(request))
    }

    pub(super) fn response(response: Response, origin: String) -> Self {
        let (_, handled) = wit_future::new(|| Ok(()));
        let (chunks, end) = Response::consume_body(response, handled);
        Self(State::Body(Reader::new(chunks, end, Some(origin))))
    }

    fn head(&self) -> Option<&Request> {
        match &self.0 {
            State::Request(request) => Some(request),
            _ => None,
        }
    }

    pub(crate) fn method(&self) -> Method {
        self.head().map(|request| method_from_host(request.get_method())).unwrap_or_default()
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        self.head().and_then(Request::get_path_with_query).unwrap_or_else(|| "/".to_owned())
    }

    pub(crate) fn uri(&self, target: &str) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = target.parse().ok();
        let authority = self.head().and_then(Request::get_authority);
        if let Some(authority) = authority.and_then(|it| it.parse().ok()) {
            let scheme = self.head().and_then(Request::get_scheme);
            parts.authority = Some(authority);
            parts.scheme = match scheme {
                Some(Scheme::Https) => Some(http::uri::Scheme::HTTPS),
                Some(Scheme::Other(other)) => other.parse().ok(),
                Some(Scheme::Http) | None => Some(http::uri::Scheme::HTTP),
            };
        }
        Uri::from_parts(parts).unwrap_or_default()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.head().map(|request| headers(&request.get_headers())).unwrap_or_default()
    }

    /// From here on there is no head any more.
    fn reader(self) -> Option<Reader> {
        match self.0 {
            State::Request(request) => {
                let (_, handled) = wit_future::new(|| Ok(()));
                let (chunks, end) = Request::consume_body(request, handled);
                Some(Reader::new(chunks, end, None))
            }
            State::Body(reader) => Some(reader),
            State::Reading(_) | State::Ended => None,
        }
    }

    /// What is handed on as it is, without entering this component; the rest, once it was read from.
    pub(super) fn into_parts(self) -> std::result::Result<(StreamReader<u8>, End), Self> {
        if !matches!(&self.0, State::Request(_) | State::Body(Reader { end: Some(_), .. })) {
            return Err(self);
        }
        match self.reader() {
            Some(Reader { chunks, end: Some(end), .. }) => Ok((chunks, end)),
            _ => Err(Self(State::Ended)),
        }
    }

    pub(crate) async fn read_to_end(mut self) -> Result<Bytes> {
        let mut all = Vec::new();
        if let State::Reading(_) = self.0 {
            let next = std::future::poll_fn(|context| self.poll_next(context)).await;
            all.extend(next.transpose()?.unwrap_or_default());
        }
        let Some(mut reader) = self.reader() else { return Ok(all.into()) };
        loop {
            all.reserve(reader.capacity);
            let (read, bytes) = reader.chunks.read(all).await;
            all = bytes;
            if !matches!(read, StreamResult::Complete(_)) {
                reader.end().await?;
                return Ok(all.into());
            }
            reader.capacity = (reader.capacity * 2).min(LARGE);
        }
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if let State::Reading(reading) = &mut self.0 {
            let (chunk, reader) = std::task::ready!(reading.as_mut().poll(context));
            let goes_on = matches!(chunk, Some(Ok(_)));
            self.0 = if goes_on { State::Body(reader) } else { State::Ended };
            return Poll::Ready(chunk);
        }
        let Some(mut reader) = Self(std::mem::replace(&mut self.0, State::Ended)).reader() else {
            return Poll::Ready(None);
        };
        self.0 = State::Reading(Box::pin(async move { (reader.chunk().await, reader) }));
        self.poll_next(context)
    }
}

impl Reader {
    fn new(chunks: StreamReader<u8>, end: End, origin: Option<String>) -> Self {
        Self { chunks, end: Some(end), origin, capacity: SMALL }
    }

    async fn chunk(&mut self) -> Option<Result<Bytes>> {
        loop {
            let (read, bytes) = self.chunks.read(Vec::with_capacity(self.capacity)).await;
            if !matches!(read, StreamResult::Complete(_)) {
                return self.end().await.err().map(Err);
            }
            self.capacity = (self.capacity * 2).min(LARGE);
            if !bytes.is_empty() {
                return Some(Ok(bytes.into()));
            }
        }
    }

    /// Whether the end was in order.
    async fn end(&mut self) -> Result<()> {
        let Some(end) = self.end.take() else { return Ok(()) };
        let Err(code) = end.await else { return Ok(()) };
        Err(match &self.origin {
            Some(origin) => client_error(code, origin, Phase::BetweenBytes).into(),
            None => request_error(&code),
        })
    }
}

/// What became of a request's body.
fn request_error(code: &ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestBodySize(_) => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
        }
        ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionTimeout => {
            Error::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
        }
        _ => Error::bad_request("the body did not come to its end"),
    }
}

/// Those that are headers; the server has parsed them.
pub(super) fn headers(fields: &Fields) -> HeaderMap {
    let all = fields.copy_all();
    let mut headers = HeaderMap::with_capacity(all.len());
    for (name, value) in all {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(Bytes::from(value))) {
            headers.append(name, value);
        }
    }
    headers
}
