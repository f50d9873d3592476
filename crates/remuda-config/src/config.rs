//! The validated configuration: what every other crate reads.
//!
//! Purpose: domain types in which an invalid setting cannot be expressed, one part
//! per component of the server. Owner: built once by `remuda serve`, then sent over
//! the control socket to every worker, hence serializable. Invariant: nothing in here
//! is optional because it was not set; `Option` means that an operator can turn the
//! thing off.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Everything a server needs to know, with all defaults applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Where to listen; never empty.
    pub bind: Vec<BindAddress>,
    /// Folder for compiled components.
    pub cache: PathBuf,
    /// Where health, metrics and status are read; `None` when turned off.
    pub admin: Option<BindAddress>,
    /// Where `remuda ctl` is answered; `None` when turned off.
    pub control: Option<ControlSocket>,
    pub workers: Workers,
    pub limits: Limits,
    pub http: Http,
    pub shutdown: Shutdown,
    pub outbound: Outbound,
    pub log: Log,
    /// Empty only while `remuda dev` has nothing to serve, and a notice says so; no two routes
    /// share host and path.
    pub routes: Vec<Route>,
    /// What is wrong, below a line that is its heading, in a server that `remuda dev` keeps; no setting of anybody's.
    pub notice: Option<String>,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BindAddress {
    /// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`, `:8000`. The host is
    /// lower case and without brackets; empty, it stands for all interfaces, IPv4 and
    /// IPv6. Host names are resolved when bound; port 0 lets the kernel choose.
    Tcp { host: String, port: u16 },
    /// `unix:/run/app.sock`, `unix:/run/app.sock?mode=660`
    Unix {
        path: PathBuf,
        /// Permissions of the file; `None` leaves them to the umask.
        mode: Option<u32>,
    },
    /// `fd:3`: a listening socket inherited from whoever started the server.
    Descriptor(i32),
}

/// The unix socket of `remuda ctl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlSocket {
    /// A file in this folder, named after the first address that the server listens on.
    Auto {
        folder: PathBuf,
    },
    Path(PathBuf),
}

/// How the workers share a listening address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accept {
    /// All of them accept from one socket.
    Shared,
    /// Each slot has a socket of its own, and the kernel spreads connections over them.
    ReusePort,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workers {
    /// Number of worker processes, at least 1 (already resolved if it was "auto").
    pub count: usize,
    /// Length of each listening socket's accept queue, in connections.
    pub backlog: u32,
    pub accept: Accept,
    /// Memory budget of one worker, in bytes.
    pub memory: u64,
    /// How long a worker may take from its start to being ready.
    pub boot_timeout: Duration,
    /// How long a worker may be silent.
    pub heartbeat_timeout: Duration,
    /// Requests after which a worker is replaced; `None` for never.
    pub max_requests: Option<u64>,
    /// Up to so many are added to `max_requests`, another number for each worker.
    pub max_requests_jitter: u64,
    /// Age at which a worker is replaced; `None` for never.
    pub max_lifetime: Option<Duration>,
    /// Resident bytes at which a worker is replaced.
    pub recycle_rss: u64,
    /// Resident bytes at which a worker is killed.
    pub kill_rss: u64,
    /// Threads on which guests burn, at least 1 (already resolved if it was "auto").
    pub blocking_threads: usize,
    /// Guests that wait for their first turn on such a thread.
    pub blocking_queue: usize,
}

/// Limits of one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests in flight at the same time.
    pub concurrency: usize,
    /// Requests waiting for one of those places.
    pub queue: usize,
    /// Longest wait in that queue.
    pub queue_timeout: Duration,
    /// From the request head to the response head.
    pub request_timeout: Duration,
    /// Longest silence of a guest between two frames of a response body.
    pub response_idle_timeout: Duration,
    /// Longest work of a guest after its response has ended.
    pub after_response_timeout: Duration,
    /// CPU time of a guest for one request.
    pub cpu_time: Duration,
    /// Bytes of all memories and tables of one instance together.
    pub memory: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// An idle connection is closed after this time.
    pub keep_alive_timeout: Duration,
    /// A request head must be complete this long after its first byte.
    pub header_timeout: Duration,
    /// Longest silence of a client between two frames of a request body.
    pub body_timeout: Duration,
    /// Connections a worker holds open at the same time.
    pub max_connections: usize,
    /// Connections without a request in flight that a worker keeps open; `None` for no cap.
    pub max_keep_alive: Option<usize>,
    /// Bytes of one request head.
    pub max_header_bytes: usize,
    /// Bytes of one request body.
    pub max_body: u64,
    /// What TCP connections are encrypted with; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// Each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whose word about their clients is believed.
    pub forwarded_allow_ips: TrustedPeers,
}

