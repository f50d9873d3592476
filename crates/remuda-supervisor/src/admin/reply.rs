//! Answers of the admin server.
//!
//! Owner: the [service](super::service). Invariant: every answer has a content type and
//! is never stored by a cache.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use serde::Serialize;

use super::call::Refused;

pub(super) type Reply = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

pub(super) fn reply(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: &str) -> Reply {
    reply(status, TEXT, format!("{line}\n"))
}

pub(super) fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_string(value) {
        Ok(body) => reply(StatusCode::OK, JSON, body + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Why a request is not answered as its client had hoped.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// With which a command that made the request exits.
    code: u8,
    /// The methods that would have been accepted.
    allow: Option<&'static str>,
}

/// Problem details (RFC 9457).
#[derive(Serialize)]
struct Details<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: u8,
}

impl Problem {
    /// The client is wrong.
    pub(super) fn request(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), code: 64, allow: None }
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let detail = format!("this path takes {allow}");
        Self { allow: Some(allow), ..Self::request(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The server cannot answer now.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self { code: 70, ..Self::request(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// As [problem details](https://www.rfc-editor.org/rfc/rfc9457) when a program asks,
    /// as text when a person does.
    pub(super) fn reply(self, to_program: bool) -> Reply {
        let mut reply = if to_program {
            let details = Details {
                title: self.status.canonical_reason().unwrap_or_default(),
                status: self.status.as_u16(),
                detail: &self.detail,
                code: self.code,
            };
            // A few numbers and texts are always JSON.
            let body = serde_json::to_string(&details).unwrap_or_default();
            reply(self.status, PROBLEM, body + "\n")
        } else {
            text(self.status, &self.detail)
        };
        if let Some(allow) = self.allow {
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        reply
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.code {
            // Not in this state, or no such worker.
            64 => StatusCode::CONFLICT,
            // The configuration or a component is wrong.
            65 | 78 => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, detail: refused.reason, code: refused.code, allow: None }
    }
}

/// Whether a client would rather have JSON than text.
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(JSON) || kind.eq_ignore_ascii_case(PROBLEM)
    })
}
