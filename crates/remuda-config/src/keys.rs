//! The table of keys.
//!
//! Purpose: the one place that lists every setting: flags, variables, defaults,
//! suggestions, the effective settings and the reference all come from it. Owner:
//! whoever adds a setting. Invariant: every key is read by validation exactly once.

use crate::key::{Arity, Key};

/// Every key above the routes, in the order in which they are printed.
pub const KEYS: &[Key] = &[
    Key::new(
        "bind",
        "Address to listen on: HOST:PORT, :PORT, unix:PATH, unix:PATH?mode=660 or fd:NUMBER",
    )
    .value("ADDRESS", "127.0.0.1:8000")
    .flag("bind", &["addr"])
    .short('b')
    .arity(Arity::List),
    Key::new("cache", "Folder for compiled components; auto is remuda in the user's cache folder")
        .value("FOLDER", "auto")
        .flag("cache", &["cache-dir"]),
    Key::new("admin", "Address for health checks, metrics and status, like bind's; or off")
        .value("ADDRESS", "127.0.0.1:9000")
        .flag("admin", &[]),
    Key::new("control", "Unix socket for remuda ctl: a path, off, or auto: in the runtime folder")
        .value("PATH", "auto")
        .flag("control", &["control-socket"]),
    // workers
    Key::new(
        "workers.count",
        "Number of worker processes; auto is cores × profile, or what fits into memory",
    )
    .value("NUMBER", "auto")
    .flag("workers", &[])
    .short('w'),
    Key::new("workers.profile", "Workers per core for auto: cpu 1, mixed 1.5, io 2")
        .value("PROFILE", "mixed")
        .flag("profile", &[]),
    Key::new("workers.backlog", "Connections that may wait in a listening socket")
        .value("NUMBER", "2048")
        .flag("backlog", &[]),
    Key::new("workers.boot_timeout", "Longest time from a worker's start to its being ready")
        .value("DURATION", "60s")
        .flag("boot-timeout", &[]),
    Key::new(
        "workers.accept",
        "One listening socket for all workers (shared) or for each (reuseport)",
    )
    .value("MODE", "shared")
    .flag("accept", &[]),
    Key::new("workers.memory", "Memory budget of one worker; auto is 75% of all, divided")
        .value("SIZE", "auto")
        .flag("worker-memory", &[]),
    Key::new("workers.heartbeat_timeout", "Longest silence of a worker before it is killed")
        .value("DURATION", "30s")
        .flag("heartbeat-timeout", &["timeout", "timeout-worker-healthcheck"]),
    Key::new("workers.max_requests", "Requests after which a worker is replaced; 0 is never")
        .value("NUMBER", "0")
        .flag("max-requests", &["limit-max-requests"]),
    Key::new("workers.max_requests_jitter", "Most that is added to max_requests, at random")
        .value("NUMBER", "0")
        .flag("max-requests-jitter", &["limit-max-requests-jitter"]),
    Key::new("workers.max_lifetime", "Age at which a worker is replaced; 0s is never")
        .value("DURATION", "0s")
        .flag("max-lifetime", &[]),
    Key::new(
        "workers.recycle_rss",
        "Resident memory at which a worker is replaced: % of workers.memory, or a size",
    )
    .value("SHARE", "85%")
    .flag("recycle-rss", &[]),
    Key::new(
        "workers.kill_rss",
        "Resident memory at which a worker is killed: % of workers.memory, or a size",
    )
    .value("SHARE", "95%")
    .flag("kill-rss", &[]),
    Key::new("workers.blocking_threads", "Threads for CPU-heavy guests in each worker")
        .value("NUMBER", "auto")
        .flag("blocking-threads", &[]),
    Key::new("workers.blocking_queue", "Guests waiting for their first turn on a blocking thread, then 503")
        .value("NUMBER", "1000")
        .flag("blocking-queue", &[]),
    // limits
    Key::new("limits.concurrency", "Requests in flight at the same time, per worker")
        .value("NUMBER", "1000")
        .flag("limit-concurrency", &["concurrency"]),
    Key::new("limits.queue", "Requests waiting for a place, per worker; more get 503")
        .value("NUMBER", "1000")
        .flag("queue", &["limit-queue"]),
    Key::new("limits.queue_timeout", "Longest wait for a place before 503")
        .value("DURATION", "1s")
        .flag("queue-timeout", &[]),
    Key::new("limits.request_timeout", "Longest time until the response head, then 504")
        .value("DURATION", "30s")
        .flag("request-timeout", &[]),
    Key::new("limits.response_idle_timeout", "Longest silence within a response body")
        .value("DURATION", "30s")
        .flag("response-idle-timeout", &[]),
    Key::new("limits.after_response_timeout", "Longest work of a guest after its response")
        .value("DURATION", "30s")
        .flag("after-response-timeout", &[]),
    Key::new("limits.cpu_time", "CPU time of a guest per request, then 504")
        .value("DURATION", "10s")
        .flag("cpu-time", &["limit-cpu-time"]),
    Key::new("limits.memory", "Memory of one instance: all its memories and tables together")
        .value("SIZE", "128MiB")
        .flag("limit-memory", &["max-memory-size"]),
    // http
    Key::new("http.keep_alive_timeout", "Idle connections are closed after this time")
        .value("DURATION", "15s")
        .flag("keep-alive-timeout", &["timeout-keep-alive", "keep-alive"]),
    Key::new("http.header_timeout", "Longest time for a request head to arrive, then 408")
        .value("DURATION", "10s")
        .flag("header-timeout", &[]),
    Key::new("http.body_timeout", "Longest silence within a request body, then 408")
        .value("DURATION", "30s")
        .flag("body-timeout", &[]),
    Key::new("http.max_connections", "Open connections, per worker")
        .value("NUMBER", "10000")
        .flag("max-connections", &["worker-connections"]),
    Key::new("http.max_keep_alive", "Idle connections kept open, per worker; 0 is no cap")
        .value("NUMBER", "0")
        .flag("max-keep-alive", &[]),
    Key::new("http.max_header_bytes", "Size of a request head, then 431")
        .value("SIZE", "64KiB")
        .flag("max-header-bytes", &["h11-max-incomplete-event-size"]),
    Key::new("http.max_body", "Size of a request body, then 413")
        .value("SIZE", "16MiB")
        .flag("max-body", &[]),
    Key::new("http.tls_cert", "Certificate chain in PEM for HTTPS on all TCP addresses; or none")
        .value("FILE", "none")
        .flag("tls-cert", &["ssl-certfile", "certfile"]),
    Key::new("http.tls_key", "Private key of tls_cert in PEM; or none")
        .value("FILE", "none")
        .flag("tls-key", &["ssl-keyfile", "keyfile"]),
    Key::new("http.proxy_protocol", "Connections begin with a PROXY protocol header: on or off")
        .value("MODE", "off")
        .flag("proxy-protocol", &[]),
    Key::new(
        "http.forwarded_allow_ips",
        "Peers whose X-Forwarded-*, Forwarded and PROXY headers are believed: addresses, networks, or *",
    )
    .value("NETWORK", "127.0.0.0/8,::1")
    .flag("forwarded-allow-ips", &[])
    .arity(Arity::List),
    // shutdown
    Key::new("shutdown.drain_delay", "Time to go on accepting after readiness went false")
        .value("DURATION", "0s")
        .flag("drain-delay", &[]),
    Key::new("shutdown.graceful_timeout", "Longest wait for requests in flight when stopping")
        .value("DURATION", "30s")
        .flag("graceful-timeout", &["timeout-graceful-shutdown"]),
    // outbound
    Key::new("outbound.allow", "Origin that guests may call, such as https://*.example.com")
        .value("ORIGIN", "none")
        .flag("outbound-allow", &[])
        .arity(Arity::List),
    Key::new("outbound.connect_timeout", "Longest connect and TLS handshake of a guest's request")
        .value("DURATION", "5s")
        .flag("outbound-connect-timeout", &[]),
    Key::new("outbound.first_byte_timeout", "Longest wait for an upstream's response head")
        .value("DURATION", "15s")
        .flag("outbound-first-byte-timeout", &[]),
    Key::new(
        "outbound.between_bytes_timeout",
        "Longest silence within an upstream's response body",
    )
    .value("DURATION", "15s")
    .flag("outbound-between-bytes-timeout", &[]),
    // A quarter of limits.concurrency: one hung upstream leaves places for the others.
    Key::new("outbound.max_per_host", "Guests' requests in flight to one authority, per worker")
        .value("NUMBER", "250")
        .flag("outbound-max-per-host", &[]),
    // log
    Key::new("log.format", "Log as human, json, or auto: human on a terminal, else json")
        .value("FORMAT", "auto")
        .flag("log-format", &[]),
    Key::new("log.level", "Least severe log line: error, warn, info or debug")
        .value("LEVEL", "info")
        .flag("log-level", &[]),
    // All of it: what is not wanted is better not printed, for that costs the guest a call.
    Key::new("log.guest_level", "Least severe line of what guests print: error, warn, info or debug")
        .value("LEVEL", "debug")
        .flag("log-guest-level", &[]),
    Key::new("log.access", "A line for every request: off, common or json")
        .value("FORMAT", "off")
        .flag("access-log", &[]),
];

