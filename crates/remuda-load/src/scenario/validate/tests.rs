//! What scenarios mean, and which mistakes are told.

use std::time::Duration;

use super::*;
use crate::scenario::{Arrivals, Http, Model, Think};

fn parse(text: &str) -> Raw {
    toml::from_str(text).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    match Scenario::validate(parse(text)) {
        Err(ScenarioError::Invalid(problems)) => {
            problems.into_iter().map(|problem| problem.key).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_url_alone_is_the_load_of_the_tuning_guide() {
    let scenario = Scenario::validate(parse("target = 'http://localhost:1/a?b'")).unwrap();
    let stages: Vec<_> = scenario
        .plan
        .stages()
        .iter()
        .map(|stage| (stage.duration.as_secs(), stage.from, stage.to))
        .collect();
    assert_eq!(stages, [(30, 0.0, 50.0), (60, 50.0, 50.0), (30, 50.0, 0.0)]);
    let Model::Closed { think } = scenario.model else { panic!("{:?}", scenario.model) };
    assert_eq!(think.to_string(), "500ms..1.5s");
    assert_eq!(scenario.endpoints[0].path, "/a?b");
}

#[test]
fn whoever_says_what_to_send_gets_no_pauses() {
    let scenario = parse("target = 'http://localhost:1'\nusers = 3\nduration = 5");
    let scenario = Scenario::validate(scenario).unwrap();
    assert_eq!(scenario.model, Model::Closed { think: Think::default() });
    assert_eq!(scenario.plan.duration(), Duration::from_secs(5));
}

#[test]
fn a_whole_scenario_is_understood() {
    let scenario = parse(
        r#"
        target = "https://example.com"
        arrivals = "random"
        max_in_flight = 50
        fail_if = ["api.p95@peak>20ms", "error_rate>0.1%"]
        metrics = "http://127.0.0.1:9000/metrics"
        [connection]
        http = "2"
        insecure = true
        streams = 10
        [[stage]]
        name = "climb"
        duration = "10s"
        rate = 100
        [[stage]]
        name = "peak"
        duration = "20s"
        rate = 100
        [[stage]]
        duration = "5s"
        from = 400
        rate = 0
        [[endpoint]]
        name = "api"
        weight = 3
        path = "/api"
        body = "{}"
        headers = { content-type = "application/json" }
        expect = [200, "4xx"]
        [[endpoint]]
        path = "/"
        expect_body = "Hello"
        "#,
    );
    let scenario = Scenario::validate(scenario).unwrap();
    assert_eq!(scenario.model, Model::Open { arrivals: Arrivals::Random, max_in_flight: 50 });
    let levels: Vec<_> =
        scenario.plan.stages().iter().map(|stage| (stage.from, stage.to)).collect();
    assert_eq!(levels, [(0.0, 100.0), (100.0, 100.0), (400.0, 0.0)]);
    let [api, root] = &scenario.endpoints[..] else { panic!() };
    assert_eq!((api.method.as_str(), api.body.len()), ("POST", 2));
    assert!(api.expect.contains(200) && api.expect.contains(418) && !api.expect.contains(201));
    assert_eq!((root.name.as_str(), root.method.as_str()), ("GET /", "GET"));
    assert_eq!(scenario.thresholds.len(), 2);
}

#[test]
fn every_mistake_is_told_at_once() {
    let told = problems(
        r#"
        target = "localhost:80"
        users = 5
        rate = 10.0
        think = "fast"
        requests = 0
        warmup = "48h"
        fail_if = ["p99", "other.p99>1s"]
        metrics = "9000"
        [connection]
        http = "3"
        streams = 0
        cacert = "/no/such/file"
        [[endpoint]]
        path = "no slash"
        method = "GET IT"
        weight = -1
        expect = "all"
        body_file = "/no/such/file"
        headers = { "content-length" = "5", "a b" = "c" }
        "#,
    );
    for key in [
        "target",
        "users",
        "think",
        "requests",
        "warmup",
        "fail_if",
        "metrics",
        "connection.http",
        "connection.streams",
        "connection.cacert",
        "endpoint[0].path",
        "endpoint[0].method",
        "endpoint[0].weight",
        "endpoint[0].expect",
        "endpoint[0].body_file",
        "endpoint[0].headers",
    ] {
        assert!(told.iter().any(|told| told == key), "{key} is not in {told:?}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let beside = |text: &str| problems(&format!("target = 'http://a'\n{text}"));
    assert_eq!(beside("users = 0"), ["users"]);
    assert_eq!(beside("rate = 5\nthink = '1s'"), ["think"]);
    assert_eq!(beside("users = 5\nmax_in_flight = 5"), ["max_in_flight"]);
    assert_eq!(beside("users = 5\n[[stage]]\nduration = 5\nusers = 1"), ["users"]);
    assert_eq!(beside("[[stage]]\nusers = 1"), ["stage[0].duration"]);
    assert_eq!(beside("connection.insecure = true"), ["connection.insecure"]);
    assert_eq!(beside("[[endpoint]]\nname = 'a'\n[[endpoint]]\nname = 'a'"), ["endpoint[1].name"]);
    assert_eq!(beside("[[endpoint]]\nweight = 0"), ["endpoint"]);
}

#[test]
fn what_is_too_much_is_refused() {
    let endpoints = |count: usize| {
        let all: String =
            (0..count).map(|index| format!("[[endpoint]]\npath = '/{index}'\n")).collect();
        parse(&format!("target = 'http://a'\nusers = 1\n{all}"))
    };
    assert!(Scenario::validate(endpoints(500)).is_ok());
    let error = Scenario::validate(endpoints(501)).unwrap_err().to_string();
    assert_eq!(
        error,
        "endpoint: failed to use \"501\": write at most 500, each has its own figures"
    );
    let told = problems("target = 'http://a'\n[[endpoint]]\nbody_file = '/dev/zero'");
    assert_eq!(told, ["endpoint[0].body_file"]);
    let endless = Raw::from_file(std::path::Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(endless.contains("/dev/zero: failed to read the scenario: it has more"), "{endless}");
}

#[test]
fn mistakes_name_what_was_written_and_what_to_write() {
    let told = |text: &str| Scenario::validate(parse(text)).unwrap_err().to_string();
    assert!(told("").starts_with("target: failed to find a value: write http://"), "{}", told(""));
    let secret = told("target = 'http://me:secret@a/b'");
    assert!(secret.contains("leave out user and password") && !secret.contains("me:"), "{secret}");
    let empty = told("target = 'https://a'\nconnection.cacert = '/dev/null'");
    assert!(empty.contains("\"/dev/null\": it has no certificate; name one in PEM"), "{empty}");
}

#[test]
fn flags_win_over_the_file() {
    let file = parse(
        "target = 'http://a'\nusers = 5\nthink = '1s'\nconnection.http = '1'\nfail_if = ['max>1s']",
    );
    let flags = parse("rate = 50\nconnection.reuse = false\nfail_if = ['errors>0']");
    let scenario = Scenario::validate(file.overlaid(flags)).unwrap();
    assert!(matches!(scenario.model, Model::Open { .. }));
    assert_eq!((scenario.connection.http, scenario.connection.reuse), (Http::One, false));
    assert_eq!(scenario.thresholds.len(), 2);
}

#[test]
fn stages_that_mix_users_and_rates_are_told_once() {
    let told = |stages: &str| {
        let text = format!("target = 'http://a'\n{stages}");
        Scenario::validate(parse(&text)).unwrap_err().to_string()
    };
    let stage = |what: &str| format!("[[stage]]\nduration = 5\n{what} = 5\n");
    assert_eq!(
        told(&[stage("users"), stage("rate"), stage("users")].concat()),
        "stage: failed to use \"stage 2 has rate, stage 1 users\": write the same of the two in \
         all stages"
    );
    let both = told("[[stage]]\nduration = 5\nrate = 5\nusers = 5");
    assert!(both.contains("stage 1 has both") && both.lines().count() == 1, "{both}");
}

fn from_file(text: &str) -> Raw {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    std::fs::write(&path, text).unwrap();
    Raw::from_file(&path).unwrap()
}

#[test]
fn what_is_not_understood_is_told_with_all_that_is_wrong() {
    let raw = from_file(
        "target = 5\nuserz = 5\nusers = 'many'\nthink = 'fast'\narrivals = 'random'\n\
         [connection]\nreuse = 'yes'\nhttp = '3'\nspeed = 1\n\
         [[endpoint]]\npath = 'no slash'\n\
         [[endpoint]]\npath = '/'\nexpect = true\nheaders = { a = 'b', c = 5 }\nwait = '1s'\n\
         [other]\na = 1\nb = 2",
    );
    let told = Scenario::validate(raw).unwrap_err().to_string();
    let keys: Vec<_> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    for key in [
        "target",
        "userz",
        "users",
        "connection.reuse",
        "connection.http",
        "connection.speed",
        "endpoint[0].path",
        "endpoint[1].expect",
        "endpoint[1].headers.c",
        "endpoint[1].wait",
        "other",
    ] {
        assert_eq!(keys.iter().filter(|told| **told == key).count(), 1, "{key}: {told}");
    }
    // Who has not been understood has not said that there are no arrivals.
    assert!(!keys.contains(&"arrivals"), "{told}");
    assert!(told.contains("unknown field `userz`") && told.contains("wrong.toml"), "{told}");
    assert!(told.contains("write status codes such as 200"), "{told}");
}

#[test]
fn a_scenario_goes_to_another_server_with_its_paths() {
    let moved = |file: &str, target: &str| {
        let flags = Raw { target: Some(target.to_owned()), ..Raw::default() };
        Scenario::validate(parse(&format!("users = 1\n{file}")).overlaid(flags))
    };
    let told =
        |scenario: Scenario| (scenario.target.to_string(), scenario.endpoints[0].path.clone());
    let secure = "target = 'https://a/path?q'\nconnection.insecure = true";
    let scenario = moved(secure, "http://b:8000").unwrap();
    assert_eq!(told(scenario), ("http://b:8000".to_owned(), "/path?q".to_owned()));
    let scenario = moved(secure, "unix:/run/b.sock").unwrap();
    assert_eq!(told(scenario), ("unix:/run/b.sock".to_owned(), "/path?q".to_owned()));
    let old = "target = 'http://a'\nconnection.unix_socket = '/run/a.sock'\n\
               [[endpoint]]\npath = '/own'";
    let scenario = moved(old, "http://b/").unwrap();
    assert_eq!(told(scenario), ("http://b".to_owned(), "/own".to_owned()));
    assert!(moved("", "http://b").is_ok());
    for (wrong, why) in [("http://b/path", "the scenario has its own"), ("b:80", "write http://")] {
        let error = moved(old, wrong).unwrap_err().to_string();
        assert!(error.contains(why) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn unknown_keys_are_told() {
    let error = toml::from_str::<Raw>("userz = 5").unwrap_err().to_string();
    assert!(error.contains("userz") && error.contains("users"), "{error}");
}
