//! What goes wrong in a handler: one message for the client, another for the log.
//!
//! Owner: whoever turns a request into a response; a handler only returns it. Invariant: what
//! an error came from is logged and never sent.

use std::{error::Error as StdError, fmt};

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Body, IntoResponse, OffloadError, Response, client::ClientError};

/// What handlers return.
///
/// ```
/// # use remuda_sdk::Result;
/// async fn parse() -> Result<String> {
///     let number: u32 = "42".parse()?;
///     Ok(format!("{number}\n"))
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with the status that it has for the client, rendered as `application/problem+json`
/// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
///
/// Any [`std::error::Error`] becomes one by `?`: status 500, logged with all its causes, of which
/// the client reads nothing. A [`ClientError`] becomes 502 or 504. One that is made here says
/// what the client shall read.
///
/// ```
/// use remuda_sdk::{Error, StatusCode};
///
/// let error = Error::not_found("no item 7").with("item", 7);
/// assert_eq!(error.status(), StatusCode::NOT_FOUND);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    status: StatusCode,
    detail: Option<String>,
    members: Map<String, Value>,
    retry_after: Option<u64>,
    source: Option<Box<dyn StdError + 'static>>,
    response: Option<Response>,
}

impl Error {
    /// An error with this status and this text for the client.
    ///
    /// ```
    /// # use remuda_sdk::{Error, StatusCode};
    /// let error = Error::new(StatusCode::GONE, "this item was deleted");
    /// assert_eq!(error.to_string(), "410 Gone: this item was deleted");
    /// ```
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let mut error = Self::of(status);
        error.0.detail = Some(detail.into());
        error
    }

    fn of(status: StatusCode) -> Self {
        Self(Box::new(Inner {
            status,
            detail: None,
            members: Map::new(),
            retry_after: None,
            source: None,
            response: None,
        }))
    }

    /// 400: the request makes no sense.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::bad_request("no name").status(), 400);
    /// ```
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: it is not known who asks.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::unauthorized("no token").status(), 401);
    /// ```
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: whoever asks may not.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::forbidden("not yours").status(), 403);
    /// ```
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is no such thing.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::not_found("no such item").status(), 404);
    /// ```
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: it contradicts what is there.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::conflict("the name is taken").status(), 409);
    /// ```
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422: well-formed, but not valid.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// let error = Error::unprocessable("the item is not valid").with("name", "is empty");
    /// assert_eq!(error.status(), 422);
    /// ```
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 500, with a text for the log and none for the client.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::internal("the table is empty").status(), 500);
    /// ```
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::caused_by(StatusCode::INTERNAL_SERVER_ERROR, Message(reason.into()))
    }

    /// An error with this status, and a cause that only the log shows.
    ///
    /// ```
    /// # use remuda_sdk::{Error, StatusCode};
    /// let cause = std::io::Error::other("disk on fire");
    /// let error = Error::caused_by(StatusCode::SERVICE_UNAVAILABLE, cause);
    /// assert!(error.downcast_ref::<std::io::Error>().is_some());
    /// ```
    pub fn caused_by(status: StatusCode, cause: impl StdError + 'static) -> Self {
        let mut error = Self::of(status);
        error.0.source = Some(Box::new(cause));
        error
    }

    /// An error that is answered with this very response: a redirect to a login, for one.
    ///
    /// ```
    /// # use remuda_sdk::{Error, Redirect};
    /// assert_eq!(Error::response(Redirect::to("/login")).status(), 303);
    /// ```
    pub fn response(response: impl IntoResponse) -> Self {
        let response = response.into_response();
        let mut error = Self::of(response.status());
        error.0.response = Some(response);
        error
    }

    /// The same error with another member in its problem document. What cannot be serialized is left
    /// out.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// Error::unprocessable("not valid").with("errors", vec!["name is empty"]);
    /// ```
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.members.insert(member.to_owned(), value);
        }
        self
    }

    /// The same error with a header `Retry-After`, in seconds.
    ///
    /// ```
    /// # use remuda_sdk::{Error, StatusCode};
    /// Error::new(StatusCode::TOO_MANY_REQUESTS, "slow down").retry_after(5);
    /// ```
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The status it has for the client.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::forbidden("no").status(), 403);
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What the client reads, if anything.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// assert_eq!(Error::internal("secret").detail(), None);
    /// ```
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What it came from, if that is an `E`.
    ///
    /// ```
    /// # use remuda_sdk::Error;
    /// let error = Error::from("x".parse::<u8>().unwrap_err());
    /// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
    /// ```
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.source.as_ref()?.downcast_ref()
    }

    /// The problem document; see RFC 9457, section 3.
    fn problem(&mut self) -> Value {
        let Inner { status, detail, members, .. } = &mut *self.0;
        let mut problem = std::mem::take(members);
        problem.insert("title".into(), status.canonical_reason().unwrap_or("Error").into());
        problem.insert("status".into(), status.as_u16().into());
        if let Some(detail) = detail.take() {
            problem.insert("detail".into(), detail.into());
        }
        Value::Object(problem)
    }

    /// Causes go to the log: as an error when the fault is here, else for those who debug.
    fn log(&self) {
        if self.0.source.is_none() && self.status() != StatusCode::INTERNAL_SERVER_ERROR {
            return;
        }
        if self.status().is_server_error() {
            tracing::error!(target: "handler", "{self}");
        } else {
            tracing::debug!(target: "handler", "{self}");
        }
    }

    /// What is said of it where there is no response that its status could be of.
    pub(crate) fn reason(&self) -> String {
        let said = self.said();
        if said.is_empty() { self.0.status.to_string() } else { said }
    }

    /// The detail, and all causes.
    fn said(&self) -> String {
        let mut said: Vec<String> = self.0.detail.iter().cloned().collect();
        let mut cause = self.0.source.as_ref().map(|source| source.as_ref() as &dyn StdError);
        while let Some(error) = cause {
            said.push(error.to_string());
            cause = error.source();
        }
        said.join(": ")
    }

    /// What another instance of this component makes an equal error of.
    pub(crate) fn into_wire(mut self) -> String {
        self.log();
        let retry_after = self.0.retry_after;
        let mut problem = self.problem();
        if let Some(seconds) = retry_after {
            problem[WIRE_RETRY_AFTER] = seconds.into();
        }
        problem.to_string()
    }

    pub(crate) fn from_wire(text: &str) -> Self {
        let Ok(Value::Object(mut members)) = serde_json::from_str(text) else {
            return Self::internal(text);
        };
        let status = members.remove("status").and_then(|status| status.as_u64());
        let status = status.and_then(|status| u16::try_from(status).ok());
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let mut error = Self::of(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        members.remove("title");
        if let Some(Value::String(detail)) = members.remove("detail") {
            error.0.detail = Some(detail);
        }
        let retry_after = members.remove(WIRE_RETRY_AFTER);
        error.0.retry_after = retry_after.and_then(|seconds| seconds.as_u64());
        error.0.members = members;
        error
    }
}

