//! Why a request has no answer.

use http::StatusCode;

/// What was waited for when the time was up.
///
/// ```
/// assert_eq!(remuda_sdk::Phase::Connect.to_string(), "a connection");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection; see `outbound.connect_timeout`.
    Connect,
    /// The head of the response; see `outbound.first_byte_timeout`.
    FirstByte,
    /// More of the response's body; see `outbound.between_bytes_timeout`.
    BetweenBytes,
    /// The end of everything; see [`ClientRequest::timeout`](crate::ClientRequest::timeout).
    Total,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "a connection",
            Self::FirstByte => "the response",
            Self::BetweenBytes => "more of the response",
            Self::Total => "all of it",
        })
    }
}

/// Why a request of a [`Client`](crate::Client) has no answer, or none that is wanted.
///
/// Returned from a handler by `?` it is a 504 after a timeout, a 503 when there are too many
/// connections, a 500 when the request itself is at fault, else a 502.
///
/// ```
/// use remuda_sdk::{Client, ClientError, test};
///
/// let error = test::block_on(Client::new().get("/no/host").send()).unwrap_err();
/// assert!(matches!(error, ClientError::Invalid { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request is none that could be sent.
    #[error("failed to call \"{url}\": {reason}")]
    Invalid {
        /// Where it should have gone.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The server does not allow it.
    #[error("failed to call {origin}: it is not allowed; add \"{origin}\" to `outbound.allow`")]
    NotAllowed {
        /// Scheme, host and port.
        origin: String,
    },
    /// It took too long.
    #[error("failed to call {origin}: waited too long for {phase}")]
    Timeout {
        /// Scheme, host and port.
        origin: String,
        /// For what.
        phase: Phase,
    },
    /// The host's name has no address.
    #[error("failed to call {origin}: its name could not be resolved")]
    Dns {
        /// Scheme, host and port.
        origin: String,
    },
    /// Nobody takes connections there.
    #[error("failed to call {origin}: no connection: {reason}")]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        reason: String,
    },
    /// Too many connections to this host are in use; see `outbound.max_per_host`.
    #[error("failed to call {origin}: all connections are in use (`outbound.max_per_host`)")]
    Busy {
        /// Scheme, host and port.
        origin: String,
    },
    /// The certificate or the handshake is no good.
    #[error("failed to call {origin}: TLS: {reason}")]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        reason: String,
    },
    /// The connection ended or made no sense before the answer was complete.
    #[error("failed to call {origin}: {reason}")]
    Interrupted {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        reason: String,
    },
    /// The status says that it went wrong; see
    /// [`ClientResponse::error_for_status`](crate::ClientResponse::error_for_status).
    #[error("failed to call {origin}: it answered {status}")]
    Status {
        /// Scheme, host and port.
        origin: String,
        /// The response's status.
        status: StatusCode,
    },
    /// The body is not what was wanted.
    #[error("failed to read the response of {origin}: {reason}")]
    Body {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        reason: String,
    },
    /// There is no server that would send it.
    #[error(
        "failed to call {origin}: requests are sent in a guest only; in a test, answer them with \
         Client::stub"
    )]
    OnlyInGuest {
        /// Scheme, host and port.
        origin: String,
    },
}

impl ClientError {
    /// What a gateway answers (RFC 9110, section 15.6).
    pub(crate) fn gateway_status(&self) -> StatusCode {
        match self {
            Self::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Invalid { .. } | Self::NotAllowed { .. } | Self::OnlyInGuest { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}
