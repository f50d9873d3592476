//! Requests of a component, and what `wasi:http` says went wrong with them.

use std::time::Duration;

use http::StatusCode;
use wasip3::http::{
    client,
    types::{ErrorCode, Request, RequestOptions, Scheme},
};

use super::{incoming, nanoseconds, outgoing, runtime::method_to_host};
use crate::{Body, ClientError, Phase, Response, body::Kind, client::Outgoing};

pub(crate) async fn send(request: Outgoing) -> Result<Response, ClientError> {
    let origin = request.origin();
    let sent = build(request).map_err(|what| ClientError::Invalid {
        url: origin.clone(),
        reason: format!("the server refuses its {what}"),
    })?;
    let answer =
        client::send(sent).await.map_err(|code| client_error(code, &origin, Phase::FirstByte))?;
    let status = StatusCode::from_u16(answer.get_status_code()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = incoming::headers(&answer.get_headers());
    let body = Body(Kind::Incoming(incoming::Incoming::response(answer, origin)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The request, or what of it the server refuses.
fn build(request: Outgoing) -> Result<Request, &'static str> {
    let Outgoing { method, uri, headers, body, timeouts } = request;
    let options = RequestOptions::new();
    let limit = |duration: Option<Duration>| duration.map(nanoseconds);
    // A server that keeps no such limits has its own.
    let _ = options.set_connect_timeout(limit(timeouts.connect));
    let _ = options.set_first_byte_timeout(limit(timeouts.first_byte));
    let _ = options.set_between_bytes_timeout(limit(timeouts.between_bytes));
    let (contents, end) = outgoing::contents(body);
    let (request, _) = Request::new(outgoing::fields(&headers), contents, end, Some(options));
    let scheme = if uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    let authority = uri.authority().map(|authority| authority.as_str());
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    request.set_method(&method_to_host(&method)).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(authority).map_err(|()| "host")?;
    request.set_path_with_query(Some(target)).map_err(|()| "path")?;
    Ok(request)
}

/// What an error of `wasi:http` is to those who call others, and who wait for this.
pub(super) fn client_error(code: ErrorCode, origin: &str, phase: Phase) -> ClientError {
    let origin = origin.to_owned();
    let reason = format!("{code:?}");
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            ClientError::NotAllowed { origin }
        }
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) => ClientError::Dns { origin },
        ErrorCode::ConnectionTimeout => ClientError::Timeout { origin, phase: Phase::Connect },
        ErrorCode::HttpResponseTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout => ClientError::Timeout { origin, phase },
        ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused => ClientError::Connect { origin, reason },
        ErrorCode::ConnectionLimitReached => ClientError::Busy { origin },
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => ClientError::Tls { origin, reason },
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong => ClientError::Invalid { url: origin, reason },
        _ => ClientError::Interrupted { origin, reason },
    }
}
