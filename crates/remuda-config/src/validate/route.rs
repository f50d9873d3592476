//! The routes.
//!
//! Purpose: raw routes to [`Route`]s, with the worker's limits where they set none of
//! their own. Owner: `load`. Invariant: no route's limit is above the worker's, and no
//! two routes answer for the same host and path.

use crate::{
    config::{Executor, Limits, Route, RouteLimits},
    error::ConfigError,
    keys::ROUTE_KEYS,
    raw::{RawRoute, defaults},
    setting::Setting,
    source::Source,
    validate::{
        Folders, Reader, Scope, env, instances, mounts,
        server::{CONCURRENCY, MEMORY, QUEUE},
    },
    value::{Choice, HostPath, Kind, Number, RouteHost, RoutePath, Time},
};

/// What the routes take over from the server.
pub(crate) struct Worker<'a> {
    /// `None` when they are not valid, which has been said already.
    pub(crate) limits: Option<&'a Limits>,
    /// The server's effective settings.
    pub(crate) settings: &'a [Setting],
}

/// Validates all routes; their settings are in the same order.
pub(crate) fn routes(
    raw: Vec<RawRoute>,
    server: &Worker<'_>,
    folders: &Folders,
    errors: &mut Vec<ConfigError>,
) -> (Vec<Route>, Vec<Setting>) {
    let (mut routes, mut settings, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let alone = raw.len() == 1;
    for (index, raw) in raw.into_iter().enumerate() {
        let mut values = defaults(ROUTE_KEYS);
        values.extend(raw.settings);
        let scope = Scope { keys: ROUTE_KEYS, prefix: format!("route[{index}].") };
        let mut read = Reader::new(scope, values, folders, errors);
        let place = place(&mut read, raw.source.clone());
        if let Some(place) = &place {
            place.refuse_again(&places, &mut read);
            places.push(place.clone());
        }
        routes.extend(route(&mut read, raw.source, place, server, alone));
        settings.extend(read.finish());
    }
    (routes, settings)
}

/// What a request must match, and where that was set.
#[derive(Clone)]
struct Place {
    path: String,
    host: Option<String>,
    source: Source,
}

fn place(read: &mut Reader<'_>, start: Source) -> Option<Place> {
    let path = read.take("path", &RoutePath);
    let host = read.take("host", &RouteHost);
    let source = match read.source("path") {
        Source::Default => start,
        given => given,
    };
    Some(Place { path: path?, host: host?, source })
}

impl Place {
    fn refuse_again(&self, before: &[Self], read: &mut Reader<'_>) {
        let same = |other: &&Self| (&other.path, &other.host) == (&self.path, &self.host);
        if let Some(first) = before.iter().find(same) {
            let host = self.host.as_deref().unwrap_or("every host");
            let problem = format!("{} on {host} is taken by {}", self.path, first.source);
            read.fail("path", self.source.clone(), problem, "change the path or the host");
        }
    }
}

fn route(
    read: &mut Reader<'_>,
    start: Source,
    place: Option<Place>,
    server: &Worker<'_>,
    alone: bool,
) -> Option<Route> {
    if !read.has("component") {
        read.fail("component", start, "is missing", r#"add component = "app.wasm""#);
    }
    let component = read.take("component", &HostPath("app.wasm"));
    let executor = read.take("executor", &EXECUTOR);
    let offload_after = read.take("offload_after", &Time);
    let instances = instances::instances(read);
    let readiness = instances::readiness(read);
    let env = env::env(read);
    let mounts = mounts::mounts(read);
    let limits = limits(read, server, alone);
    let Place { path, host, .. } = place?;
    Some(Route {
        path,
        host,
        component: component?,
        executor: executor?,
        offload_after: offload_after?,
        instances: instances?,
        readiness: readiness?,
        env: env?,
        mounts: mounts?,
        limits: limits?,
    })
}

const EXECUTOR: Choice<Executor> = Choice(&[
    ("auto", Executor::Auto),
    ("async", Executor::Async),
    ("blocking", Executor::Blocking),
]);

/// One in so many places is not for a single one of several routes, so that one whose
/// requests all hang does not take the others along.
const ROOM_FOR_OTHERS: u64 = 4;

fn limits(read: &mut Reader<'_>, server: &Worker<'_>, alone: bool) -> Option<RouteLimits> {
    let own = server.limits;
    let mut share = |path, kind, worker: Option<usize>| {
        let all = worker.map(|places| places as u64);
        share(read, server, alone, (path, kind), all)
    };
    let concurrency =
        share("limits.concurrency", CONCURRENCY, own.map(|limits| limits.concurrency));
    let queue = share("limits.queue", QUEUE, own.map(|limits| limits.queue));
    let mut time = |path, worker| limit(read, server, path, &Time, worker);
    let queue_timeout = time("limits.queue_timeout", own.map(|own| own.queue_timeout));
    let request_timeout = time("limits.request_timeout", own.map(|own| own.request_timeout));
    let response_idle_timeout =
        time("limits.response_idle_timeout", own.map(|own| own.response_idle_timeout));
    let after_response_timeout =
        time("limits.after_response_timeout", own.map(|own| own.after_response_timeout));
    let cpu_time = time("limits.cpu_time", own.map(|own| own.cpu_time));
    let memory = limit(read, server, "limits.memory", &MEMORY, own.map(|own| own.memory));
    Some(RouteLimits {
        concurrency: concurrency? as usize,
        queue: queue? as usize,
        queue_timeout: queue_timeout?,
        request_timeout: request_timeout?,
        response_idle_timeout: response_idle_timeout?,
        after_response_timeout: after_response_timeout?,
        cpu_time: cpu_time?,
        memory: memory?,
    })
}

/// A route's own limit, or its share of the worker's.
fn share(
    read: &mut Reader<'_>,
    server: &Worker<'_>,
    alone: bool,
    (path, kind): (&'static str, Number),
    worker: Option<u64>,
) -> Option<u64> {
    let is_given = read.has(path);
    let own = limit(read, server, path, &kind, worker);
    let Some(all) = worker.filter(|_| !alone && !is_given) else { return own };
    let share = all - all / ROOM_FOR_OTHERS;
    if share == all {
        return own;
    }
    let reason = format!("the worker's {all}, less a quarter for the other routes");
    read.record(path, share.to_string(), &Source::Default, Some(reason));
    Some(share)
}

/// A route's own limit, or the worker's, which bounds it.
fn limit<K: Kind<Value: PartialOrd + Copy>>(
    read: &mut Reader<'_>,
    server: &Worker<'_>,
    path: &'static str,
    kind: &K,
    worker: Option<K::Value>,
) -> Option<K::Value> {
    let Some(raw) = read.raw(path) else {
        let inherited = server.settings.iter().find(|setting| setting.key == path)?;
        let (value, source) = (inherited.value.clone(), &inherited.source);
        read.record(path, value, source, Some("the worker's".to_owned()));
        return worker;
    };
    let own = read.parse(path, kind, &raw)?;
    let worker = worker?;
    if own > worker {
        let (own, worker) = (kind.show(&own), kind.show(&worker));
        let problem = format!("{own} is above the worker's {worker}");
        read.fail(path, raw.source, problem, format!("lower it, or raise {path}"));
        return None;
    }
    read.record(path, kind.show(&own), &raw.source, None);
    Some(own)
}