/// The server's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Where the chain is read from, the server's own certificate first; absolute.
    pub cert: PathBuf,
    /// Where its private key is read from; absolute.
    pub key: PathBuf,
    /// What these files held when the configuration was loaded.
    pub identity: Identity,
}

/// A certificate chain and its private key, in PEM. Empty until whoever loads the
/// configuration has read the files; every worker of a generation then uses the same.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub chain: String,
    /// A secret, and not shown by `Debug`.
    pub key: String,
}

/// Peers that tell the truth about the clients behind them. A unix socket's peer counts as
/// loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedPeers(pub Vec<PeerRange>);

/// Some peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRange {
    /// `*`
    Everybody,
    /// `10.0.0.0/8`; all bits after the prefix are zero.
    Network { address: IpAddr, prefix: u8 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shutdown {
    /// How long connections are accepted after readiness went false; may be zero.
    pub drain_delay: Duration,
    /// How long a drain waits for requests in flight.
    pub graceful_timeout: Duration,
}

/// What guests may ask of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outbound {
    /// Origins that guests may call; empty denies all.
    pub allow: Vec<OriginPattern>,
    /// TCP connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// From the request being sent to the response head.
    pub first_byte_timeout: Duration,
    /// Longest silence of an upstream between two frames of a response body.
    pub between_bytes_timeout: Duration,
    /// Requests in flight to one authority, per worker.
    pub max_per_host: usize,
}

/// `https://api.example.com`, `http://127.0.0.1:8081` or `https://*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginPattern {
    pub scheme: OriginScheme,
    /// Lower case, without brackets and without the leading `*.`.
    pub host: String,
    /// Any name below `host`, but not `host` itself.
    pub subdomains: bool,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OriginScheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
    /// Of what guests print.
    pub guest_level: LogLevel,
    pub access: AccessLog,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    Human,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessLog {
    Off,
    /// The Common Log Format.
    Common,
    Json,
}

/// A path prefix (and host) bound to a component and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Begins with `/`, and ends with none unless it is `/`; as it stands in a URL, so
    /// percent-encoded where needed. Matches whole path segments.
    pub path: String,
    /// Lower case, without port; an IPv6 address in brackets. `None` matches every host.
    pub host: Option<String>,
    /// Absolute once loaded.
    pub component: PathBuf,
    pub executor: Executor,
    /// CPU time without waiting after which [`Executor::Auto`] moves a guest.
    pub offload_after: Duration,
    /// `None` keeps the default of the component's kind ([`Instances::default_for_02`],
    /// [`Instances::default_for_03`]).
    pub instances: Option<Instances>,
    pub readiness: Readiness,
    /// Environment variables of the guest, nothing else is visible to it.
    pub env: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub limits: RouteLimits,
}

impl Route {
    /// Host and path: what logs, figures and reports call it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or_default(), self.path)
    }
}

/// Where guests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executor {
    /// On the event loop; one that burns is moved to a blocking thread until it waits.
    Auto,
    /// On the event loop, in turns.
    Async,
    /// On blocking threads.
    Blocking,
}

/// A route's own limits, lower than or equal to the worker's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteLimits {
    pub concurrency: usize,
    pub queue: usize,
    pub queue_timeout: Duration,
    pub request_timeout: Duration,
    pub response_idle_timeout: Duration,
    pub after_response_timeout: Duration,
    pub cpu_time: Duration,
    pub memory: u64,
}

/// How many requests an instance serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Instances {
    /// A new one for every request.
    Fresh,
    Reuse {
        /// Requests before it is retired.
        max_requests: u64,
        /// Requests at the same time; always 1 for 0.2 components.
        max_concurrency: usize,
        /// Retired after being idle for so long.
        idle_timeout: Duration,
    },
}

impl Instances {
    /// What a `wasi:http/incoming-handler@0.2` component without lifecycle hooks gets when
    /// nothing is said.
    pub const fn default_for_02() -> Self {
        Self::Fresh
    }

    /// What every other component gets when nothing is said, and what
    /// fills the parts of a `reuse` that were not given: 1000 requests, 16 at a time,
    /// 60 s idle. A test holds it equal to the defaults in [`crate::ROUTE_KEYS`].
    pub const fn default_for_03() -> Self {
        Self::Reuse {
            max_requests: 1000,
            max_concurrency: 16,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// What is done for instances beside their requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Instances that each worker keeps started and idle; `None` keeps one of a component
    /// with lifecycle hooks, and none of another.
    pub min_idle: Option<usize>,
    /// Longest time that an instance may take for its hook `startup`.
    pub startup_timeout: Duration,
    /// Longest time that an instance may take for its hook `shutdown`.
    pub shutdown_timeout: Duration,
}

/// A folder of the host that guests see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute once loaded.
    pub host: PathBuf,
    /// Absolute path inside the guest.
    pub guest: String,
    pub write: bool,
}

/// What a bound address became: the real port, the path, the inherited descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}
