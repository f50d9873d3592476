//! What a client asks for.

use std::{convert::Infallible, fmt, io};

use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{self, Entry},
};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request before it is on its way.
#[derive(Clone, Debug)]
pub struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Nothing,
    /// With a content-length.
    Whole(Bytes),
    /// Without.
    Chunks(Vec<Bytes>, Option<HeaderMap>),
}

impl Ask {
    #[must_use]
    pub fn new(method: Method, target: &str) -> Self {
        let headers = HeaderMap::new();
        Self { method, target: target.to_owned(), headers, content: Content::Nothing }
    }

    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    #[must_use]
    pub fn head(target: &str) -> Self {
        Self::new(Method::HEAD, target)
    }

    #[must_use]
    pub fn post(target: &str) -> Self {
        Self::new(Method::POST, target)
    }

    /// Has the guest fetch send a request to this URL.
    #[must_use]
    pub fn fetch(url: &str) -> Self {
        Self::get("/").header("x-url", url)
    }

    /// Has the guest fetch post to this URL.
    #[must_use]
    pub fn fetch_post(url: &str) -> Self {
        Self::post("/").header("x-url", url).header("x-method", "POST")
    }

    /// # Panics
    /// When it cannot be a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        self.headers.append(name, HeaderValue::try_from(value).expect("a header's value"));
        self
    }

    /// The host name that is asked, in the place of the server's address. A second one
    /// contradicts the first.
    #[must_use]
    pub fn host(self, name: &str) -> Self {
        self.header("host", name)
    }

    /// A body with a content-length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.content = Content::Whole(body.into());
        self
    }

    /// A body in pieces of so many bytes, without a content-length.
    #[must_use]
    pub fn chunked(mut self, body: &Bytes, size: usize) -> Self {
        let pieces = (0..body.len()).step_by(size);
        let pieces = pieces.map(|start| body.slice(start..body.len().min(start + size)));
        self.content = Content::Chunks(pieces.collect(), None);
        self
    }

    /// Trailers after a chunked body.
    ///
    /// # Panics
    /// When the body is not chunked, or it cannot be a header.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        let Content::Chunks(_, trailers) = &mut self.content else {
            panic!("only a chunked body has trailers");
        };
        let name = HeaderName::try_from(name).expect("a header's name");
        let value = HeaderValue::try_from(value).expect("a header's value");
        trailers.get_or_insert_default().append(name, value);
        self
    }

    pub(super) fn into_request(mut self, authority: &str, version: Version) -> Request<Body> {
        let mut hosts = match self.headers.entry(header::HOST) {
            Entry::Occupied(hosts) => hosts.remove_entry_mult().1.collect(),
            Entry::Vacant(_) => Vec::new(),
        };
        let first = (!hosts.is_empty()).then(|| hosts.remove(0));
        let host = first.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(authority);
        let uri = if version == Version::HTTP_2 {
            format!("http://{host}{}", self.target)
        } else {
            let host = HeaderValue::try_from(host).expect("an authority");
            self.headers.insert(header::HOST, host);
            self.target
        };
        for another in hosts {
            self.headers.append(header::HOST, another);
        }
        let mut request = Request::new(self.content.into_body());
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::try_from(uri).expect("a URI");
        *request.headers_mut() = self.headers;
        request
    }
}

impl Content {
    fn into_body(self) -> Body {
        let never = |never: Infallible| match never {};
        match self {
            Self::Nothing => Empty::new().map_err(never).boxed_unsync(),
            Self::Whole(bytes) => Full::new(bytes).map_err(never).boxed_unsync(),
            Self::Chunks(chunks, trailers) => {
                let data = chunks.into_iter().map(Frame::data);
                let frames = data.chain(trailers.map(Frame::trailers)).map(Ok);
                StreamBody::new(stream::iter(frames)).boxed_unsync()
            }
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}
