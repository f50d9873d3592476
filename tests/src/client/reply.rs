//! What a client got.

use std::{error::Error, fmt};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::fate::Fate;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// A response that broke off, or never began.
#[derive(Debug)]
pub struct Broken {
    /// The status, if there was a head.
    pub status: Option<StatusCode>,
    /// What there was of the body.
    pub body: Bytes,
    pub error: String,
    /// What has become of the request.
    pub fate: Fate,
}

impl Reply {
    pub(super) async fn read(response: Response<Incoming>) -> Result<Self, Broken> {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut trailers) = (BytesMut::new(), None);
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| Broken {
                status: Some(head.status),
                body: body.clone().freeze(),
                error: chain(&error),
                fate: Fate::Lost,
            })?;
            match frame.into_data() {
                Ok(data) => body.extend_from_slice(&data),
                Err(other) => trailers = other.into_trailers().ok(),
            }
        }
        let (body, headers) = (body.freeze(), head.headers);
        Ok(Self { status: head.status, version: head.version, headers, body, trailers })
    }

    /// Reads a response as it came over a connection that ended with it.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3));
        let status = status.and_then(|status| status.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
            (name.parse().expect("a name"), value.parse().expect("a value"))
        });
        let headers: HeaderMap = headers.collect();
        let length = headers.get("content-length").and_then(|length| length.to_str().ok());
        assert_eq!(length, Some(body.len().to_string().as_str()), "{text:?}");
        Self {
            status: status.unwrap_or_else(|| panic!("{text:?}")),
            version: Version::HTTP_11,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            trailers: None,
        }
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body of a 200.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.text()
    }

    /// Checks that the server itself has answered, and why.
    ///
    /// # Panics
    /// When it did not, or for another reason.
    pub fn assert_rejected(&self, status: u16, reason: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let proxy_status = self.header("proxy-status");
        let named = proxy_status.starts_with("remuda; error=")
            && proxy_status.ends_with(&format!("; details=\"{reason}\""));
        assert!(named, "expected the reason {reason}: {self:?}");
    }
}

impl Broken {
    pub(super) fn before_the_head(fate: Fate, error: &hyper::Error) -> Self {
        Self { status: None, body: Bytes::new(), error: chain(error), fate }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}, {} bytes, then {}", self.body.len(), self.error),
            None => write!(f, "no head, but {}", self.error),
        }
    }
}

/// An error and its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}
