//! What an operator reads when something is wrong: where, what, and what to do.

use super::Given;

#[test]
fn every_mistake_of_a_file_is_reported_with_its_line() {
    let file = r#"
workers = 3
bind = ["127.0.0.1:80", "127.0.0.1"]
admin = "on"
request_timeout = "3s"
component = "app.wasm"

[wrokers]
count = 2

[limits]
concurrency = 0
queue_timeout = "0s"
request_timeout = "soon"
memory = ["128MiB"]

[http]
max_header_bytes = "1KiB"

[outbound]
allow = [
  "https://api.example.com",
  "https://*",
]
"#;
    insta::assert_snapshot!(Given::file(file).errors(), @r#"
    remuda.toml:2: workers: expected a table, got "3"; try [workers]
    remuda.toml:3: bind: has no port; try 127.0.0.1:8000
    remuda.toml:4: admin: has no port; try on:8000
    remuda.toml:5: request_timeout: unknown key; did you mean "limits.request_timeout"?
    remuda.toml:6: component: does not belong here; move it into a [[route]]
    remuda.toml:8: wrokers: unknown key; did you mean "workers"?
    remuda.toml:12: limits.concurrency: must be a whole number from 1 to 1000000, got 0; try concurrency = 1000
    remuda.toml:13: limits.queue_timeout: must be at least 1ms, got 0s; try queue_timeout = "1s"
    remuda.toml:14: limits.request_timeout: expected a duration such as "250ms" or "30s", got "soon"; try request_timeout = "30s"
    remuda.toml:15: limits.memory: expected a size such as "64KiB" or "128MiB", got a list; try memory = "128MiB"
    remuda.toml:18: http.max_header_bytes: must be at least 8KiB, got 1KiB; try max_header_bytes = "64KiB"
    remuda.toml:23: outbound.allow: a * stands for the whole left part of a name; try https://*.example.com
    route: nothing to serve; add a [[route]] to remuda.toml
    "#);
}

#[test]
fn routes_too() {
    let file = r#"
[limits]
request_timeout = "10s"

[[route]]
path = "api"
host = "example.com:80"
executor = "threads"
bind = ":80"
limits = { concurrency = 2000, request_timeout = "11s", queue = 3000 }
instances = { mode = "fresh", max_requests = 3 }
env = { "" = "x", LIST = [1] }
mounts = [
  { host = "static" },
  { host = "a", guest = "b", wirte = true },
  { host = "a", guest = "/a", write = "yes" },
]

[[route]]
path = "/a/"
component = "a.wasm"
mounts = [{ host = "a", guest = "/a" }, { host = "b", guest = "/a/" }]

[[route]]
component = "c.wasm"
path = "/a"

[[route]]
component = "b.wasm"
path = "/c"

[[route]]
component = ""
path = "/c"
instances = "fresh"
env = "none of it"
mounts = "a:/a"

[[route]]
component = "b.wasm"
path = "/c/"
"#;
    insta::assert_snapshot!(Given::file(file).errors(), @r#"
    remuda.toml:5: route[0].component: is missing; add component = "app.wasm"
    remuda.toml:6: route[0].path: must begin with /, got "api"; try path = "/"
    remuda.toml:7: route[0].host: has a port, and routes match every port; write "example.com"
    remuda.toml:8: route[0].executor: expected "auto", "async" or "blocking", got "threads"; try executor = "auto"
    remuda.toml:9: route[0].bind: does not belong here; move it above the first [[route]]
    remuda.toml:10: route[0].limits.concurrency: 2000 is above the worker's 1000; lower it, or raise limits.concurrency
    remuda.toml:10: route[0].limits.queue: 3000 is above the worker's 1000; lower it, or raise limits.queue
    remuda.toml:10: route[0].limits.request_timeout: 11s is above the worker's 10s; lower it, or raise limits.request_timeout
    remuda.toml:11: route[0].instances.max_requests: means nothing to a fresh instance; remove it, or set the mode to reuse
    remuda.toml:12: route[0].env: a variable's name is not empty and has no = and no NUL; try env = { NAME = "value" }
    remuda.toml:12: route[0].env: expected a string for "LIST", got a list; try env = { NAME = "value" }
    remuda.toml:14: route[0].mounts.guest: is missing; add guest = "/static"
    remuda.toml:15: route[0].mounts.wirte: unknown key; did you mean "write"?
    remuda.toml:15: route[0].mounts.guest: must begin with /, got "b"; try guest = "/static"
    remuda.toml:16: route[0].mounts.write: expected "false" or "true", got "yes"; try write = false
    remuda.toml:22: route[1].mounts: /a is mounted twice; change one of the guest's paths
    remuda.toml:26: route[2].path: /a on every host is taken by remuda.toml:20; change the path or the host
    remuda.toml:33: route[4].component: is empty; try component = "app.wasm"
    remuda.toml:34: route[4].path: /c on every host is taken by remuda.toml:30; change the path or the host
    remuda.toml:35: route[4].instances: expected a table, got "fresh"; try [route.instances]
    remuda.toml:36: route[4].env: expected a table, got text; try env = { NAME = "value" }
    remuda.toml:37: route[4].mounts: expected a list of tables, got "a:/a"; try mounts = [{ host = "static", guest = "/static" }]
    remuda.toml:41: route[5].path: /c on every host is taken by remuda.toml:30; change the path or the host
    "#);
}

#[test]
fn flags_and_variables_are_named_as_they_were_given() {
    let given = Given::component("app.wasm")
        .flag("workers.count", &["many"])
        .flag("log.level", &["loud"])
        .flag("workers.accept", &["turns"])
        .flag("workers.blocking_threads", &["half"])
        .flag("http.keep_alive_timeout", &["5", "6"])
        .flag("bind", &[":80", ":80"])
        .route_flag("env", &["SECRET", "A=1", "A=2", "=3"])
        .route_flag("mounts", &["static", "a:b", "a:/b:rx", "a:/b/../c"])
        .route_flag("instances.max_requests", &["0"])
        .route_flag("executor", &["async,blocking"])
        .route_flag("offload_after", &["5 ticks"])
        .variable("REMUDA_WORKERS__BACKLOG", "70000")
        .variable("REMUDA_OUTBOUND__ALLOW", "example.com,https://a/b")
        .variable("REMUDA_LIMITS__MEMORY", "8GiB")
        .variable("REMUDA_LOG__FORMAT", "")
        .variable("REMUDA_WORKER__COUNT", "2");
    insta::assert_snapshot!(given.errors(), @r#"
    REMUDA_WORKER__COUNT: unknown variable; did you mean "REMUDA_WORKERS__COUNT"?
    REMUDA_LIMITS__MEMORY: must be at most 4GiB, got 8GiB; try REMUDA_LIMITS__MEMORY=128MiB
    REMUDA_WORKERS__BACKLOG: must be a whole number from 1 to 65535, got 70000; try REMUDA_WORKERS__BACKLOG=2048
    REMUDA_OUTBOUND__ALLOW: expected an origin such as "https://api.example.com", got "example.com"; try REMUDA_OUTBOUND__ALLOW=https://api.example.com
    REMUDA_OUTBOUND__ALLOW: an origin has no path and no query; try https://a
    REMUDA_LOG__FORMAT: is empty; try REMUDA_LOG__FORMAT=auto
    --keep-alive-timeout: is given 2 times; give it once
    --bind: :80 is given twice; remove one of them
    --workers: expected a number or "auto", got "many"; try --workers 4
    --accept: expected "shared" or "reuseport", got "turns"; try --accept shared
    --blocking-threads: expected a number or "auto", got "half"; try --blocking-threads 4
    --log-level: expected "error", "warn", "info" or "debug", got "loud"; try --log-level info
    --executor: expected "auto", "async" or "blocking", got "async,blocking"; try --executor auto
    --offload-after: expected a duration such as "250ms" or "30s", got "5 ticks"; try --offload-after 5ms
    --instance-max-requests: must be a whole number from 1 to 4294967295, got 0; try --instance-max-requests 1000
    --env: expected NAME=VALUE; try --env NAME=VALUE
    --env: "A" is given twice; give it once
    --env: a variable's name is not empty and has no = and no NUL; try --env NAME=VALUE
    --mount: expected HOST:GUEST or HOST:GUEST:rw, GUEST absolute, got "static"; try --mount static:/static
    --mount: expected HOST:GUEST or HOST:GUEST:rw, GUEST absolute, got "a:b"; try --mount static:/static
    --mount: expected HOST:GUEST or HOST:GUEST:rw, GUEST absolute, got "a:/b:rx"; try --mount static:/static
    --mount: expected HOST:GUEST or HOST:GUEST:rw, GUEST absolute, got "a:/b/../c"; try --mount static:/static
    "#);
}

#[test]
fn a_file_that_is_not_toml_names_the_line() {
    for (text, expected) in [
        ("bind = [\n", "remuda.toml:1: not valid TOML: unclosed array, expected `]`"),
        ("bind = \"a\"\r\nbind = \"b\"\r\n", "remuda.toml:2: not valid TOML: duplicate key"),
        (
            "\n[limits]\nmemory = 128MiB\n",
            "remuda.toml:3: not valid TOML: string values must be quoted, expected literal string",
        ),
        (
            "[workers\ncount = 3\n\n[http]\nmax_body = = 3\n",
            "remuda.toml:1: not valid TOML: unclosed table, expected `]`; correct the syntax\n\
             remuda.toml:5: not valid TOML: extra `=`, expected nothing",
        ),
    ] {
        let expected = format!("{expected}; correct the syntax");
        assert_eq!(Given::file(text).errors(), expected);
    }
}

#[test]
fn what_can_be_told_without_the_file_is_told_with_it() {
    let given = Given::file("bind = [").variable("REMUDA_X", "").flag("workers.count", &["1", "2"]);
    insta::assert_snapshot!(given.errors(), @r#"
    remuda.toml:1: not valid TOML: unclosed array, expected `]`; correct the syntax
    REMUDA_X: unknown variable; remove it, or see docs/configuration.md for the keys
    --workers: is given 2 times; give it once
    "#);
}

#[test]
fn there_is_something_to_serve_and_only_one_way_of_saying_what() {
    const ROUTE: &str = "\n[[route]]\ncomponent = \"app.wasm\"\n";
    let mut both = Given::file(ROUTE);
    both.0.component = Some("app.wasm".into());
    for (given, expected) in [
        (
            Given::nothing(),
            "route: nothing to serve; start with remuda serve COMPONENT, or write a remuda.toml",
        ),
        (Given::file("bind = \":80\""), "route: nothing to serve; add a [[route]] to remuda.toml"),
        (
            both,
            "COMPONENT: there are routes already, from remuda.toml:2 on; \
             leave COMPONENT out, or remove the routes",
        ),
        (
            Given::file(ROUTE).route_flag("env", &["A=1"]).route_flag("mounts", &[]),
            "--env: applies only to remuda serve COMPONENT; set env in a [[route]]",
        ),
        (Given::component(" "), "COMPONENT: is empty; try app.wasm"),
    ] {
        assert_eq!(given.errors(), expected);
    }
}

#[test]
fn a_route_that_is_no_list_is_understood_all_the_same() {
    let brackets = "expected a list of tables, got a table; write [[route]], with two brackets";
    let paht = "route[0].paht: unknown key; did you mean \"path\"?";
    assert_eq!(
        Given::file("[route]\ncomponent = \"a.wasm\"\npaht = \"/\"").errors(),
        format!("remuda.toml:1: route: {brackets}\nremuda.toml:3: {paht}")
    );
    let errors = Given::file("route = [3]").errors();
    assert!(errors.starts_with("remuda.toml:1: route: expected a list of tables, got \"3\""));
}

#[test]
fn every_bound_includes_its_ends_and_nothing_beyond() {
    for (path, below, least, most, above) in [
        ("workers.count", "0", "1", "1024", "1025"),
        ("workers.backlog", "0", "1", "65535", "65536"),
        ("limits.concurrency", "0", "1", "1000000", "1000001"),
        ("limits.queue", "-1", "0", "1000000", "1000001"),
        ("limits.memory", "65535B", "64KiB", "4GiB", "4294967297"),
        ("http.max_connections", "0", "1", "1000000", "1000001"),
        ("http.max_keep_alive", "-1", "0", "1000000", "1000001"),
        ("http.max_header_bytes", "8191", "8KiB", "1MiB", "1048577"),
        ("http.max_body", "0", "1", "1TiB", "1025GiB"),
        ("outbound.max_per_host", "0", "1", "1000000", "1000001"),
        ("limits.request_timeout", "0s", "1ms", "7days", "8days"),
        ("workers.memory", "50331647", "48MiB", "1024TiB", "1025TiB"),
        ("workers.heartbeat_timeout", "999ms", "1s", "7days", "8days"),
        ("workers.max_requests", "-1", "0", "4294967295", "4294967296"),
        ("workers.max_requests_jitter", "-1", "0", "1000000", "1000001"),
        ("workers.max_lifetime", "999ms", "0s", "7days", "8days"),
        ("workers.recycle_rss", "0%", "1%", "94%", "101%"),
        ("workers.kill_rss", "0%", "86%", "100%", "101%"),
        ("workers.blocking_threads", "0", "1", "1024", "1025"),
        ("workers.blocking_queue", "-1", "0", "1000000", "1000001"),
        ("shutdown.drain_delay", "999us", "0s", "7days", "8days"),
    ] {
        let with = |value| Given::component("a.wasm").flag(path, &[value]);
        with(least).loaded();
        with(most).loaded();
        for value in [below, above] {
            let errors = with(value).errors();
            assert!(errors.contains("must be") && errors.lines().count() == 1, "{path}: {errors}");
        }
    }
}

#[test]
fn a_guest_is_not_moved_at_once_nor_never() {
    for value in ["0s", "999us", "8days"] {
        let errors = Given::component("a.wasm").route_flag("offload_after", &[value]).errors();
        assert!(errors.starts_with("--offload-after: must be at "), "{value}: {errors}");
    }
}

#[test]
fn a_server_without_an_address_is_refused() {
    let route = "[[route]]\ncomponent = \"a.wasm\"";
    let errors = Given::file(&format!("\nbind = []\n{route}")).errors();
    assert_eq!(errors, "remuda.toml:2: bind: needs at least one address; try 127.0.0.1:8000");
    let errors = Given::file(route).variable("REMUDA_BIND", "localhost").errors();
    assert_eq!(errors, "REMUDA_BIND: has no port; try localhost:8000");
    let errors = Given::file(route).variable("REMUDA_BIND", " none ").errors();
    assert_eq!(errors, "REMUDA_BIND: needs at least one address; try 127.0.0.1:8000");
}

#[test]
fn a_key_is_found_in_every_notation() {
    for text in ["limits.memmory = 1", "limits = { memmory = 1 }", "[limits]\n'memmory' = 1"] {
        let errors = Given::file(text).errors();
        let expected = "limits.memmory: unknown key; did you mean \"limits.memory\"?";
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn a_dot_within_quotes_is_no_notation() {
    let errors = Given::file("'workers.count' = 3").errors();
    assert!(errors.starts_with("remuda.toml:1: workers.count: unknown key"), "{errors}");
}

#[test]
fn a_certificate_and_its_key_come_together() {
    let app = || Given::component("a.wasm");
    insta::assert_snapshot!(app().flag("http.tls_cert", &["cert.pem"]).errors(), @"--tls-cert: a certificate needs its key; set http.tls_key (--tls-key) to the file with its private key");
    insta::assert_snapshot!(app().variable("REMUDA_HTTP__TLS_KEY", "key.pem").errors(), @"REMUDA_HTTP__TLS_KEY: a key needs its certificate; set http.tls_cert (--tls-cert) to the file with its certificate chain");
    let config = app().flag("http.tls_cert", &["c.pem"]).flag("http.tls_key", &["/k.pem"]);
    let tls = config.loaded().config.http.tls.expect("TLS");
    assert_eq!((tls.cert, tls.key), ("/site/c.pem".into(), "/k.pem".into()));
}

#[test]
fn whom_to_believe_is_said_with_addresses() {
    let trusting = |value: &str| {
        let app = Given::component("a.wasm");
        app.flag("http.forwarded_allow_ips", &[value]).errors()
    };
    insta::assert_snapshot!(trusting("proxy.example"), @r#"--forwarded-allow-ips: expected an address, a network such as "10.0.0.0/8", or "*", got "proxy.example"; try --forwarded-allow-ips 10.0.0.0/8"#);
    insta::assert_snapshot!(trusting("10.0.0.1/8"), @r#"--forwarded-allow-ips: "10.0.0.1/8" names one address and a network at once; try 10.0.0.0/8 or 10.0.0.1"#);
}
