//! The client that all guests of a worker share.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use http::{Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use remuda_config::{OriginPattern, OriginScheme};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody};

use super::{body::UpstreamBody, connector, failure, hosts::Hosts};

/// Idle connections to one upstream that are kept for the next request.
const IDLE_CONNECTIONS_PER_HOST: usize = 64;

/// An idle upstream connection is closed after this time; common servers close theirs
/// after 60 s or later, and whoever closes second sees a reset.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a response that an upstream sends ahead of the guest that reads it.
const HTTP1_BUFFER: usize = 64 << 10;
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;

/// Origins of which a denial has been logged; further ones are denied silently.
const MAX_DENIALS_LOGGED: usize = 1000;

/// Sends requests on behalf of guests.
pub(crate) struct Outbound {
    config: remuda_config::Outbound,
    /// There is none where nothing is allowed: loading the trusted roots takes
    /// milliseconds and memory.
    client: Option<Client<connector::Connector, WasiBody>>,
    hosts: Hosts,
    denied: Mutex<HashSet<String>>,
    watcher: OnceLock<Watcher>,
}

/// Hears of outgoing requests: the authority, and the time to the response head.
type Watcher = Box<dyn Fn(&str, Duration) + Send + Sync>;

impl Outbound {
    /// Loads the trusted roots and prepares the pool; connects to nothing.
    pub(crate) fn build(config: &remuda_config::Outbound) -> Result<Self, String> {
        let build = |connector| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
                .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
                .http1_max_buf_size(HTTP1_BUFFER)
                .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW)
                .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
                .build(connector)
        };
        let connector = || connector::build(config.connect_timeout);
        let client = (!config.allow.is_empty()).then(connector).transpose()?.map(build);
        Ok(Self {
            config: config.clone(),
            client,
            hosts: Hosts::new(config.max_per_host),
            denied: Mutex::new(HashSet::new()),
            watcher: OnceLock::new(),
        })
    }

    /// Lets the first `watcher` hear of every response.
    pub(crate) fn watch(&self, watcher: Watcher) {
        let _ = self.watcher.set(watcher);
    }

    /// Sends one request and waits for the response head.
    pub(super) async fn send(
        &self,
        route: &str,
        mut request: Request<WasiBody>,
        options: RequestOptions,
        under_way: OwnedSemaphorePermit,
    ) -> Result<Response<WasiBody>> {
        let authority = self.permit(route, request.uri())?;
        let client = self.client.as_ref().ok_or(Error::HttpRequestDenied)?;
        let limit = |wanted: Option<Duration>, most| wanted.map_or(most, |time| time.min(most));
        let connect = limit(options.connect_timeout, self.config.connect_timeout);
        let first_byte = limit(options.first_byte_timeout, self.config.first_byte_timeout);
        let between = limit(options.between_bytes_timeout, self.config.between_bytes_timeout);

        let place = timeout(connect, self.hosts.enter(&authority))
            .await
            .map_err(|_| Error::ConnectionLimitReached)?;
        let started = Instant::now();
        // The pool derives it from the URI, in the form that the protocol wants.
        request.headers_mut().remove(header::HOST);
        let mut connection = capture_connection(&mut request);
        let mut sending = pin!(client.request(request));
        let connected = pin!(async { drop(connection.wait_for_connection_metadata().await) });
        let early = timeout(connect, select(sending.as_mut(), connected))
            .await
            .map_err(|_| Error::ConnectionTimeout)?;
        let response = match early {
            Either::Left((response, _)) => response,
            Either::Right(_) => {
                timeout(first_byte, sending).await.map_err(|_| Error::ConnectionReadTimeout)?
            }
        };
        let response = response.map_err(|error| failure::classify(&error))?;
        if let Some(watcher) = self.watcher.get() {
            watcher(&authority, started.elapsed());
        }
        Ok(response.map(|body| UpstreamBody::new(body, between, (place, under_way)).boxed_unsync()))
    }

    /// Checks the destination against `outbound.allow`; returns `host:port`.
    fn permit(&self, route: &str, uri: &Uri) -> Result<String> {
        let scheme = match uri.scheme_str() {
            Some("http") => OriginScheme::Http,
            Some("https") => OriginScheme::Https,
            _ => return Err(Error::HttpProtocolError),
        };
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or(Error::HttpRequestUriInvalid)?;
        let default_port = if scheme == OriginScheme::Http { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(default_port);
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let allows = |pattern: &OriginPattern| pattern.matches(scheme, &bare, port);
        if !self.config.allow.iter().any(allows) {
            self.log_denial(route, uri);
            return Err(Error::HttpRequestDenied);
        }
        Ok(format!("{bare}:{port}"))
    }

    fn log_denial(&self, route: &str, uri: &Uri) {
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        let (Some(scheme), Some(authority)) = (scheme, authority) else { return };
        let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
        let origin = format!("{scheme}://{host_and_port}");
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.len() < MAX_DENIALS_LOGGED && denied.insert(origin.clone()) {
            tracing::warn!(
                route,
                origin,
                "outgoing request denied; to permit it, add \"{origin}\" to outbound.allow"
            );
        }
    }
}