/// Every key inside a `[[route]]`. Those with a flag apply to the one route of
/// `remuda serve COMPONENT`.
pub const ROUTE_KEYS: &[Key] = &[
    Key::new("path", "Path prefix, matched by whole segments; the longest wins. Guests see the whole path").value("PATH", "/"),
    Key::new("host", "Host name without port; * is every host").value("HOST", "*"),
    Key::new("component", "The component to serve, relative to the file").value("FILE", ""),
    Key::new("executor", "Where the guest runs: async on the event loop, blocking on threads, or auto: moved there when it burns")
        .value("MODE", "auto")
        .flag("executor", &[]),
    Key::new("offload_after", "CPU time without waiting after which auto moves a guest")
        .value("DURATION", "5ms")
        .flag("offload-after", &[]),
    Key::new("instances.mode", "An instance serves one request (fresh) or many (reuse); auto is fresh for 0.2 without lifecycle hooks, else reuse")
        .value("MODE", "auto")
        .flag("instances", &[]),
    Key::new("instances.max_requests", "Requests before a reused instance is retired")
        .value("NUMBER", "1000")
        .flag("instance-max-requests", &["max-instance-reuse-count"]),
    Key::new("instances.max_concurrency", "Requests at the same time in a reused 0.3 instance")
        .value("NUMBER", "16")
        .flag("instance-max-concurrency", &["max-instance-concurrent-reuse-count"]),
    Key::new("instances.idle_timeout", "An idle reused instance is retired after this time")
        .value("DURATION", "60s")
        .flag("instance-idle-timeout", &["idle-instance-timeout"]),
    Key::new("instances.min_idle", "Instances kept started and idle, per worker; auto is 1 with lifecycle hooks, else 0")
        .value("NUMBER", "auto")
        .flag("instance-min-idle", &[]),
    Key::new("instances.startup_timeout", "Longest startup of an instance (lifecycle hook)")
        .value("DURATION", "30s")
        .flag("instance-startup-timeout", &[]),
    Key::new("instances.shutdown_timeout", "Longest shutdown of an instance (lifecycle hook)")
        .value("DURATION", "5s")
        .flag("instance-shutdown-timeout", &[]),
    Key::new("env", "Environment variables of the guest")
        .value("NAME=VALUE", "none")
        .flag("env", &[])
        .short('e')
        .arity(Arity::Each),
    Key::new("mounts", "Folders that the guest sees: { host, guest, write = false }")
        .value("HOST:GUEST[:rw]", "none")
        .flag("mount", &[])
        .arity(Arity::Each),
    Key::new("limits.concurrency", "Requests in flight at the same time, per worker; a quarter less than the worker's where there are other routes")
        .value("NUMBER", ""),
    Key::new("limits.queue", "Requests waiting for a place, per worker; a quarter less than the worker's where there are other routes")
        .value("NUMBER", ""),
    Key::new("limits.queue_timeout", "Longest wait for a place before 503")
        .value("DURATION", ""),
    Key::new("limits.request_timeout", "Longest time until the response head, then 504")
        .value("DURATION", ""),
    Key::new("limits.response_idle_timeout", "Longest silence within a response body")
        .value("DURATION", ""),
    Key::new("limits.after_response_timeout", "Longest work of a guest after its response")
        .value("DURATION", ""),
    Key::new("limits.cpu_time", "CPU time of a guest per request, then 504")
        .value("DURATION", ""),
    Key::new("limits.memory", "Memory of one instance: all its memories and tables together")
        .value("SIZE", ""),
];

