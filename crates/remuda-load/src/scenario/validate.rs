//! From what is written to what is run.
//!
//! Owner: [`Scenario::validate`]. Invariant: every mistake is told, each with its key, what
//! was written there and what to write instead; a value that is wrong stands in for itself
//! with its default until all others have been looked at.

use std::{collections::HashSet, fs, num::NonZeroU64, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::{
    Address, Arrivals, Connection, Endpoint, Http, Model, Plan, Problem, Raw, RawEndpoint,
    Scenario, ScenarioError, Stage, Statuses, Target, Think, target, value,
};
use crate::threshold::Threshold;

/// A run that is bounded by its number of requests ends by the clock after this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// More would need a machine for themselves, and a mistake is likelier.
const MOST_USERS: f64 = 1_000_000.0;
/// What the tuning guide tests with: users, seconds up, steady, down, and a pause as that of
/// people who click.
const GUIDE: (u32, [&str; 3], &str) = (50, ["30s", "60s", "30s"], "500ms..1500ms");

/// Collects what is wrong.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, value: impl ToString, remedy: impl Into<String>) {
        let (key, value, remedy) = (key.into(), value.to_string(), remedy.into());
        self.0.push(Problem { key, value, remedy });
    }

    fn duration(&mut self, key: &str, text: Option<&String>, default: &str) -> Duration {
        let text = text.map_or(default, String::as_str);
        value::duration(text).unwrap_or_else(|| {
            self.add(key, text, "write a duration such as 250ms or 30s");
            Duration::from_secs(1)
        })
    }

    /// A duration that something must fit into.
    fn positive(&mut self, key: &str, text: Option<&String>, default: &str) -> Duration {
        let duration = self.duration(key, text, default);
        if duration.is_zero() {
            self.add(key, "0", "write a duration above zero");
            return Duration::from_secs(1);
        }
        duration
    }

    fn choice<T: Copy>(&mut self, key: &str, text: Option<&String>, of: &[(&str, T)]) -> T {
        let Some(text) = text else { return of[0].1 };
        match of.iter().find(|(name, _)| name == text) {
            Some((_, choice)) => *choice,
            None => {
                let names: Vec<_> = of.iter().map(|(name, _)| *name).collect();
                self.add(key, text, format!("write one of {}", names.join(", ")));
                of[0].1
            }
        }
    }
}

impl Scenario {
    /// Makes a scenario of what was written.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn validate(mut raw: Raw) -> Result<Self, ScenarioError> {
        let mut problems = Problems::default();
        as_the_guide_says(&mut raw);
        let target = server(&raw, &mut problems);
        let endpoints = endpoints(&raw, &target, &mut problems);
        let (model, plan) = load(&raw, &mut problems);
        let warmup = problems.duration("warmup", raw.warmup.as_ref(), "0s");
        if warmup >= plan.duration() {
            let whole = humantime::format_duration(plan.duration());
            let remedy = format!("leave something to measure: the run takes {whole}");
            problems.add("warmup", humantime::format_duration(warmup), remedy);
        }
        let interval = problems.duration("interval", raw.interval.as_ref(), "1s");
        if !(Duration::from_millis(50)..=Duration::from_secs(60)).contains(&interval) {
            let value = humantime::format_duration(interval);
            problems.add("interval", value, "write a duration from 50ms to 60s");
        }
        if raw.threads.is_some_and(|threads| !(1..=1024).contains(&threads)) {
            let threads = raw.threads.unwrap_or_default();
            problems.add("threads", threads, "write a number from 1 to 1024, or leave it out");
        }
        let requests = raw.requests.map(NonZeroU64::new).inspect(|requests| {
            if requests.is_none() {
                problems.add("requests", 0, "write a number above zero, or leave it out");
            }
        });
        let thresholds = thresholds(&raw, &endpoints, &plan, &mut problems);
        let metrics = raw.metrics.as_ref().and_then(|text| {
            let metrics = Target::parse(text);
            if metrics.as_ref().is_none_or(|metrics| metrics.is_tls) {
                let remedy = "write where /metrics is, such as http://127.0.0.1:9000/metrics";
                problems.add("metrics", text, remedy);
            }
            metrics
        });
        let request_timeout =
            problems.positive("request_timeout", raw.request_timeout.as_ref(), "30s");
        let connection = connection(&raw, &target, &mut problems);
        match target {
            Some(target) if problems.0.is_empty() => Ok(Self {
                target,
                model,
                plan,
                warmup,
                interval,
                requests: requests.flatten(),
                seed: raw.seed.unwrap_or(1),
                threads: raw.threads,
                connection,
                request_timeout,
                endpoints,
                thresholds,
                metrics,
            }),
            _ => Err(ScenarioError::Invalid(problems.0)),
        }
    }
}

