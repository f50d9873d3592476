//! What is printed at start (S1).

use std::collections::BTreeSet;

use super::Given;
use crate::{KEYS, Loaded, ROUTE_KEYS};

fn print(loaded: &Loaded) -> String {
    let lines: Vec<String> = loaded.settings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn a_bare_start_shows_every_default() {
    insta::assert_snapshot!(print(&Given::component("app.wasm").loaded()), @r#"
    bind = 127.0.0.1:8000 (default)
    cache = /home/a/.cache/remuda (default: $HOME/.cache/remuda)
    admin = 127.0.0.1:9000 (default)
    control = auto (default: in /tmp/remuda-1000, no $XDG_RUNTIME_DIR)
    workers.count = 3 (default: 2 cores seen, no quota, no memory limit, the machine has 8GiB: 2 cores × 1.5 (mixed) = 3 workers (memory would allow 32))
    workers.profile = mixed (default)
    workers.backlog = 2048 (default)
    workers.boot_timeout = 1m (default)
    workers.accept = shared (default)
    workers.memory = 2GiB (default: 75% of the machine's 8GiB / 3 workers)
    workers.heartbeat_timeout = 30s (default)
    workers.max_requests = 0 (default)
    workers.max_requests_jitter = 0 (default)
    workers.max_lifetime = 0s (default)
    workers.recycle_rss = 85% (default: 1.6GiB)
    workers.kill_rss = 95% (default: 1.8GiB)
    workers.blocking_threads = 1 (default: 2 cores for 3 workers)
    workers.blocking_queue = 1000 (default)
    limits.concurrency = 1000 (default)
    limits.queue = 1000 (default)
    limits.queue_timeout = 1s (default)
    limits.request_timeout = 30s (default)
    limits.response_idle_timeout = 30s (default)
    limits.after_response_timeout = 30s (default)
    limits.cpu_time = 10s (default)
    limits.memory = 128MiB (default)
    http.keep_alive_timeout = 15s (default)
    http.header_timeout = 10s (default)
    http.body_timeout = 30s (default)
    http.max_connections = 10000 (default)
    http.max_keep_alive = 0 (default)
    http.max_header_bytes = 64KiB (default)
    http.max_body = 16MiB (default)
    http.tls_cert = none (default)
    http.tls_key = none (default)
    http.proxy_protocol = off (default)
    http.forwarded_allow_ips = 127.0.0.0/8, ::1 (default)
    shutdown.drain_delay = 0s (default)
    shutdown.graceful_timeout = 30s (default)
    outbound.allow = none (default)
    outbound.connect_timeout = 5s (default)
    outbound.first_byte_timeout = 15s (default)
    outbound.between_bytes_timeout = 15s (default)
    outbound.max_per_host = 250 (default)
    log.format = auto (default)
    log.level = info (default)
    log.guest_level = debug (default)
    log.access = off (default)
    route[0].path = / (default)
    route[0].host = * (default)
    route[0].component = /site/app.wasm (COMPONENT)
    route[0].executor = auto (default)
    route[0].offload_after = 5ms (default)
    route[0].instances.mode = auto (default: fresh for 0.2 without lifecycle hooks, else reuse)
    route[0].instances.min_idle = auto (default)
    route[0].instances.startup_timeout = 30s (default)
    route[0].instances.shutdown_timeout = 5s (default)
    route[0].env = none (default)
    route[0].mounts = none (default)
    route[0].limits.concurrency = 1000 (default: the worker's)
    route[0].limits.queue = 1000 (default: the worker's)
    route[0].limits.queue_timeout = 1s (default: the worker's)
    route[0].limits.request_timeout = 30s (default: the worker's)
    route[0].limits.response_idle_timeout = 30s (default: the worker's)
    route[0].limits.after_response_timeout = 30s (default: the worker's)
    route[0].limits.cpu_time = 10s (default: the worker's)
    route[0].limits.memory = 128MiB (default: the worker's)
    "#);
}

#[test]
fn every_setting_names_who_set_it() {
    let loaded = Given::file(
        r#"
[workers]
profile = "io"
[limits]
concurrency = 500

[[route]]
path = "/api/"
host = "API.example.com"
component = "bin/api.wasm"
executor = "blocking"
instances.mode = "reuse"
env = { TOKEN = "secret", A = 1 }
mounts = [{ host = "static", guest = "/static/" }, { host = "/data", guest = "/data", write = true }]
limits.request_timeout = "2s"

[[route]]
component = "/opt/site.wasm"
instances = { max_requests = 5 }
"#,
    )
    .variable("REMUDA_LIMITS__QUEUE", "0")
    .flag("bind", &["unix:app.sock", "fd:3,:80"])
    .loaded();
    let interesting: Vec<String> = loaded
        .settings
        .iter()
        .filter(|setting| setting.source != crate::Source::Default || setting.reason.is_some())
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(interesting.join("\n"), @r#"
    bind = unix:/srv/app.sock, fd:3, :80 (--bind)
    cache = /home/a/.cache/remuda (default: $HOME/.cache/remuda)
    control = auto (default: in /tmp/remuda-1000, no $XDG_RUNTIME_DIR)
    workers.count = 4 (default: 2 cores seen, no quota, no memory limit, the machine has 8GiB: 2 cores × 2 (io) = 4 workers (memory would allow 32))
    workers.profile = io (remuda.toml:3)
    workers.memory = 1536MiB (default: 75% of the machine's 8GiB / 4 workers)
    workers.recycle_rss = 85% (default: 1.2GiB)
    workers.kill_rss = 95% (default: 1.4GiB)
    workers.blocking_threads = 1 (default: 2 cores for 4 workers)
    limits.concurrency = 500 (remuda.toml:5)
    limits.queue = 0 (REMUDA_LIMITS__QUEUE)
    route[0].path = /api (remuda.toml:8)
    route[0].host = api.example.com (remuda.toml:9)
    route[0].component = /srv/bin/api.wasm (remuda.toml:10)
    route[0].executor = blocking (remuda.toml:11)
    route[0].instances.mode = reuse (remuda.toml:12)
    route[0].env = A, TOKEN (remuda.toml:13: values are not shown)
    route[0].mounts = /srv/static:/static, /data:/data:rw (remuda.toml:14)
    route[0].limits.concurrency = 375 (default: the worker's 500, less a quarter for the other routes)
    route[0].limits.queue = 0 (REMUDA_LIMITS__QUEUE: the worker's)
    route[0].limits.queue_timeout = 1s (default: the worker's)
    route[0].limits.request_timeout = 2s (remuda.toml:15)
    route[0].limits.response_idle_timeout = 30s (default: the worker's)
    route[0].limits.after_response_timeout = 30s (default: the worker's)
    route[0].limits.cpu_time = 10s (default: the worker's)
    route[0].limits.memory = 128MiB (default: the worker's)
    route[1].component = /opt/site.wasm (remuda.toml:18)
    route[1].instances.mode = reuse (remuda.toml:19: instances.max_requests is set)
    route[1].instances.max_requests = 5 (remuda.toml:19)
    route[1].limits.concurrency = 375 (default: the worker's 500, less a quarter for the other routes)
    route[1].limits.queue = 0 (REMUDA_LIMITS__QUEUE: the worker's)
    route[1].limits.queue_timeout = 1s (default: the worker's)
    route[1].limits.request_timeout = 30s (default: the worker's)
    route[1].limits.response_idle_timeout = 30s (default: the worker's)
    route[1].limits.after_response_timeout = 30s (default: the worker's)
    route[1].limits.cpu_time = 10s (default: the worker's)
    route[1].limits.memory = 128MiB (default: the worker's)
    "#);
}

#[test]
fn they_are_complete_and_in_the_order_of_the_tables() {
    let loaded = Given::component("app.wasm").route_flag("instances.mode", &["reuse"]).loaded();
    let shown: Vec<&str> = loaded.settings.iter().map(|setting| setting.key.as_str()).collect();
    let of_route: Vec<String> =
        ROUTE_KEYS.iter().map(|key| format!("route[0].{}", key.path)).collect();
    let expected: Vec<&str> =
        KEYS.iter().map(|key| key.path).chain(of_route.iter().map(String::as_str)).collect();
    assert_eq!(shown, expected);
    assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len());
}

#[test]
fn secrets_are_not_printed() {
    let loaded = Given::component("app.wasm").route_flag("env", &["TOKEN=hunter2"]).loaded();
    assert_eq!(loaded.config.routes[0].env, [("TOKEN".to_owned(), "hunter2".to_owned())]);
    assert!(!print(&loaded).contains("hunter2"));
}
