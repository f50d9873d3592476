//! Every answer that the server gives in place of a guest.
//!
//! Purpose: one enum that knows status, reason, blame and both messages. Invariant: what
//! a client reads never contains anything from inside (paths, backtraces, error
//! chains); that goes to the log.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use memchr::memchr2;

/// Whose fault a rejection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client asked for something that cannot be served.
    Client,
    /// The component failed.
    Guest,
    /// The server has reached a limit.
    Host,
}

/// Why a request was not answered by its guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no route matches this host and path")]
    NoRoute,
    #[error("the request is not valid HTTP: {0}")]
    BadRequest(&'static str),
    #[error("the request head is larger than this server accepts")]
    HeaderTooLarge,
    #[error("the request head did not arrive in time")]
    HeaderTimeout,
    #[error("the request body is larger than this server accepts")]
    BodyTooLarge,
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    #[error("too many requests are waiting")]
    QueueFull,
    #[error("the request waited too long for its turn")]
    QueueTimeout,
    #[error("there is no memory for another instance")]
    MemoryBudget,
    #[error("the handler did not answer in time")]
    Deadline,
    #[error("the handler needed more processor time than it may have")]
    CpuTime,
    #[error("the handler failed")]
    GuestTrap,
    #[error("the handler gave no valid response")]
    GuestError,
    #[error("the handler needed more memory than it may have")]
    MemoryLimit,
}

/// RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Seconds after which a shed client may try again; longer than a queue lasts.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl Rejection {
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeaderTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::QueueFull | Self::QueueTimeout | Self::MemoryBudget => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Deadline | Self::CpuTime => StatusCode::GATEWAY_TIMEOUT,
            Self::GuestTrap | Self::GuestError | Self::MemoryLimit => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The stable name of the rejection, for `Proxy-Status`, logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::BadRequest(_) => "bad_request",
            Self::HeaderTooLarge => "header_too_large",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::MemoryBudget => "memory_budget",
            Self::Deadline => "deadline",
            Self::CpuTime => "cpu_time",
            Self::GuestTrap => "guest_trap",
            Self::GuestError => "guest_error",
            Self::MemoryLimit => "memory_limit",
        }
    }

    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoRoute
            | Self::BadRequest(_)
            | Self::HeaderTooLarge
            | Self::HeaderTimeout
            | Self::BodyTooLarge
            | Self::BodyTimeout => Fault::Client,
            Self::QueueFull | Self::QueueTimeout | Self::MemoryBudget => Fault::Host,
            Self::Deadline
            | Self::CpuTime
            | Self::GuestTrap
            | Self::GuestError
            | Self::MemoryLimit => Fault::Guest,
        }
    }

    /// The error type of RFC 9209, section 2.3, that fits best.
    fn proxy_error(&self) -> &'static str {
        match self {
            Self::NoRoute => "destination_not_found",
            Self::BadRequest(_)
            | Self::HeaderTooLarge
            | Self::HeaderTimeout
            | Self::BodyTooLarge
            | Self::BodyTimeout => "http_request_error",
            Self::QueueFull | Self::QueueTimeout => "connection_limit_reached",
            Self::MemoryBudget | Self::MemoryLimit => "proxy_internal_error",
            Self::Deadline | Self::CpuTime => "http_response_timeout",
            Self::GuestTrap | Self::GuestError => "http_response_incomplete",
        }
    }

    /// Whether the connection cannot be used after this answer.
    fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::HeaderTooLarge
                | Self::HeaderTimeout
                | Self::BodyTooLarge
                | Self::BodyTimeout
        )
    }

    /// The whole HTTP/1 answer to a head that is none, after which the connection ends.
    pub(crate) fn bytes(&self, accepts_json: bool) -> Vec<u8> {
        let response = self.response(accepts_json, true);
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
        for (name, value) in response.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
        let date = date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
        let length = format!("content-length: {}\r\n\r\n", response.body().len());
        bytes.extend_from_slice(date.as_bytes());
        bytes.extend_from_slice(length.as_bytes());
        bytes.extend_from_slice(response.body());
        bytes
    }

    /// The answer, in the media type that the client prefers (see [`accepts_json`]).
    #[must_use]
    pub fn response(&self, accepts_json: bool, http1: bool) -> Response<Bytes> {
        let (media_type, body) = if accepts_json {
            let problem = serde_json::json!({
                "type": "about:blank",
                "title": self.status().canonical_reason(),
                "status": self.status().as_u16(),
                "detail": self.to_string(),
                "reason": self.reason(),
            });
            ("application/problem+json", problem.to_string())
        } else {
            ("text/plain; charset=utf-8", format!("{self}\n"))
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        let (error, reason) = (self.proxy_error(), self.reason());
        let proxy_status = format!("remuda; error={error}; details=\"{reason}\"");
        if let Ok(value) = HeaderValue::try_from(proxy_status) {
            headers.insert(PROXY_STATUS, value);
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if http1 && self.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Whether the client names a JSON type in `Accept`. A wildcard is not enough: it comes
/// from tools such as curl, whose users read text.
pub(crate) fn accepts_json(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| names_json(value.as_bytes()))
}

/// Whether one value of `Accept` does.
pub(crate) fn names_json(accept: &[u8]) -> bool {
    // What browsers send has no such letter, and every request comes through here.
    if memchr2(b'j', b'J', accept).is_none() {
        return false;
    }
    accept.split(|byte| *byte == b',').any(|range| {
        let range = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        range.eq_ignore_ascii_case(b"application/json")
            || range.eq_ignore_ascii_case(b"application/problem+json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shed_request_is_told_when_to_come_back() {
        let response = Rejection::QueueFull.response(accepts_json(&HeaderMap::new()), true);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let proxy_status = "remuda; error=connection_limit_reached; details=\"queue_full\"";
        assert_eq!(response.headers()[PROXY_STATUS], proxy_status);
        assert_eq!(response.body(), "too many requests are waiting\n");
    }

    #[test]
    fn a_spent_memory_budget_is_told_in_both_media_types() {
        for json in [false, true] {
            let response = Rejection::MemoryBudget.response(json, true);
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
            let proxy_status = "remuda; error=proxy_internal_error; details=\"memory_budget\"";
            assert_eq!(response.headers()[PROXY_STATUS], proxy_status);
            if json {
                let problem: serde_json::Value =
                    serde_json::from_slice(response.body()).expect("JSON");
                assert_eq!(problem["reason"], "memory_budget");
            } else {
                assert_eq!(response.body(), "there is no memory for another instance\n");
            }
        }
    }

    #[test]
    fn whoever_accepts_json_gets_a_problem() {
        let mut headers = HeaderMap::new();
        headers
            .insert(header::ACCEPT, HeaderValue::from_static("text/html, application/JSON;q=0.5"));
        let response = Rejection::NoRoute.response(accepts_json(&headers), true);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(problem["status"], 404);
        assert_eq!(problem["reason"], "no_route");
    }

    #[test]
    fn json_is_named_as_a_whole_type() {
        for accept in ["application/json", "text/*;q=0.1 , Application/Problem+JSON ;q=1"] {
            assert!(names_json(accept.as_bytes()), "{accept}");
        }
        for accept in ["", "*/*", "application/*", "image/jpeg", "application/jsonp", "json"] {
            assert!(!names_json(accept.as_bytes()), "{accept}");
        }
    }

    #[test]
    fn a_wildcard_gets_text() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let response = Rejection::NoRoute.response(accepts_json(&headers), true);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}
