//! TCP and TLS towards upstreams.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, crypto::ring};
use tower_service::Service;

type BoxError = Box<dyn StdError + Send + Sync>;
type Https = HttpsConnector<HttpConnector>;

/// Connects with one bound for TCP and TLS together.
#[derive(Clone)]
pub(super) struct Connector {
    inner: Https,
    timeout: Duration,
}

/// Loads the roots that the machine trusts, or the ones of Mozilla where it has none.
pub(super) fn build(timeout: Duration) -> Result<Connector, String> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let inner = HttpsConnectorBuilder::new()
        .with_tls_config(tls()?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    Ok(Connector { inner, timeout })
}

fn tls() -> Result<ClientConfig, String> {
    use hyper_rustls::ConfigBuilderExt as _;

    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())
    };
    let config = match builder()?.with_native_roots() {
        Ok(builder) => builder,
        Err(error) => {
            tracing::debug!(%error, "no roots on this machine; trusting the built-in ones");
            builder()?.with_webpki_roots()
        }
    };
    Ok(config.with_no_client_auth())
}

impl Service<Uri> for Connector {
    type Response = <Https as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let (connecting, timeout) = (self.inner.call(destination), self.timeout);
        Box::pin(async move {
            match tokio::time::timeout(timeout, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
