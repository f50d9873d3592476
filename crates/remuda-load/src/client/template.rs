//! Requests, made once and copied.
//!
//! Owner: one thread. Invariant: a copy shares method, URI and body with its template; only
//! the map of headers is copied.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version, header, uri::PathAndQuery, uri::Scheme,
};
use http_body_util::Full;

use super::Protocol;
use crate::scenario::{Endpoint, Target};

pub(crate) struct Template {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
}

impl Template {
    pub(super) fn new(endpoint: &Endpoint, target: &Target, protocol: Protocol) -> Option<Self> {
        let mut headers = endpoint.headers.clone();
        let authority = target.authority.as_str();
        let (uri, version) = match protocol {
            Protocol::Http1 => {
                if !headers.contains_key(header::HOST) {
                    headers.insert(header::HOST, HeaderValue::from_str(authority).ok()?);
                }
                (endpoint.path.parse().ok()?, Version::HTTP_11)
            }
            Protocol::Http2 => {
                let authority = headers.remove(header::HOST);
                let authority = authority.as_ref().map(HeaderValue::to_str).transpose().ok()?;
                let scheme = if target.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
                let uri = Uri::builder()
                    .scheme(scheme)
                    .authority(authority.unwrap_or(target.authority.as_str()))
                    .path_and_query(endpoint.path.parse::<PathAndQuery>().ok()?)
                    .build()
                    .ok()?;
                (uri, Version::HTTP_2)
            }
        };
        let (method, body) = (endpoint.method.clone(), endpoint.body.clone());
        Some(Self { method, uri, version, headers, body })
    }

    pub(super) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        request
    }
}
