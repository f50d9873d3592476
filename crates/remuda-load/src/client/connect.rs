//! From a target to a connection.
//!
//! Owner: a run, which looks the name up once; all threads use its addresses. Invariant: TCP
//! and TLS together take no longer than the connection's timeout.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{
    stream::{Socket, Stream},
    tls::{self, TlsError},
};
use crate::{
    record::{Failure, Kind},
    scenario::{Address, Connection, Http, Target},
};

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone)]
enum Way {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

#[derive(Clone)]
pub(crate) struct Connector {
    way: Way,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http: Http,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(
        target: &Target,
        connection: &Connection,
        addresses: Vec<SocketAddr>,
    ) -> Result<Self, TlsError> {
        let tls = if target.is_tls {
            let name = target.server_name().to_owned();
            let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name))?;
            Some((TlsConnector::from(Arc::new(tls::config(connection)?)), name))
        } else {
            None
        };
        let way = match &target.address {
            Address::Tcp { .. } => Way::Tcp(addresses),
            Address::Unix(path) => Way::Unix(path.clone()),
        };
        Ok(Self { way, tls, http: connection.http, timeout: connection.timeout })
    }

    /// Where the target's name leads.
    pub(crate) async fn look_up(target: &Target) -> io::Result<Vec<SocketAddr>> {
        match &target.address {
            Address::Tcp { host, port } => {
                Ok(tokio::net::lookup_host((host.as_str(), *port)).await?.collect())
            }
            Address::Unix(_) => Ok(Vec::new()),
        }
    }

    /// Connects, and tells how long that took.
    pub(crate) async fn connect(&self) -> Result<(Stream, Protocol, Duration), Failure> {
        let began = Instant::now();
        let timed = tokio::time::timeout(self.timeout, async {
            let socket = self.socket().await.map_err(|error| {
                // The kernel's own patience.
                let is_late = error.kind() == io::ErrorKind::TimedOut;
                let kind = if is_late { Kind::ConnectTimeout } else { Kind::Connect };
                let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::MFILE) => "; let this process open more files (ulimit -n)",
                    Some(Errno::ADDRNOTAVAIL) => "; there are no ports left: reuse connections",
                    _ => "",
                };
                Failure::new(kind, format!("{error}{remedy}"))
            })?;
            self.secure(socket).await
        });
        let (stream, protocol) = timed
            .await
            .map_err(|_| Failure::new(Kind::ConnectTimeout, "no connection in time"))??;
        Ok((stream, protocol, began.elapsed()))
    }

    async fn socket(&self) -> io::Result<Socket> {
        match &self.way {
            Way::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
            Way::Tcp(addresses) => {
                let stream = TcpStream::connect(&addresses[..]).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
        }
    }

    async fn secure(&self, socket: Socket) -> Result<(Stream, Protocol), Failure> {
        let Some((connector, name)) = &self.tls else {
            let is_two = self.http == Http::Two;
            let protocol = if is_two { Protocol::Http2 } else { Protocol::Http1 };
            return Ok((Stream::Plain(socket), protocol));
        };
        let stream = connector
            .connect(name.clone(), socket)
            .await
            .map_err(|error| Failure::new(Kind::Tls, tls::explain(&error)))?;
        let is_two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if self.http == Http::Two && !is_two {
            let detail = "the server does not speak h2 (ALPN); leave out connection.http (--http)";
            return Err(Failure::new(Kind::Tls, detail));
        }
        let protocol = if is_two { Protocol::Http2 } else { Protocol::Http1 };
        Ok((Stream::Tls(Box::new(stream)), protocol))
    }
}