/// Who says nothing of the load gets the one of the tuning guide.
fn as_the_guide_says(raw: &mut Raw) {
    let is_said = raw.users.is_some()
        || raw.rate.is_some()
        || raw.requests.is_some()
        || raw.duration.is_some()
        || !raw.stages.is_empty();
    if !is_said {
        let (users, [up, steady, down], think) = GUIDE;
        raw.users = Some(users);
        raw.ramp_up.get_or_insert_with(|| up.to_owned());
        raw.duration = Some(steady.to_owned());
        raw.ramp_down.get_or_insert_with(|| down.to_owned());
        raw.think.get_or_insert_with(|| think.to_owned());
    }
}

/// `None` when there is a problem.
fn server(raw: &Raw, problems: &mut Problems) -> Option<Target> {
    let Some(text) = &raw.target else {
        problems.add("target", "", target::FORM);
        return None;
    };
    let Some(mut server) = Target::parse(text) else {
        problems.add("target", text, target::FORM);
        return None;
    };
    if !raw.endpoints.iter().all(|endpoint| endpoint.path.is_none()) && server.path != "/" {
        problems.add("target", text, "leave out the path: each endpoint has its own");
    }
    if let Some(path) = &raw.connection.unix_socket {
        server.address = Address::Unix(path.into());
    }
    Some(server)
}

/// Model and plan.
fn load(raw: &Raw, problems: &mut Problems) -> (Model, Plan) {
    let stages_have = |rate: bool| {
        raw.stages
            .iter()
            .any(|stage| if rate { stage.rate.is_some() } else { stage.users.is_some() })
    };
    let is_open = raw.rate.is_some() || stages_have(true);
    if is_open && (raw.users.is_some() || stages_have(false)) {
        let remedy = "keep users (each waits for its answers) or rate (arrivals wait for nobody)";
        problems.add("users", "beside a rate", remedy);
    }
    let plan = if raw.stages.is_empty() {
        simple(raw, is_open, problems)
    } else {
        staged(raw, is_open, problems)
    };
    if plan.peak() > MOST_USERS {
        let key = if is_open { "rate" } else { "users" };
        problems.add(key, plan.peak(), format!("write at most {MOST_USERS}"));
    }
    if plan.peak() <= 0.0 {
        let key = if is_open { "rate" } else { "users" };
        problems.add(key, 0, "write a number above zero: nothing would be sent");
    }
    let think = raw.think.as_ref().map(|text| {
        Think::parse(text).unwrap_or_else(|| {
            problems.add("think", text, "write a pause such as 500ms, or 500ms..1500ms");
            Think::default()
        })
    });
    let choices = [("even", Arrivals::Even), ("random", Arrivals::Random)];
    let arrivals = problems.choice("arrivals", raw.arrivals.as_ref(), &choices);
    let max_in_flight = raw.max_in_flight.unwrap_or(1000);
    if !(1..=1_000_000).contains(&max_in_flight) {
        problems.add("max_in_flight", max_in_flight, "write a number from 1 to 1000000");
    }
    if is_open {
        if let (Some(_), Some(text)) = (think, &raw.think) {
            problems.add("think", text, "leave it out: arrivals do not think, users do");
        }
        return (Model::Open { arrivals, max_in_flight }, plan);
    }
    for (key, value) in [
        ("arrivals", raw.arrivals.clone()),
        ("max_in_flight", raw.max_in_flight.map(|number| number.to_string())),
    ] {
        if let Some(value) = value {
            problems.add(key, value, "leave it out, or write rate instead of users");
        }
    }
    (Model::Closed { think: think.unwrap_or_default() }, plan)
}

/// Up, steady, down.
fn simple(raw: &Raw, is_open: bool, problems: &mut Problems) -> Plan {
    let level = if is_open { raw.rate.unwrap_or(0.0) } else { f64::from(raw.users.unwrap_or(10)) };
    let level = finite("rate", level, problems);
    let up = problems.duration("ramp_up", raw.ramp_up.as_ref(), "0s");
    let down = problems.duration("ramp_down", raw.ramp_down.as_ref(), "0s");
    let steady = match &raw.duration {
        None if raw.requests.is_some() => LONGEST,
        duration => problems.positive("duration", duration.as_ref(), "60s"),
    };
    let stage = |name: &str, duration, from, to| Stage { name: name.into(), duration, from, to };
    let stages = [
        stage("ramp up", up, 0.0, level),
        stage("steady", steady, level, level),
        stage("ramp down", down, level, 0.0),
    ];
    Plan::new(stages.into_iter().filter(|stage| !stage.duration.is_zero()).collect())
}

