//! Where a client connects to, and how it speaks there.

use std::{io, net::SocketAddr, path::PathBuf};

use tokio::net::UnixStream;

use super::{Connection, TlsClient};

/// A listening socket.
#[derive(Clone, Debug)]
pub enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Tls(SocketAddr, TlsClient),
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    /// With prior knowledge (RFC 9113, section 3.3), or by ALPN.
    Http2,
}

impl Connection {
    /// Connects to either kind of socket with either protocol.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn to(endpoint: &Endpoint, protocol: Protocol) -> io::Result<Self> {
        match (endpoint, protocol) {
            (Endpoint::Tcp(address), Protocol::Http1) => Self::http1(*address).await,
            (Endpoint::Tcp(address), Protocol::Http2) => Self::http2(*address).await,
            (Endpoint::Tls(address, client), Protocol::Http1) => {
                Self::https(*address, &client.clone().offering(&["http/1.1"])).await
            }
            (Endpoint::Tls(address, client), Protocol::Http2) => {
                Self::https(*address, &client.clone().offering(&["h2"])).await
            }
            (Endpoint::Unix(path), Protocol::Http1) => Self::unix(path).await,
            (Endpoint::Unix(path), Protocol::Http2) => {
                Self::speak_http2(UnixStream::connect(path).await?, "localhost".to_owned()).await
            }
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}
