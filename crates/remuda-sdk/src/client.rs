//! A component's own requests.
//!
//! Owner: handlers. Invariant: the server decides what is allowed and how long it may take at most; what
//! is set here only makes it stricter.

mod error;
mod request;
mod response;
#[cfg(not(target_family = "wasm"))]
mod stub;

use http::Method;

pub use error::{ClientError, Phase};
pub use request::ClientRequest;
pub(crate) use request::Outgoing;
pub use response::ClientResponse;
#[cfg(not(target_family = "wasm"))]
pub use stub::{Sent, StubGuard};

/// Sends requests to other servers.
///
/// The server denies all of them but those to the origins in `outbound.allow`, keeps connections, and
/// has time limits of its own (`outbound.connect_timeout` and so on). Several requests at a time are
/// several futures joined.
///
/// ```no_run
/// use std::time::Duration;
///
/// use remuda_sdk::{Client, Json, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, Serialize)]
/// struct Quote {
///     text: String,
/// }
///
/// async fn quote() -> Result<Json<Quote>> {
///     let client = Client::new();
///     let request = client.get("https://quotes.example.com/random").timeout(Duration::from_secs(2));
///     Ok(Json(request.send().await?.error_for_status()?.json().await?))
/// }
/// ```
///
/// On the machine you work on, tests answer with [`Client::stub`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Client(());

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {$(
        #[doc = concat!("A ", stringify!($method), " request to this absolute URL.")]
        ///
        /// ```
        /// # use remuda_sdk::Client;
        #[doc = concat!("let request = Client::new().", stringify!($name), "(\"http://localhost/\");")]
        /// ```
        #[must_use]
        pub fn $name(&self, url: &str) -> ClientRequest {
            self.request(Method::$method, url)
        }
    )*};
}

impl Client {
    /// A client. It costs nothing: the connections are the server's.
    ///
    /// ```
    /// let client = remuda_sdk::Client::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }

    methods! {
        get GET,
        head HEAD,
        post POST,
        put PUT,
        patch PATCH,
        delete DELETE,
    }

    /// A request with this method to this absolute URL. What is wrong with the URL is an error when it
    /// is sent.
    ///
    /// ```
    /// # use remuda_sdk::{Client, Method};
    /// let request = Client::new().request(Method::OPTIONS, "http://localhost/");
    /// ```
    #[must_use]
    pub fn request(&self, method: Method, url: &str) -> ClientRequest {
        ClientRequest::new(method, url)
    }

    /// Answers all clients of this thread until the guard is dropped: for tests on the machine you work
    /// on.
    ///
    /// ```
    /// use remuda_sdk::{Client, Json, Result, test};
    ///
    /// async fn handle() -> Result<String> {
    ///     let response = Client::new().get("http://prices.example.com/7").send().await?;
    ///     Ok(format!("it costs {}", response.json::<u32>().await?))
    /// }
    ///
    /// let _stub = Client::stub(|request| {
    ///     assert_eq!(request.uri().path(), "/7");
    ///     Json(42)
    /// });
    /// assert_eq!(test::get("/").send_now(handle).text(), "it costs 42");
    /// ```
    #[cfg(not(target_family = "wasm"))]
    pub fn stub<R: crate::IntoResponse>(answer: impl Fn(Sent) -> R + 'static) -> StubGuard {
        stub::install(move |request| answer(request).into_response())
    }
}

#[cfg(target_family = "wasm")]
use crate::guest::send;
#[cfg(not(target_family = "wasm"))]
use stub::send;