/// Variables that begin like a setting and are none: `REMUDA_CONFIG` names the
/// configuration file, `REMUDA_DEV` is what `remuda dev` tells its server, `REMUDA_GUESTS` is
/// where the tests find their guests, and `REMUDA_HANDOVER` is what a server tells the one that is
/// to take over its sockets.
pub const RESERVED_VARIABLES: &[&str] =
    &["REMUDA_CONFIG", "REMUDA_DEV", "REMUDA_GUESTS", "REMUDA_HANDOVER"];

/// The key with this path.
pub(crate) fn find(keys: &'static [Key], path: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.path == path)
}

/// Whether keys lie below this path, as below `workers`.
pub(crate) fn is_section(keys: &[Key], path: &str) -> bool {
    keys.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The names to suggest: the keys, and the sections they lie in.
pub(crate) fn suggestions(keys: &'static [Key]) -> impl Iterator<Item = &'static str> {
    let paths = keys.iter().map(|key| key.path);
    let sections = paths.clone().filter_map(|path| path.split_once('.')).map(|(first, _)| first);
    paths.chain(sections)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{KEYS, RESERVED_VARIABLES, ROUTE_KEYS};

    /// The binary's own flags.
    const TAKEN: [&str; 7] = ["config", "c", "help", "h", "version", "V", "json"];

    #[test]
    fn every_flag_letter_and_variable_has_one_meaning() {
        let mut flags: BTreeSet<String> = TAKEN.map(str::to_owned).into();
        let mut variables: BTreeSet<String> =
            RESERVED_VARIABLES.iter().map(|&v| v.into()).collect();
        for key in KEYS.iter().chain(ROUTE_KEYS) {
            let names = key.flag.into_iter().chain(key.aliases.iter().copied());
            for name in names.map(str::to_owned).chain(key.short.map(String::from)) {
                assert!(flags.insert(name.clone()), "{name} of {} is taken", key.path);
            }
        }
        for key in KEYS {
            assert!(variables.insert(key.environment()), "{} is taken", key.environment());
        }
    }

    #[test]
    fn every_key_of_the_server_has_a_flag_and_a_default() {
        for key in KEYS {
            assert!(key.flag.is_some() && !key.default.is_empty(), "{}", key.path);
        }
    }

    #[test]
    fn paths_are_unique_and_no_key_is_a_section() {
        for keys in [KEYS, ROUTE_KEYS] {
            let paths: BTreeSet<&str> = keys.iter().map(|key| key.path).collect();
            assert_eq!(paths.len(), keys.len());
            for path in paths {
                assert!(!super::is_section(keys, path), "{path}");
            }
        }
    }

    #[test]
    fn variables_spell_the_path() {
        let key = super::find(KEYS, "http.max_header_bytes").expect("a key");
        assert_eq!(key.environment(), "REMUDA_HTTP__MAX_HEADER_BYTES");
    }
}
