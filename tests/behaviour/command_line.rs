//! What the other commands print, and what the server says when it starts.

use insta::assert_snapshot;
use remuda_tests::{
    Cli, Server,
    cli::squeezed,
    guests::{self, Guest},
};

#[tokio::test]
async fn check_prints_what_is_imported_and_granted() {
    let check = |flags: &str, guest: Guest| {
        Cli::remuda(&format!("check {flags}")).arg(guest.path()).shared_cache()
    };
    let report = check("", guests::FETCH).run().await.succeeded();
    assert_snapshot!(route(&report), @r#"
    /
    component  [guests]/fetch.wasm
    served as  wasi:http/handler@0.3
    cli/environment  no variables; grant with env
    cli/stdin  empty
    cli/stdout  to the log
    http/client  denied; grant with outbound.allow
    http/types  granted
    "#);
    let flags = "--outbound-allow http://127.0.0.1:8081 --env KEY=secret";
    let report = check(flags, guests::FETCH).run().await.succeeded();
    assert!(!report.contains("secret"), "{report}");
    assert_snapshot!(route(&report), @r#"
    /
    component  [guests]/fetch.wasm
    served as  wasi:http/handler@0.3
    cli/environment  variables KEY
    cli/stdin  empty
    cli/stdout  to the log
    http/client  to http://127.0.0.1:8081
    http/types  granted
    "#);
    let flags = "--mount /srv:/files --mount /tmp:/scratch:rw";
    let report = check(flags, guests::MISBEHAVE).run().await.succeeded();
    assert_snapshot!(route(&report), @r#"
    /
    component  [guests]/misbehave.wasm
    served as  wasi:http/incoming-handler@0.2
    cli/environment  no variables; grant with env
    cli/stdin  empty
    cli/stdout  to the log
    filesystem/preopens  /srv at /files (read only), /tmp at /scratch (read and write)
    filesystem/types  /srv at /files (read only), /tmp at /scratch (read and write)
    http/outgoing-handler  denied; grant with outbound.allow
    http/types  granted
    "#);
}

#[tokio::test]
async fn check_tells_hooks_and_jobs() {
    for guest in [guests::OFFLOAD, guests::OFFLOAD_P2] {
        let check = Cli::remuda("check --instance-startup-timeout 7s").arg(guest.path());
        let report = squeezed(&check.shared_cache().run().await.succeeded());
        for line in [
            "hooks  startup in 7s, shutdown in 5s",
            "jobs  run by those that import remuda:runtime/offload",
            "remuda:runtime/offload@0.1.0  jobs, each with limits.cpu_time and limits.memory for itself",
        ] {
            assert!(report.contains(line), "{}: {report}", guest.name);
        }
    }
}

/// What is said of a route, without the imports that every guest has, and without versions
/// and order: they come from the compiler that has built it.
fn route(report: &str) -> String {
    let (_, route) = report.split_once("\nRoute ").expect("a route");
    let (head, imports) = route.split_once("  imports\n").expect("imports");
    let names = ["http/", "filesystem/", "cli/environment", "cli/stdin", "cli/stdout"];
    let imports = imports.lines().filter_map(|line| line.trim().strip_prefix("wasi:"));
    let of_interest = imports.filter(|line| names.iter().any(|name| line.starts_with(name)));
    let mut imports: Vec<String> = of_interest
        .filter_map(|line| {
            let (name, rest) = line.split_once('@')?;
            Some(format!("{name}  {}", rest.split_once(' ')?.1))
        })
        .collect();
    imports.sort();
    squeezed(&format!("{head}{}", imports.join("\n")))
}

#[tokio::test]
async fn check_prints_the_settings_and_where_they_come_from() {
    // What is left out here follows the machine.
    let machine = "--worker-memory 1GiB --blocking-threads 1 --control off";
    let check = Cli::remuda("check --workers 2 --cache cache --log-format json");
    let check = machine.split(' ').fold(check, Cli::arg);
    let report = check.arg(guests::HELLO.path()).run().await.succeeded();
    let (settings, _) = report.split_once("\nRoute ").expect("a route");
    assert_snapshot!(squeezed(settings), @r#"
    Effective settings
    bind  127.0.0.1:8000  default
    cache  [sandbox]/cache  --cache
    admin  127.0.0.1:9000  default
    control  off  --control
    workers.count  2  --workers
    workers.profile  mixed  default
    workers.backlog  2048  default
    workers.boot_timeout  1m  default
    workers.accept  shared  default
    workers.memory  1GiB  --worker-memory
    workers.heartbeat_timeout  30s  default
    workers.max_requests  0  default
    workers.max_requests_jitter  0  default
    workers.max_lifetime  0s  default
    workers.recycle_rss  85%  default: 870.3MiB
    workers.kill_rss  95%  default: 972.7MiB
    workers.blocking_threads  1  --blocking-threads
    workers.blocking_queue  1000  default
    limits.concurrency  1000  default
    limits.queue  1000  default
    limits.queue_timeout  1s  default
    limits.request_timeout  30s  default
    limits.response_idle_timeout  30s  default
    limits.after_response_timeout  30s  default
    limits.cpu_time  10s  default
    limits.memory  128MiB  default
    http.keep_alive_timeout  15s  default
    http.header_timeout  10s  default
    http.body_timeout  30s  default
    http.max_connections  10000  default
    http.max_keep_alive  0  default
    http.max_header_bytes  64KiB  default
    http.max_body  16MiB  default
    http.tls_cert  none  default
    http.tls_key  none  default
    http.proxy_protocol  off  default
    http.forwarded_allow_ips  127.0.0.0/8, ::1  default
    shutdown.drain_delay  0s  default
    shutdown.graceful_timeout  30s  default
    outbound.allow  none  default
    outbound.connect_timeout  5s  default
    outbound.first_byte_timeout  15s  default
    outbound.between_bytes_timeout  15s  default
    outbound.max_per_host  250  default
    log.format  json  --log-format
    log.level  info  default
    log.guest_level  debug  default
    log.access  off  default
    route[0].path  /  default
    route[0].host  *  default
    route[0].component  [guests]/hello.wasm  COMPONENT
    route[0].executor  auto  default
    route[0].offload_after  5ms  default
    route[0].instances.mode  auto  default: fresh for 0.2 without lifecycle hooks, else reuse
    route[0].instances.min_idle  auto  default
    route[0].instances.startup_timeout  30s  default
    route[0].instances.shutdown_timeout  5s  default
    route[0].env  none  default
    route[0].mounts  none  default
    route[0].limits.concurrency  1000  default: the worker's
    route[0].limits.queue  1000  default: the worker's
    route[0].limits.queue_timeout  1s  default: the worker's
    route[0].limits.request_timeout  30s  default: the worker's
    route[0].limits.response_idle_timeout  30s  default: the worker's
    route[0].limits.after_response_timeout  30s  default: the worker's
    route[0].limits.cpu_time  10s  default: the worker's
    route[0].limits.memory  128MiB  default: the worker's
    "#);
}

#[tokio::test]
async fn check_says_what_production_would_miss() {
    let check = |flags: &str| {
        Cli::remuda(&format!("check {flags}")).arg(guests::HELLO.path()).shared_cache()
    };
    let report = check("").run().await.succeeded();
    let (_, checklist) = report.split_once("\nChecklist\n").expect("a checklist");
    assert!(checklist.contains("  look  idle connections are closed after 15s"), "{checklist}");
    assert!(checklist.ends_with("\nok\n") && !checklist.contains("FAIL"), "{checklist}");

    let report = check("--upstream-idle 10s").run().await.succeeded();
    assert!(report.contains("  pass  idle connections live longer here (15s)"), "{report}");
    for (flags, named) in [
        ("--upstream-idle 60", "http.keep_alive_timeout"),
        ("--request-timeout 40s", "shutdown.graceful_timeout"),
        ("--max-connections 1000000", "LimitNOFILE="),
    ] {
        let ended = check(flags).run().await;
        assert_eq!(ended.code, Some(78), "{ended}");
        let line = ended.stdout.lines().find(|line| line.starts_with("  FAIL  "));
        assert!(line.is_some_and(|line| line.contains(named)), "{ended}");
        assert_eq!(ended.stderr, "remuda: 1 line fails on the checklist above\n");
    }
}

#[tokio::test]
async fn check_refuses_what_serve_refuses() {
    let ended = Cli::remuda("check --cache cache").arg(guests::NOT_HTTP.path()).run().await;
    assert_eq!(ended.code, Some(65), "{ended}");
    let ended = Cli::remuda("check --workers none").arg(guests::HELLO.path()).run().await;
    assert_eq!(ended.code, Some(78), "{ended}");
}

#[tokio::test]
async fn a_start_tells_every_setting_and_where_it_comes_from() {
    let builder = Server::builder().guest(guests::HELLO).flag("--request-timeout", "2s");
    let server = builder.environment("REMUDA_LIMITS__QUEUE", "7").start().await;
    let settings = server.lines("setting");
    let of = |key: &str| {
        let line = settings.iter().find(|line| line.text("key") == key);
        let line = line.unwrap_or_else(|| panic!("{key} is not told"));
        (line.text("value").to_owned(), line.text("source").to_owned())
    };
    let is = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    assert_eq!(of("limits.request_timeout"), is("2s", "--request-timeout"));
    assert_eq!(of("limits.queue"), is("7", "REMUDA_LIMITS__QUEUE"));
    assert_eq!(of("limits.concurrency"), is("1000", "default"));
    let timeouts = settings.iter().filter(|line| line.text("key").ends_with("timeout"));
    for line in timeouts {
        let value = line.text("value");
        assert!(value.starts_with(|first: char| first.is_ascii_digit()), "{line}");
        assert!(!value.starts_with('0'), "{line}");
    }
}

#[tokio::test]
async fn a_component_is_compiled_once() {
    let mut compile = Cli::remuda("compile --cache cache").arg(guests::HELLO_P2.path());
    let first = compile.run().await.succeeded();
    assert!(first.starts_with("compiled [guests]/hello-p2.wasm in "), "{first}");
    let second = compile.run().await.succeeded();
    let cached = "[guests]/hello-p2.wasm is in the cache already: cache/";
    assert!(second.starts_with(cached), "{second}");
    assert_eq!(first.rsplit(": ").next(), second.rsplit(": ").next());
}

#[tokio::test]
async fn compile_speaks_json() {
    let mut compile = Cli::remuda("compile --json --cache cache").arg(guests::HELLO.path());
    for cached in [false, true] {
        let report = compile.run().await.succeeded();
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["cached"], cached);
        assert_eq!(report["handler"], "wasi:http/handler@0.3");
    }
}

#[tokio::test]
async fn completions_complete_commands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Cli::remuda(&format!("completions {shell}")).run().await.succeeded();
        for word in ["serve", "check", "compile", "limit-concurrency"] {
            assert!(script.contains(word), "no {word} for {shell}");
        }
    }
}

#[tokio::test]
async fn the_manual_has_a_page_for_every_command() {
    let page = Cli::remuda("man").run().await.succeeded();
    assert!(page.contains(".TH remuda 1"), "{page}");
    let mut man = Cli::remuda("man --folder pages").file("pages/keep", "");
    assert_eq!(man.run().await.succeeded(), "");
    let serve = std::fs::read_to_string(man.path("pages/remuda-serve.1")).expect("a page");
    assert!(serve.contains("limit\\-concurrency"), "{serve}");
}

#[tokio::test]
async fn help_and_version_are_no_failure() {
    assert!(Cli::remuda("--version").run().await.succeeded().starts_with("remuda "));
    assert!(Cli::remuda("serve --help").run().await.succeeded().contains("Exit codes:"));
}
