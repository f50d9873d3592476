//! A request before it is sent.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde::Serialize;

use super::{ClientError, ClientResponse, Phase, send};
use crate::Body;

/// A request that is being made; see [`Client`](crate::Client).
///
/// ```no_run
/// use std::time::Duration;
///
/// # use remuda_sdk::{Client, Result};
/// # async fn order() -> Result<()> {
/// let response = Client::new()
///     .post("https://api.example.com/orders")
///     .header("authorization", "Bearer secret")
///     .query("dry_run", "true")
///     .json(&["apples", "pears"])
///     .timeout(Duration::from_secs(3))
///     .send()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClientRequest {
    url: String,
    outgoing: Outgoing,
    total: Option<Duration>,
    /// What went wrong while it was made.
    wrong: Option<String>,
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) timeouts: Timeouts,
}

/// What the server is asked to keep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) between_bytes: Option<Duration>,
}

impl Outgoing {
    /// Scheme, host and port, as in `outbound.allow`.
    pub(crate) fn origin(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}")
    }
}

impl ClientRequest {
    pub(super) fn new(method: Method, url: &str) -> Self {
        let outgoing = Outgoing {
            method,
            uri: Uri::default(),
            headers: HeaderMap::new(),
            body: Body::empty(),
            timeouts: Timeouts::default(),
        };
        Self { url: url.to_owned(), outgoing, total: None, wrong: None }
    }

    /// With one more header. What is wrong with it is an error when the request is sent.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// Client::new().get("http://localhost/").header("accept", "application/json");
    /// ```
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.outgoing.headers.append(name, value);
            }
            _ => self.wrong = Some(format!("the header \"{name}\" is none")),
        }
        self
    }

    /// With these headers in place of those of the same names.
    ///
    /// ```
    /// # use remuda_sdk::{Client, HeaderMap};
    /// Client::new().get("http://localhost/").headers(HeaderMap::new());
    /// ```
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.outgoing.headers.extend(headers);
        self
    }

    /// With one more parameter in the query, encoded.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// Client::new().get("http://localhost/search").query("q", "a & b");
    /// ```
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        self.url.extend(form_urlencoded::byte_serialize(name.as_bytes()));
        self.url.push('=');
        self.url.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        self
    }

    /// With this body. One that is a stream is sent as it comes.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// Client::new().post("http://localhost/").body("text");
    /// ```
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.outgoing.body = body.into();
        self
    }

    /// With this as JSON.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// Client::new().post("http://localhost/").json(&[1, 2]);
    /// ```
    #[must_use]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => {
                let json = HeaderValue::from_static("application/json");
                self.outgoing.headers.insert(header::CONTENT_TYPE, json);
                self.body(text)
            }
            Err(error) => {
                self.wrong = Some(format!("the body cannot be JSON: {error}"));
                self
            }
        }
    }

    /// How long all of it may take, the response's body included.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// # use std::time::Duration;
    /// Client::new().get("http://localhost/").timeout(Duration::from_secs(2));
    /// ```
    #[must_use]
    pub fn timeout(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// How long a connection may take.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// # use std::time::Duration;
    /// Client::new().get("http://localhost/").connect_timeout(Duration::from_millis(300));
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.outgoing.timeouts.connect = Some(timeout);
        self
    }

    /// How long the head of the response may take.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// # use std::time::Duration;
    /// Client::new().get("http://localhost/").first_byte_timeout(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.outgoing.timeouts.first_byte = Some(timeout);
        self
    }

    /// How long the response may pause.
    ///
    /// ```
    /// # use remuda_sdk::Client;
    /// # use std::time::Duration;
    /// Client::new().get("http://localhost/").between_bytes_timeout(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn between_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.outgoing.timeouts.between_bytes = Some(timeout);
        self
    }

    /// Sends it, and waits for the head of the response.
    ///
    /// # Errors
    /// When there is none; a status is no error.
    ///
    /// ```no_run
    /// # use remuda_sdk::{Client, ClientError};
    /// # async fn check() -> Result<(), ClientError> {
    /// let response = Client::new().get("http://localhost/").send().await?;
    /// assert_eq!(response.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(self) -> Result<ClientResponse, ClientError> {
        let Self { url, mut outgoing, total, wrong } = self;
        outgoing.uri = match (wrong, absolute(&url)) {
            (None, Ok(uri)) => uri,
            (Some(reason), _) | (None, Err(reason)) => {
                return Err(ClientError::Invalid { url, reason });
            }
        };
        let origin = outgoing.origin();
        let Some(total) = total else {
            return Ok(ClientResponse::new(origin, send(outgoing).await?, None));
        };
        // It goes on while the body is read.
        let mut end: crate::task::Pause = Box::pin(crate::sleep(total));
        let late = ClientError::Timeout { origin: origin.clone(), phase: Phase::Total };
        let mut sending = std::pin::pin!(send(outgoing));
        let response = std::future::poll_fn(|context| {
            if let std::task::Poll::Ready(response) = sending.as_mut().poll(context) {
                return std::task::Poll::Ready(response);
            }
            end.as_mut().poll(context).map(|()| Err(late.clone()))
        });
        let response = response.await?;
        Ok(ClientResponse::new(origin, response, Some(end)))
    }
}

/// A URL with scheme and host.
fn absolute(url: &str) -> Result<Uri, String> {
    let url = url.split('#').next().unwrap_or_default();
    let uri: Uri = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err("it is no absolute URL of http or https".to_owned()),
    }
}