/// No member of a problem is called like this by accident.
const WIRE_RETRY_AFTER: &str = "remuda:retry-after";

impl<E: StdError + 'static> From<E> for Error {
    fn from(cause: E) -> Self {
        let cause_ref: &(dyn StdError + 'static) = &cause;
        if let Some(client) = cause_ref.downcast_ref::<ClientError>() {
            return Self::caused_by(client.gateway_status(), cause);
        }
        let Some(offload) = cause_ref.downcast_ref::<OffloadError>() else {
            return Self::caused_by(StatusCode::INTERNAL_SERVER_ERROR, cause);
        };
        let (status, is_busy) = (offload.status(), *offload == OffloadError::QueueFull);
        let error = Self::caused_by(status, cause);
        if is_busy { error.retry_after(1) } else { error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.said();
        let colon = if said.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{said}", self.0.status)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl IntoResponse for Error {
    fn into_response(mut self) -> Response {
        self.log();
        if let Some(response) = self.0.response.take() {
            return response;
        }
        let retry_after = self.0.retry_after;
        let status = self.0.status;
        let mut response = Response::new(Body::from(self.problem().to_string()));
        *response.status_mut() = status;
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A text where an error is wanted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: Error) -> String {
        let body = error.into_response().into_body();
        crate::test::block_on(body.text()).expect("a text")
    }

    #[test]
    fn a_client_reads_the_detail_and_no_cause() {
        let text = text(Error::not_found("no item 7").with("item", 7));
        assert_eq!(text, r#"{"detail":"no item 7","item":7,"status":404,"title":"Not Found"}"#);
        let text = self::text(std::io::Error::other("secret").into());
        assert_eq!(text, r#"{"status":500,"title":"Internal Server Error"}"#);
    }

    #[test]
    fn the_log_reads_all_causes() {
        let error = Error::from(std::io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "500 Internal Server Error: disk on fire");
    }

    #[test]
    fn an_error_survives_the_way_from_a_job() {
        let error = Error::unprocessable("too large").with("width", 9).retry_after(3);
        let error = Error::from_wire(&error.into_wire());
        assert_eq!((error.status().as_u16(), error.detail()), (422, Some("too large")));
        let response = error.into_response();
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(Error::from_wire("no json").status(), 500);
    }
}