fn staged(raw: &Raw, is_open: bool, problems: &mut Problems) -> Plan {
    for (key, value) in [("users", raw.users.map(f64::from)), ("rate", raw.rate)] {
        if let Some(value) = value {
            problems.add(key, value, "leave it out: the stages say it");
        }
    }
    for (key, value) in
        [("duration", &raw.duration), ("ramp_up", &raw.ramp_up), ("ramp_down", &raw.ramp_down)]
    {
        if let Some(value) = value {
            problems.add(key, value, "leave it out: the stages say it");
        }
    }
    let mut level = 0.0;
    let mut stages: Vec<Stage> = Vec::new();
    for (index, stage) in raw.stages.iter().enumerate() {
        let key = |name: &str| format!("stage[{index}].{name}");
        let name = stage.name.clone().unwrap_or_else(|| format!("stage {}", index + 1));
        if stages.iter().any(|other| other.name == name) {
            problems.add(key("name"), &name, "give each stage a name of its own");
        }
        let unit = if is_open { "rate" } else { "users" };
        let to = if is_open { stage.rate } else { stage.users };
        let to = to.unwrap_or_else(|| {
            problems.add(key(unit), "", "say where the stage leads, such as 50");
            1.0
        });
        let to = finite(&key(unit), to, problems);
        let from = finite(&key("from"), stage.from.unwrap_or(level), problems);
        let duration = match &stage.duration {
            None => {
                problems.add(key("duration"), "", "say how long the stage takes, such as 30s");
                Duration::from_secs(1)
            }
            some => problems.positive(&key("duration"), some.as_ref(), "1s"),
        };
        stages.push(Stage { name, duration, from, to });
        level = to;
    }
    Plan::new(stages)
}

fn finite(key: &str, level: f64, problems: &mut Problems) -> f64 {
    if level.is_finite() && level >= 0.0 {
        return level;
    }
    problems.add(key, level, "write a number of at least zero");
    1.0
}

fn connection(raw: &Raw, target: &Option<Target>, problems: &mut Problems) -> Connection {
    let raw = &raw.connection;
    let choices = [("auto", Http::Auto), ("1", Http::One), ("2", Http::Two)];
    let is_tls = target.as_ref().is_none_or(|target| target.is_tls);
    if !is_tls {
        for (key, value) in [
            ("connection.cacert", raw.cacert.clone()),
            ("connection.insecure", raw.insecure.filter(|yes| *yes).map(|_| "true".to_owned())),
        ] {
            if let Some(value) = value {
                problems.add(key, value, "leave it out, or write a target with https://");
            }
        }
    }
    let cacert = raw.cacert.as_ref().and_then(|path| match fs::read(path) {
        Ok(pem) => Some(pem),
        Err(error) => {
            let remedy = format!("{error}; name a readable file with certificates in PEM");
            problems.add("connection.cacert", path, remedy);
            None
        }
    });
    let streams = raw.streams.unwrap_or(100);
    if streams == 0 {
        problems.add("connection.streams", streams, "write a number above zero");
    }
    Connection {
        http: problems.choice("connection.http", raw.http.as_ref(), &choices),
        reuse: raw.reuse.unwrap_or(true),
        streams,
        timeout: problems.positive("connection.timeout", raw.timeout.as_ref(), "5s"),
        cacert,
        insecure: raw.insecure.unwrap_or(false),
    }
}

fn endpoints(raw: &Raw, target: &Option<Target>, problems: &mut Problems) -> Vec<Endpoint> {
    let default = [RawEndpoint::default()];
    let raws = if raw.endpoints.is_empty() { &default[..] } else { &raw.endpoints };
    let path = target.as_ref().map_or("/", |target| target.path.as_str());
    let endpoints: Vec<_> =
        raws.iter().enumerate().map(|(index, raw)| endpoint(index, raw, path, problems)).collect();
    let mut names = HashSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        if !names.insert(&endpoint.name) {
            let remedy = "give each endpoint a name of its own";
            problems.add(format!("endpoint[{index}].name"), &endpoint.name, remedy);
        }
    }
    if endpoints.iter().map(|endpoint| endpoint.weight).sum::<f64>() <= 0.0 {
        problems.add("endpoint", "weights of 0", "give one endpoint a weight above zero");
    }
    endpoints
}

