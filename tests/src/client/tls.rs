//! Clients that encrypt.
//!
//! Invariant: they trust the certificates they were given and nobody else.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Connection;
use crate::{upstream::Certificate, wait::within_patience};

/// How a client encrypts: TLS 1.2 or 1.3, HTTP/2 or HTTP/1.1, every time from the beginning.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts these certificates.
    ///
    /// # Panics
    /// When one is none.
    #[must_use]
    pub fn trusting(certificates: &[&Certificate]) -> Self {
        Self::with_versions(certificates, rustls::DEFAULT_VERSIONS)
    }

    /// The same with these versions of TLS only.
    ///
    /// # Panics
    /// When one is no certificate.
    #[must_use]
    pub fn with_versions(
        certificates: &[&Certificate],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.der().clone()).expect("a certificate");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config) }.offering(&["h2", "http/1.1"])
    }

    /// Offers these protocols (ALPN), in this order.
    #[must_use]
    pub fn offering(mut self, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    /// Remembers servers, to be quicker the next time.
    #[must_use]
    pub fn resuming(mut self) -> Self {
        Arc::make_mut(&mut self.config).resumption = Resumption::in_memory_sessions(16);
        self
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When nobody accepts, or there is no agreement.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(address).await?).await
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When there is no agreement.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn over(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
        let connector = TlsConnector::from(Arc::clone(&self.config));
        within_patience("a TLS handshake", connector.connect(name, stream)).await
    }
}

/// The certificate that the server has shown.
///
/// # Panics
/// When it has shown none.
#[must_use]
pub fn certificate_of(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().expect("certificates")[0].clone().into_owned()
}

impl Connection {
    /// Connects with TLS and what both sides agree on.
    ///
    /// # Errors
    /// When nobody accepts, or there is no agreement.
    pub async fn https(address: SocketAddr, client: &TlsClient) -> io::Result<Self> {
        Self::over_tls(client.connect(address).await?).await
    }

    /// Speaks what was agreed on.
    ///
    /// # Errors
    /// When the server does not.
    pub async fn over_tls(stream: TlsStream<TcpStream>) -> io::Result<Self> {
        let (tcp, session) = stream.get_ref();
        let (local, peer) = (tcp.local_addr()?, tcp.peer_addr()?);
        let connection = match session.alpn_protocol() {
            Some(b"h2") => Self::speak_http2(stream, peer.to_string()).await?,
            _ => Self::speak_http1(stream, peer.to_string()).await?,
        };
        Ok(Self { local: Some(local), peer: Some(peer), ..connection })
    }
}
