//! From errors of the client to the error codes of wasi:http.

use std::{error::Error as StdError, io};

use hyper_util::client::legacy;
use wasmtime_wasi_http::Error;

/// The code that says most about `error`.
pub(super) fn classify(error: &legacy::Error) -> Error {
    let causes = || {
        std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source())
    };
    for cause in causes() {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return from_request_body(error);
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return from_tls(error);
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && let Some(code) = from_hyper(error)
        {
            return code;
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return inner_tls(error).map_or_else(|| from_io(error), from_tls);
        }
    }
    if causes().any(|cause| cause.to_string().contains("dns error")) {
        return Error::DnsError { rcode: None, info_code: None };
    }
    if error.is_connect() { Error::DestinationUnavailable } else { Error::HttpProtocolError }
}

/// Errors of rustls come inside of io errors, and those inside of others, none of which
/// names them as its source.
fn inner_tls(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| inner.downcast_ref().and_then(inner_tls))
}

/// The guest's own body failed; it knows the reason.
fn from_request_body(error: &Error) -> Error {
    match error {
        Error::HttpRequestBodySize(size) => Error::HttpRequestBodySize(*size),
        other => Error::InternalError(Some(other.to_string())),
    }
}

fn from_tls(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::TlsCertificateError
        }
        rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    }
}

fn from_hyper(error: &hyper::Error) -> Option<Error> {
    if error.is_incomplete_message() {
        Some(Error::HttpResponseIncomplete)
    } else if error.is_parse_too_large() {
        Some(Error::HttpResponseHeaderSectionSize(None))
    } else if error.is_parse() {
        Some(Error::HttpProtocolError)
    } else if error.is_timeout() {
        Some(Error::ConnectionReadTimeout)
    } else {
        None
    }
}

fn from_io(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Error::ConnectionTerminated,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Error::DestinationIpUnroutable
        }
        io::ErrorKind::PermissionDenied => Error::DestinationIpProhibited,
        // What getaddrinfo says has no kind of its own.
        _ if is_lookup(error) => Error::DnsError { rcode: None, info_code: None },
        _ => Error::DestinationUnavailable,
    }
}

fn is_lookup(error: &io::Error) -> bool {
    error.to_string().contains("failed to lookup address")
}
