//! A request as its handler sees it.
//!
//! Invariant: what a handler does not look at is not fetched from the host. Every look is a call
//! out of the guest, and most handlers look at little.

use std::cell::OnceCell;

use http::{HeaderMap, Method, Uri, uri::PathAndQuery};

use crate::Body;
#[cfg(target_family = "wasm")]
use crate::body::Kind;

/// A request: head, path parameters, body.
///
/// Its parts are those of [`http::Request`], fetched from the server when they are first looked
/// at; [`Request::into_http`] makes one of it.
///
/// ```
/// use remuda_sdk::{Request, Result, test};
///
/// async fn handle(request: Request) -> Result<String> {
///     let agent = request.header("user-agent").unwrap_or("somebody").to_owned();
///     Ok(format!("{agent} sent {}\n", request.into_body().text().await?))
/// }
///
/// let response = test::post("/").header("user-agent", "curl").body("text").send_now(handle);
/// assert_eq!(response.text(), "curl sent text\n");
/// ```
pub struct Request {
    method: OnceCell<Method>,
    target: OnceCell<Target>,
    uri: OnceCell<Uri>,
    headers: OnceCell<HeaderMap>,
    params: Params,
    body: Body,
}

/// Path parameters, decoded, in the order of the path.
pub(crate) type Params = Vec<(String, String)>;

/// Path and query as they came.
struct Target {
    text: String,
    /// Where the path ends.
    path: usize,
}

impl Target {
    fn new(text: String) -> Self {
        let path = text.find('?').unwrap_or(text.len());
        Self { text, path }
    }
}

impl Request {
    /// The method.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").build().method(), "GET");
    /// ```
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method.get_or_init(|| {
            #[cfg(target_family = "wasm")]
            if let Some(request) = self.at_host() {
                return request.method();
            }
            Method::GET
        })
    }

    fn target(&self) -> &Target {
        self.target.get_or_init(|| {
            let text =
                |uri: &Uri| uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
            if let Some(uri) = self.uri.get() {
                return Target::new(text(uri));
            }
            #[cfg(target_family = "wasm")]
            if let Some(request) = self.at_host() {
                return Target::new(request.target());
            }
            Target::new("/".to_owned())
        })
    }

    /// The path, as it came: what is percent-encoded still is.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/a%20b?c=d").build().path(), "/a%20b");
    /// ```
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.target();
        &target.text[..target.path]
    }

    /// What follows the `?`, as it came.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/a?c=d").build().query(), Some("c=d"));
    /// ```
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        let target = self.target();
        target.text.get(target.path + 1..)
    }

    /// Scheme, authority, path and query.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("http://localhost/a").build().uri().host(), Some("localhost"));
    /// ```
    #[must_use]
    pub fn uri(&self) -> &Uri {
        self.uri.get_or_init(|| {
            #[cfg(target_family = "wasm")]
            if let Some(request) = self.at_host() {
                return request.uri(&self.target().text);
            }
            Uri::default()
        })
    }

    /// All headers.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// let request = test::get("/").header("accept", "text/html").build();
    /// assert_eq!(request.headers()["accept"], "text/html");
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| {
            #[cfg(target_family = "wasm")]
            if let Some(request) = self.at_host() {
                return request.headers();
            }
            HeaderMap::new()
        })
    }

    /// A header's first value, if it has one that is text.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// assert_eq!(test::get("/").build().header("accept"), None);
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// A parameter of the route's path, decoded.
    ///
    /// ```
    /// use remuda_sdk::{Request, Router, test};
    ///
    /// async fn greet(request: Request) -> String {
    ///     format!("Hello, {}!", request.param("name").unwrap_or("you"))
    /// }
    ///
    /// let app = Router::new().get("/hello/{name}", greet);
    /// assert_eq!(test::get("/hello/J%C3%BCrgen").send_now(&app).text(), "Hello, Jürgen!");
    /// ```
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    pub(crate) fn set_params(&mut self, params: Params) {
        self.params = params;
    }

    /// The body alone.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// let body = test::post("/").body("text").build().into_body();
    /// assert_eq!(test::block_on(body.text()).unwrap(), "text");
    /// ```
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body
    }

    /// Fetches all of the head, and makes an [`http::Request`] of it.
    ///
    /// ```
    /// # use remuda_sdk::test;
    /// let (head, body) = test::get("/a").build().into_http().into_parts();
    /// assert_eq!(head.uri.path(), "/a");
    /// ```
    #[must_use]
    pub fn into_http(mut self) -> http::Request<Body> {
        let _all = (self.method(), self.uri(), self.headers());
        let mut request = http::Request::new(self.body);
        *request.method_mut() = self.method.take().unwrap_or_default();
        *request.uri_mut() = self.uri.take().unwrap_or_default();
        *request.headers_mut() = self.headers.take().unwrap_or_default();
        request
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn from_host(incoming: crate::guest::Incoming) -> Self {
        Self {
            method: OnceCell::new(),
            target: OnceCell::new(),
            uri: OnceCell::new(),
            headers: OnceCell::new(),
            params: Params::new(),
            body: Body(Kind::Incoming(incoming)),
        }
    }

    /// Where the rest of the head is.
    #[cfg(target_family = "wasm")]
    fn at_host(&self) -> Option<&crate::guest::Incoming> {
        match &self.body.0 {
            Kind::Incoming(incoming) => Some(incoming),
            _ => None,
        }
    }
}

impl From<http::Request<Body>> for Request {
    fn from(request: http::Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method.into(),
            target: OnceCell::new(),
            uri: head.uri.into(),
            headers: head.headers.into(),
            params: Params::new(),
            body,
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method(), self.path())
    }
}
