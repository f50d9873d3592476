//! What can be answered: [`IntoResponse`] and the types that have it.
//!
//! Owner: whoever calls a handler. Invariant: every value becomes a response; one that cannot, for
//! a header that is none, becomes a 500 that is logged.

mod redirect;
mod sse;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

pub use redirect::Redirect;
pub use sse::{Event, Sse};

use crate::{Body, Error, extract::Json};

/// A response: [`http::Response`] with a [`Body`].
///
/// ```
/// use remuda_sdk::{Body, Response, Result};
///
/// async fn handle() -> Result<Response> {
///     Ok(Response::builder().status(201).header("location", "/items/7").body(Body::empty())?)
/// }
/// ```
pub type Response<B = Body> = http::Response<B>;

/// What a handler may return.
///
/// | value | response |
/// |---|---|
/// | text, bytes, [`Body`] | 200 with this body |
/// | [`Json`], [`Html`] | 200 with this body and its content type |
/// | [`Sse`] | server-sent events |
/// | [`Redirect`] | 303, 307 or 308 |
/// | [`StatusCode`] | this status without a body |
/// | `()` | 200 without a body |
/// | `(StatusCode, T)` | what `T` is, with this status |
/// | `(HeaderMap, T)`, `([(name, value); N], T)` | what `T` is, with these headers in place of its own |
/// | `(StatusCode, headers, T)` | both |
/// | `Result<T, E>` | whichever it is |
/// | [`Error`] | a problem document |
///
/// ```
/// use remuda_sdk::{IntoResponse, Response, StatusCode};
///
/// struct Csv(String);
///
/// impl IntoResponse for Csv {
///     fn into_response(self) -> Response {
///         (StatusCode::OK, [("content-type", "text/csv")], self.0).into_response()
///     }
/// }
///
/// let response = Csv("a,b\n".into()).into_response();
/// assert_eq!(response.headers()["content-type"], "text/csv");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no response",
    label = "a handler returns what implements `IntoResponse`",
    note = "text, bytes, `Json`, `Html`, `Sse`, `Redirect`, `StatusCode`, `Response`, tuples of a \
            status, headers and one of them, and `Result` of them do"
)]
pub trait IntoResponse {
    /// The response that this is.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(Body::empty())
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        response
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

/// A response with this content and its type.
fn content(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

macro_rules! into_response {
    ($($type:ty: $kind:expr),* $(,)?) => {$(
        impl IntoResponse for $type {
            fn into_response(self) -> Response {
                content($kind, self)
            }
        }
    )*};
}

into_response! {
    &'static str: TEXT,
    String: TEXT,
    Cow<'static, str>: TEXT,
    Bytes: BYTES,
    Vec<u8>: BYTES,
    &'static [u8]: BYTES,
}

/// Text that is HTML.
///
/// ```
/// use remuda_sdk::{Html, test};
///
/// async fn page() -> Html<&'static str> {
///     Html("<h1>Hello</h1>")
/// }
///
/// assert_eq!(test::get("/").send_now(page).header("content-type"), "text/html; charset=utf-8");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Html<T>(pub T);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        content("text/html; charset=utf-8", self.0)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => content("application/json", text),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        *response.status_mut() = self.0;
        response
    }
}

impl<T: IntoResponse> IntoResponse for (HeaderMap, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        let headers = response.headers_mut();
        let mut last = None;
        for (name, value) in self.0 {
            // Only the first of several values of one name comes with it.
            match (name, &last) {
                (Some(name), _) => {
                    headers.insert(name.clone(), value);
                    last = Some(name);
                }
                (None, Some(name)) => {
                    headers.append(name, value);
                }
                (None, None) => {}
            }
        }
        response
    }
}

impl<K, V, T, const N: usize> IntoResponse for ([(K, V); N], T)
where
    HeaderName: TryFrom<K>,
    HeaderValue: TryFrom<V>,
    T: IntoResponse,
{
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        for (name, value) in self.0 {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(value)) => response.headers_mut().insert(name, value),
                _ => {
                    let reason = "failed to make a response: one of its headers is none";
                    return Error::internal(reason).into_response();
                }
            };
        }
        response
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, HeaderMap, T) {
    fn into_response(self) -> Response {
        (self.0, (self.1, self.2)).into_response()
    }
}

impl<K, V, T, const N: usize> IntoResponse for (StatusCode, [(K, V); N], T)
where
    HeaderName: TryFrom<K>,
    HeaderValue: TryFrom<V>,
    T: IntoResponse,
{
    fn into_response(self) -> Response {
        let (status, headers, rest) = self;
        let response = (headers, rest).into_response();
        // A header that is none keeps its 500.
        if response.status().is_server_error() {
            response
        } else {
            (status, response).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_set_status_and_headers() {
        let headers = [("content-type", "text/csv"), ("x-a", "b")];
        let response = (StatusCode::CREATED, headers, "a,b").into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["content-type"], "text/csv");
        assert_eq!(response.headers()["x-a"], "b");
    }

    #[test]
    fn all_values_of_a_header_are_kept() {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        let response = (headers, "text").into_response();
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers()["content-type"], TEXT);
    }

    #[test]
    fn a_header_that_is_none_is_a_500() {
        let response = (StatusCode::CREATED, [("x-a", "b\nc")], "text").into_response();
        assert_eq!(response.status(), 500);
    }
}
