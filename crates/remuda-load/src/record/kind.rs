//! The ways in which a request can fail.

use std::fmt;

/// How a request failed; each has its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// No connection, be it refused, unreachable or without a socket.
    Connect,
    /// No TLS session.
    Tls,
    /// No connection in time.
    ConnectTimeout,
    /// No whole response in time.
    Timeout,
    /// The connection or the stream ended before the response did.
    Closed,
    /// What came is not HTTP.
    Protocol,
    /// A status code that was not expected.
    Status,
    /// A body that does not contain what was expected.
    Body,
    /// An arrival for which there was no room in flight; it was not sent.
    Dropped,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Tls,
        Self::ConnectTimeout,
        Self::Timeout,
        Self::Closed,
        Self::Protocol,
        Self::Status,
        Self::Body,
        Self::Dropped,
    ];

    /// As in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Body => "body",
            Self::Dropped => "dropped",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
