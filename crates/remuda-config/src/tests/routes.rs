//! What becomes of routes.

use std::time::Duration;

use super::Given;
use crate::{Executor, Instances, Mount, Readiness, Route};

fn route(keys: &str) -> Route {
    let file = format!("[[route]]\ncomponent = \"app.wasm\"\n{keys}");
    Given::file(&file).loaded().config.routes.remove(0)
}

#[test]
fn a_component_alone_is_one_route() {
    let config = Given::component("app.wasm").loaded().config;
    assert_eq!(config.routes.len(), 1);
    let route = &config.routes[0];
    assert_eq!((route.path.as_str(), &route.host), ("/", &None));
    assert_eq!(route.instances, None);
    assert_eq!((&route.env, &route.mounts), (&Vec::new(), &Vec::new()));
    assert_eq!(route.limits.concurrency, config.limits.concurrency);
    assert_eq!(route.limits.request_timeout, config.limits.request_timeout);
    assert_eq!(route.limits.response_idle_timeout, config.limits.response_idle_timeout);
    assert_eq!(route.limits.after_response_timeout, config.limits.after_response_timeout);
    assert_eq!(route.limits.memory, config.limits.memory);
}

#[test]
fn each_limit_can_be_lowered_and_none_raised() {
    for (key, lower, higher) in [
        ("concurrency", "1", "1001"),
        ("request_timeout", "'29s'", "'31s'"),
        ("response_idle_timeout", "'29s'", "'31s'"),
        ("after_response_timeout", "'29s'", "'31s'"),
        ("memory", "'64KiB'", "'129MiB'"),
    ] {
        let file = |value| format!("[[route]]\ncomponent = 'a'\nlimits.{key} = {value}");
        let changed = Given::file(&file(lower)).loaded().config.routes.remove(0).limits;
        assert_ne!(changed, route("").limits, "{key}");
        let errors = Given::file(&file(higher)).errors();
        assert!(errors.contains("is above the worker's"), "{key}: {errors}");
    }
}

#[test]
fn instances_are_filled_up_with_the_defaults() {
    let reuse = |max_requests, max_concurrency, seconds| {
        let idle_timeout = Duration::from_secs(seconds);
        Some(Instances::Reuse { max_requests, max_concurrency, idle_timeout })
    };
    for (given, expected) in [
        ("", None),
        ("instances.mode = 'auto'", None),
        ("instances.mode = 'fresh'", Some(Instances::Fresh)),
        ("instances.mode = 'reuse'", Some(Instances::default_for_03())),
        ("instances = { mode = 'reuse', max_requests = 5 }", reuse(5, 16, 60)),
        ("instances = { max_concurrency = 1, idle_timeout = 5 }", reuse(1000, 1, 5)),
        ("[route.instances]\nmax_requests = 1", reuse(1, 16, 60)),
    ] {
        assert_eq!(route(given).instances, expected, "{given}");
    }
    assert_eq!(Instances::default_for_02(), Instances::Fresh);
}

#[test]
fn every_route_says_where_its_guest_runs() {
    for (given, executor, milliseconds) in [
        ("", Executor::Auto, 5),
        ("executor = 'auto'\noffload_after = '20ms'", Executor::Auto, 20),
        ("executor = 'async'", Executor::Async, 5),
        ("executor = 'blocking'\noffload_after = 1", Executor::Blocking, 1000),
    ] {
        let route = route(given);
        let offload_after = Duration::from_millis(milliseconds);
        assert_eq!((route.executor, route.offload_after), (executor, offload_after), "{given}");
    }
    let two = "[[route]]\ncomponent = 'a'\nexecutor = 'blocking'\n\
               [[route]]\ncomponent = 'b'\npath = '/b'\n";
    let routes = Given::file(two).loaded().config.routes;
    let executors: Vec<_> = routes.iter().map(|route| route.executor).collect();
    assert_eq!(executors, [Executor::Blocking, Executor::Auto]);
}

#[test]
fn fresh_instances_can_be_kept_ready_too() {
    let ready = |keys| route(keys).readiness;
    let seconds = Duration::from_secs;
    let readiness = |min_idle, startup, shutdown| Readiness {
        min_idle,
        startup_timeout: seconds(startup),
        shutdown_timeout: seconds(shutdown),
    };
    assert_eq!(ready(""), readiness(None, 30, 5));
    assert_eq!(ready("instances = { mode = 'fresh', min_idle = 2 }"), readiness(Some(2), 30, 5));
    let times = "instances = { min_idle = 0, startup_timeout = '1s', shutdown_timeout = 2 }";
    assert_eq!(ready(times), readiness(Some(0), 1, 2));
    // They do not say how often an instance is used.
    assert_eq!(route(times).instances, None);
}

#[test]
fn grants_are_what_was_written() {
    let route = route(
        "env = { B = 'x=y,z', A = 8080, C = '' }\n\
         mounts = [{ host = '/data', guest = '/data/', write = true }]",
    );
    let env: Vec<_> =
        route.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("A", "8080"), ("B", "x=y,z"), ("C", "")]);
    let mount = Mount { host: "/data".into(), guest: "/data".to_owned(), write: true };
    assert_eq!(route.mounts, [mount]);

    let mut given = Given::component("app.wasm").route_flag("env", &["B=x=y,z", "A="]);
    given = given.route_flag("instances.idle_timeout", &["1s"]);
    let route = given.loaded().config.routes.remove(0);
    assert_eq!(route.env[0], ("B".to_owned(), "x=y,z".to_owned()));
    assert_eq!(route.env[1], ("A".to_owned(), String::new()));
    assert!(matches!(route.instances, Some(Instances::Reuse { .. })));
}

#[test]
fn the_same_path_on_another_host_is_another_route() {
    let file = "[[route]]\ncomponent = 'a'\n[[route]]\ncomponent = 'b'\nhost = 'B.org'\n\
                [[route]]\ncomponent = 'c'\npath = '/c/'\n";
    let routes = Given::file(file).loaded().config.routes;
    let places: Vec<_> = routes.iter().map(|r| (r.path.as_str(), r.host.as_deref())).collect();
    assert_eq!(places, [("/", None), ("/", Some("b.org")), ("/c", None)]);
}

#[test]
fn what_only_another_executor_uses_is_told() {
    let warnings = |flags: &[(&'static str, &str)]| {
        let given = flags.iter().fold(Given::component("a.wasm"), |given, (key, value)| {
            given.route_flag(key, &[value])
        });
        given.loaded().warnings.join("\n")
    };
    assert_eq!(warnings(&[("executor", "async")]), "");
    assert_eq!(warnings(&[("offload_after", "9ms")]), "");
    insta::assert_snapshot!(warnings(&[("executor", "async"), ("offload_after", "5ms")]), @"--offload-after: has no effect on route /, for its executor is async; leave it out, or set executor to auto");
}