fn endpoint(index: usize, raw: &RawEndpoint, path: &str, problems: &mut Problems) -> Endpoint {
    let key = |name: &str| format!("endpoint[{index}].{name}");
    let path = raw.path.as_deref().unwrap_or(path);
    if !path.starts_with('/') || path.parse::<Uri>().is_err() {
        problems.add(key("path"), path, "write a path such as /api?q=1, escaped where needed");
    }
    let body = match (&raw.body, &raw.body_file) {
        (Some(text), Some(_)) => {
            problems.add(key("body"), text, "keep body or body_file");
            Bytes::new()
        }
        (Some(text), None) => Bytes::from(text.clone()),
        (None, Some(file)) => match fs::read(file) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                problems.add(key("body_file"), file, format!("{error}; name a readable file"));
                Bytes::new()
            }
        },
        (None, None) => Bytes::new(),
    };
    let has_body = raw.body.is_some() || raw.body_file.is_some();
    let default = if has_body { "POST" } else { "GET" };
    let method = raw.method.as_deref().unwrap_or(default);
    let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| method != "CONNECT");
    let method = method.unwrap_or_else(|| {
        let value = raw.method.as_deref().unwrap_or_default();
        problems.add(key("method"), value, "write a method such as GET or POST");
        Method::GET
    });
    let expect = raw
        .expect
        .as_ref()
        .map_or_else(|| Some(Statuses::default()), |list| Statuses::parse(&list.text()));
    let expect = expect.unwrap_or_else(|| {
        let value = raw.expect.as_ref().map(super::StatusList::text).unwrap_or_default();
        problems.add(key("expect"), value, "write status codes such as 200, \"2xx\" or [200, 404]");
        Statuses::default()
    });
    let weight = raw.weight.unwrap_or(1.0);
    if !(0.0..=1e9).contains(&weight) {
        problems.add(key("weight"), weight, "write a number from 0 to 1000000000");
    }
    let name = raw.name.clone().unwrap_or_else(|| format!("{method} {path}"));
    if name.is_empty() || name.contains(['@', '<', '>']) && raw.name.is_some() {
        problems.add(key("name"), &name, "write a name without @ < >, for thresholds use them");
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.headers {
        let parsed =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
        match parsed {
            (Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION), _) => {
                problems.add(key("headers"), name, "leave it out: it follows from the request");
            }
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => problems.add(key("headers"), name, "write a name and a value that HTTP allows"),
        }
    }
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("remuda-load/", env!("CARGO_PKG_VERSION"))));
    let expect_body = raw.expect_body.clone().map(Bytes::from);
    let path = path.to_owned();
    Endpoint { name, weight, method, path, headers, body, expect, expect_body }
}

fn thresholds(
    raw: &Raw,
    endpoints: &[Endpoint],
    plan: &Plan,
    problems: &mut Problems,
) -> Vec<Threshold> {
    let mut thresholds = Vec::new();
    for text in &raw.fail_if {
        match Threshold::parse(text) {
            Err(error) => problems.add("fail_if", text, error.to_string()),
            Ok(threshold) => {
                let names: Vec<_> = endpoints.iter().map(|each| each.name.as_str()).collect();
                if let Some(name) = &threshold.endpoint
                    && !names.contains(&name.as_str())
                {
                    problems.add("fail_if", text, format!("endpoints are {}", names.join(", ")));
                }
                let names: Vec<_> = plan.stages().iter().map(|each| each.name.as_str()).collect();
                if let Some(name) = &threshold.stage
                    && !names.contains(&name.as_str())
                {
                    problems.add("fail_if", text, format!("stages are {}", names.join(", ")));
                }
                thresholds.push(threshold);
            }
        }
    }
    thresholds
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(think.to_string(), "500ms..1s 500ms");
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
        assert_eq!(
            beside("[[endpoint]]\nname = 'a'\n[[endpoint]]\nname = 'a'"),
            ["endpoint[1].name"]
        );
        assert_eq!(beside("[[endpoint]]\nweight = 0"), ["endpoint"]);
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
    fn unknown_keys_are_told() {
        let error = toml::from_str::<Raw>("userz = 5").unwrap_err().to_string();
        assert!(error.contains("userz") && error.contains("users"), "{error}");
    }
}
