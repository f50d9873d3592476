//! Which layer wins, and what each of them understands.

use std::{path::Path, time::Duration};

use super::Given;
use crate::{AccessLog, BindAddress, LogLevel};

const ROUTE: &str = "\n[[route]]\ncomponent = \"app.wasm\"\n";

#[test]
fn the_command_line_is_over_the_environment_over_the_file_over_the_default() {
    let file = format!("[limits]\nconcurrency = 1\nqueue = 2\nqueue_timeout = 3\n{ROUTE}");
    let limits = Given::file(&file)
        .variable("REMUDA_LIMITS__QUEUE", "20")
        .variable("REMUDA_LIMITS__QUEUE_TIMEOUT", "30")
        .flag("limits.queue_timeout", &["300"])
        .loaded()
        .config
        .limits;
    assert_eq!(limits.concurrency, 1);
    assert_eq!(limits.queue, 20);
    assert_eq!(limits.queue_timeout, Duration::from_secs(300));
    assert_eq!(limits.memory, 128 << 20);
}

#[test]
fn what_is_overridden_is_not_validated() {
    let file = format!("[workers]\ncount = \"many\"\n{ROUTE}");
    assert_eq!(Given::file(&file).flag("workers.count", &["2"]).loaded().config.workers.count, 2);
}

#[test]
fn a_file_writes_values_as_toml_does() {
    let file = format!(
        "bind = \":80, fd:3\"\nlimits = {{ concurrency = 0x10, queue = 1_000 }}\n\
         http.keep_alive_timeout = 5\n[log]\nlevel = 'warning'\naccess = \"common\"\n{ROUTE}"
    );
    let config = Given::file(&file).loaded().config;
    let any = BindAddress::Tcp { host: String::new(), port: 80 };
    assert_eq!(config.bind, [any, BindAddress::Descriptor(3)]);
    assert_eq!(config.limits.concurrency, 16);
    assert_eq!(config.limits.queue, 1000);
    assert_eq!(config.http.keep_alive_timeout, Duration::from_secs(5));
    assert_eq!((config.log.level, config.log.access), (LogLevel::Warn, AccessLog::Common));
}

#[test]
fn lists_are_repeated_flags_or_separated_by_commas() {
    let allow = |given: Given| -> Vec<String> {
        let allow = given.loaded().config.outbound.allow;
        allow.iter().map(ToString::to_string).collect()
    };
    let app = || Given::component("app.wasm");
    let two = ["http://a", "https://*.b:8443"];
    assert_eq!(allow(app().flag("outbound.allow", &two)), two);
    assert_eq!(allow(app().variable("REMUDA_OUTBOUND__ALLOW", " http://a ,https://*.b:8443")), two);
    let file = format!("outbound.allow = {two:?}{ROUTE}");
    assert_eq!(allow(Given::file(&file)), two);
    assert!(allow(Given::file(&file).flag("outbound.allow", &["none"])).is_empty());
}

#[test]
fn relative_paths_begin_where_they_are_written() {
    let file = format!("cache = \"cache\"\nbind = \"unix:run/app.sock\"{ROUTE}");
    let mut given = Given::file(&file);
    given.0.base_dir = "/site".into();
    given.0.file = Some(("etc/remuda.toml".into(), file));
    let config = given.loaded().config;
    assert_eq!(config.cache, Path::new("/site/etc/cache"));
    let path = "/site/etc/run/app.sock".into();
    assert_eq!(config.bind, [BindAddress::Unix { path, mode: None }]);
    assert_eq!(config.routes[0].component, Path::new("/site/etc/app.wasm"));

    let config = Given::component("./app.wasm")
        .variable("REMUDA_CACHE", "cache")
        .route_flag("mounts", &["static:/static", "/a:b:/c:rw"])
        .loaded()
        .config;
    assert_eq!(config.cache, Path::new("/site/cache"));
    assert_eq!(config.routes[0].component, Path::new("/site/app.wasm"));
    let mounts = &config.routes[0].mounts;
    assert_eq!((mounts[0].host.as_path(), mounts[0].write), (Path::new("/site/static"), false));
    assert_eq!((mounts[1].host.as_path(), mounts[1].write), (Path::new("/a:b"), true));
}

#[test]
fn workers_follow_the_profile_unless_they_are_counted() {
    let app = |cores| Given::component("app.wasm").cores(cores);
    for (profile, count) in [("cpu", 4), ("mixed", 6), ("io", 8)] {
        let loaded = app(4.0).flag("workers.profile", &[profile]).loaded();
        assert_eq!(loaded.config.workers.count, count, "{profile}");
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }
    let loaded = app(4.0).flag("workers.count", &["8"]).loaded();
    assert_eq!((loaded.config.workers.count, loaded.warnings.len()), (8, 0));
    let loaded = app(2.0).flag("workers.count", &["5"]).loaded();
    assert_eq!(loaded.config.workers.count, 5);
    insta::assert_snapshot!(loaded.warnings.join("\n"), @"5 workers contend for 2 cores: more than 2 for each; try 4 or fewer");
}

#[test]
fn one_upstream_that_could_take_every_place_is_warned_about() {
    let given = |concurrency, allow: &str| {
        Given::component("app.wasm")
            .flag("limits.concurrency", &[concurrency])
            .flag("outbound.allow", &[allow])
            .loaded()
            .warnings
    };
    assert!(given("251", "http://a").is_empty());
    assert!(given("250", "none").is_empty());
    insta::assert_snapshot!(given("250", "http://a").join("\n"), @"outbound.max_per_host (250) is not below limits.concurrency (250): one hung upstream can take every place; try 62 or fewer");
}
