//! Handlers called from tests, on the machine you work on: no server, no Wasm.
//!
//! ```
//! use remuda_sdk::{Json, Router, test};
//! use serde_json::{Value, json};
//!
//! async fn double(Json(number): Json<u32>) -> Json<u32> {
//!     Json(number * 2)
//! }
//!
//! fn app() -> Router {
//!     Router::new().post("/double", double)
//! }
//!
//! let response = test::post("/double").json(&21).send_now(app());
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.json::<u32>(), 42);
//! ```
//!
//! [`Client::stub`](crate::Client::stub) answers the handler's own requests; [`offload!`](crate::offload)
//! runs jobs in place.
//!
//! Owner: tests. Invariant: a handler cannot tell it from a server, except by what only a server has.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Body, Handler, Request, Response};

/// Runs a future, and what it spawns, to their ends.
///
/// ```
/// assert_eq!(remuda_sdk::test::block_on(async { 7 }), 7);
/// ```
#[cfg(not(target_family = "wasm"))]
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    crate::native::block_on(work)
}

/// A request that is being made.
///
/// ```
/// let request = remuda_sdk::test::put("/items/7").header("if-match", "\"v1\"").body("text").build();
/// assert_eq!(request.header("if-match"), Some("\"v1\""));
/// ```
#[derive(Debug)]
pub struct TestRequest(http::Request<Body>);

/// A request with this method.
///
/// ```
/// # use remuda_sdk::{Method, test};
/// assert_eq!(test::request(Method::OPTIONS, "/").build().method(), "OPTIONS");
/// ```
///
/// # Panics
/// When that is no URI.
pub fn request(method: Method, uri: &str) -> TestRequest {
    let mut request = http::Request::new(Body::empty());
    *request.method_mut() = method;
    match uri.parse::<Uri>() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => panic!("failed to make a request: \"{uri}\" is no URI: {error}"),
    }
    TestRequest(request)
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {$(
        #[doc = concat!("A ", stringify!($method), " request.")]
        ///
        /// ```
        /// # use remuda_sdk::test;
        #[doc = concat!("let request = test::", stringify!($name), "(\"/\").build();")]
        #[doc = concat!("assert_eq!(request.method(), \"", stringify!($method), "\");")]
        /// ```
        ///
        /// # Panics
        /// When that is no URI.
        pub fn $name(uri: &str) -> TestRequest {
            request(Method::$method, uri)
        }
    )*};
}

methods! {
    get GET,
    post POST,
    put PUT,
    patch PATCH,
    delete DELETE,
}

impl TestRequest {
    /// With one more header.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// test::get("/").header("accept", "text/html");
    /// ```
    ///
    /// # Panics
    /// When that is no header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => self.0.headers_mut().append(name, value),
            _ => panic!("failed to make a request: \"{name}: {value}\" is no header"),
        };
        self
    }

    /// With this body.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// test::post("/").body("text");
    /// ```
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.0.body_mut() = body.into();
        self
    }

    /// With this as JSON.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// let request = test::post("/").json(&[1, 2]).build();
    /// assert_eq!(request.header("content-type"), Some("application/json"));
    /// ```
    ///
    /// # Panics
    /// When it cannot be serialized.
    #[must_use]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.0.headers_mut().insert(header::CONTENT_TYPE, json);
        match serde_json::to_vec(value) {
            Ok(text) => self.body(text),
            Err(error) => panic!("failed to make a request: {error}"),
        }
    }

    /// With these fields as a form.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// test::post("/").form(&[("name", "Ada")]);
    /// ```
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.0.headers_mut().insert(header::CONTENT_TYPE, form);
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body(text)
    }

    /// The request.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/a").build().path(), "/a");
    /// ```
    #[must_use]
    pub fn build(self) -> Request {
        self.0.into()
    }

    /// Calls a handler without reading its body: for one that does not end.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// # test::block_on(async {
    /// let mut response = test::get("/").call(async || "text").await;
    /// assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "text");
    /// # });
    /// ```
    pub async fn call<M>(self, handler: impl Handler<M>) -> Response {
        handler.call(self.build(), &()).await
    }

    /// Calls a handler, and reads its body.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// # test::block_on(async {
    /// assert_eq!(test::get("/").send(async || "text").await.text(), "text");
    /// # });
    /// ```
    ///
    /// # Panics
    /// When the body ends with an error.
    pub async fn send<M>(self, handler: impl Handler<M>) -> TestResponse {
        let (head, body) = self.call(handler).await.into_parts();
        match body.bytes().await {
            Ok(body) => TestResponse { status: head.status, headers: head.headers, body },
            Err(error) => panic!("the response's body failed: {error}"),
        }
    }

    /// Calls a handler, and waits for everything that it does: [`TestRequest::send`] in [`block_on`].
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").send_now(async || "text").text(), "text");
    /// ```
    ///
    /// # Panics
    /// When the body ends with an error.
    #[cfg(not(target_family = "wasm"))]
    pub fn send_now<M>(self, handler: impl Handler<M>) -> TestResponse {
        block_on(self.send(handler))
    }
}

/// A response with all of its body.
///
/// ```
/// let response = remuda_sdk::test::get("/").send_now(async || "text");
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.header("content-type"), "text/plain; charset=utf-8");
/// ```
#[derive(Clone, Debug)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl TestResponse {
    /// The status.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").send_now(async || "").status(), 200);
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// All headers.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert!(test::get("/").send_now(async || ()).headers().is_empty());
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header's first value; nothing if there is none.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").send_now(async || ()).header("location"), "");
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").send_now(async || "text").bytes(), b"text");
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").send_now(async || "text").text(), "text");
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// ```
    /// # use remuda_sdk::{Json, test};
    /// assert_eq!(test::get("/").send_now(async || Json(7)).json::<u32>(), 7);
    /// ```
    ///
    /// # Panics
    /// When it is none, or not such a value.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is no such JSON: {error}: {}", self.text()),
        }
    }
}
