//! A response to a component's own request.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::{ClientError, Phase};
use crate::{Body, Error, Response, Result, task::Pause};

/// The response to a request of a [`Client`](crate::Client).
///
/// ```
/// use remuda_sdk::{Client, StatusCode, test};
///
/// let _stub = Client::stub(|_| (StatusCode::CREATED, "made"));
/// # test::block_on(async {
/// let response = Client::new().post("http://localhost/").send().await?;
/// assert_eq!(response.status(), 201);
/// assert_eq!(response.text().await?, "made");
/// # Ok::<(), remuda_sdk::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ClientResponse {
    origin: String,
    response: Response,
}

impl ClientResponse {
    pub(super) fn new(origin: String, response: Response, end: Option<Pause>) -> Self {
        let response = match end {
            None => response,
            Some(end) => {
                let origin = origin.clone();
                response.map(|body| Body::from_stream(Limited { body, end, origin }))
            }
        };
        Self { origin, response }
    }

    /// The status.
    ///
    /// ```no_run
    /// # async fn example(response: remuda_sdk::ClientResponse) {
    /// assert_eq!(response.status(), 200);
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    ///
    /// ```no_run
    /// # async fn example(response: remuda_sdk::ClientResponse) {
    /// assert_eq!(response.headers()["content-type"], "application/json");
    /// # }
    /// ```
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The same, if its status is not one of failure.
    ///
    /// # Errors
    /// When the status is 400 or more.
    ///
    /// ```
    /// # use remuda_sdk::{Client, ClientError, StatusCode, test};
    /// # let _stub = Client::stub(|_| StatusCode::NOT_FOUND);
    /// # test::block_on(async {
    /// let response = Client::new().get("http://localhost/").send().await?;
    /// assert!(matches!(response.error_for_status(), Err(ClientError::Status { .. })));
    /// # Ok::<(), remuda_sdk::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn error_for_status(self) -> Result<Self, ClientError> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(ClientError::Status { origin: self.origin, status });
        }
        Ok(self)
    }

    /// All of the body.
    ///
    /// # Errors
    /// When it does not come to its end. The cause is a [`ClientError`].
    ///
    /// ```no_run
    /// # async fn example(response: remuda_sdk::ClientResponse) -> remuda_sdk::Result<()> {
    /// let bytes = response.bytes().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bytes(self) -> Result<Bytes> {
        self.into_body().bytes().await
    }

    /// All of the body as text.
    ///
    /// # Errors
    /// As [`ClientResponse::bytes`], and when it is not UTF-8.
    ///
    /// ```no_run
    /// # async fn example(response: remuda_sdk::ClientResponse) -> remuda_sdk::Result<()> {
    /// let text = response.text().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn text(self) -> Result<String> {
        let origin = self.origin.clone();
        let bytes = self.bytes().await?;
        let reason = "it is not UTF-8".to_owned();
        Ok(String::from_utf8(bytes.into()).map_err(|_| ClientError::Body { origin, reason })?)
    }

    /// The body as JSON, whatever its content type.
    ///
    /// # Errors
    /// As [`ClientResponse::bytes`], and when it is not such a value.
    ///
    /// ```no_run
    /// # async fn example(response: remuda_sdk::ClientResponse) -> remuda_sdk::Result<()> {
    /// let numbers: Vec<u32> = response.json().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let origin = self.origin.clone();
        let bytes = self.bytes().await?;
        let wrong =
            |error: serde_json::Error| ClientError::Body { origin, reason: error.to_string() };
        Ok(serde_json::from_slice(&bytes).map_err(wrong)?)
    }

    /// The body, to be read or handed on as it comes.
    ///
    /// ```
    /// use remuda_sdk::{Body, Client, Result};
    ///
    /// async fn proxy() -> Result<Body> {
    ///     Ok(Client::new().get("http://localhost/").send().await?.into_body())
    /// }
    /// ```
    #[must_use]
    pub fn into_body(self) -> Body {
        self.response.into_body()
    }

    /// The whole as a response of one's own. Headers that belong to the connection are left out.
    ///
    /// ```
    /// use remuda_sdk::{Client, Response, Result};
    ///
    /// async fn proxy() -> Result<Response> {
    ///     Ok(Client::new().get("http://localhost/").send().await?.into_response())
    /// }
    /// ```
    #[must_use]
    pub fn into_response(mut self) -> Response {
        // RFC 9110, section 7.6.1.
        for name in ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"] {
            self.response.headers_mut().remove(name);
        }
        self.response
    }
}

/// A body that must have ended in time.
struct Limited {
    body: Body,
    end: Pause,
    origin: String,
}

impl Stream for Limited {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(chunk) = Pin::new(&mut self.body).poll_next(context) {
            return Poll::Ready(chunk);
        }
        std::task::ready!(self.end.as_mut().poll(context));
        let late = ClientError::Timeout { origin: self.origin.clone(), phase: Phase::Total };
        Poll::Ready(Some(Err(Error::from(late))))
    }
}
