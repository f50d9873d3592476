//! What a server should have before it meets production traffic, a line each.
//!
//! Owner: [`check`](super). Invariant: a line that fails says what to change; what makes a
//! server lose requests by itself fails the command, what somebody may want does not.

use std::{
    fmt, fs,
    time::{Duration, SystemTime},
};

use remuda_config::{Config, Route, RouteLimits, about_bytes};
use rustix::process::{Resource, getrlimit};

use super::exposure::{exposure, is_local};
use crate::open_files;

/// How a line came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Somebody may want it so.
    Look,
    /// Requests will be lost.
    Fail,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Look => "look",
            Verdict::Fail => "FAIL",
        };
        write!(f, "{verdict}  {}", self.text)
    }
}

/// A line that says what is right, or else what is wrong and what to change.
pub(super) fn item(
    passes: bool,
    otherwise: Verdict,
    right: impl Into<String>,
    wrong: impl Into<String>,
) -> Item {
    match passes {
        true => Item { verdict: Verdict::Pass, text: right.into() },
        false => Item { verdict: otherwise, text: wrong.into() },
    }
}

/// What the machine allows, as far as the checklist is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// Open files of one process; `None` is as many as it likes.
    pub(super) open_files: Option<u64>,
    /// The longest accept queue.
    pub(super) somaxconn: Option<u64>,
    /// Bytes of memory.
    pub(super) memory: Option<u64>,
}

impl Allowed {
    /// Here and now, on a machine with so much memory.
    pub(super) fn here(memory: Option<u64>) -> Self {
        let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn");
        Self {
            open_files: getrlimit(Resource::Nofile).maximum,
            somaxconn: somaxconn.ok().and_then(|text| text.trim().parse().ok()),
            memory,
        }
    }
}

/// All lines. `upstream_idle` is how long whoever is in front of the server keeps idle
/// connections to it.
pub(super) fn checklist(
    config: &Config,
    upstream_idle: Option<Duration>,
    allowed: Allowed,
) -> Vec<Item> {
    let mut items = timeouts(config);
    items.push(keep_alive(config, upstream_idle));
    items.extend(processes(config));
    items.extend(machine(config, allowed));
    items.extend(administration(config));
    items.extend(exposure(config, SystemTime::now()));
    items.extend(authority(config));
    items
}

/// Each wait ends before the one around it (S35).
fn timeouts(config: &Config) -> Vec<Item> {
    let request = |route: &&Route| route.limits.request_timeout;
    let (Some(shortest), Some(longest)) =
        (config.routes.iter().min_by_key(request), config.routes.iter().max_by_key(request))
    else {
        return Vec::new();
    };
    let left =
        |route: &&Route| route.limits.request_timeout.saturating_sub(route.limits.queue_timeout);
    let hastiest = config.routes.iter().min_by_key(left).unwrap_or(shortest);
    vec![
        outgoing(config, shortest),
        drain(config, longest),
        startup(config),
        queue(config, hastiest),
    ]
}

fn startup(config: &Config) -> Item {
    let startups = config.routes.iter().map(|route| route.readiness.startup_timeout);
    let (boot, startup) = (config.workers.boot_timeout, startups.max().unwrap_or_default());
    let (waits, takes) = (shown(boot), shown(startup));
    item(
        startup < boot,
        Verdict::Fail,
        format!("a worker may take {waits} to start, the startup of an instance {takes}"),
        format!(
            "the startup of an instance may take {takes}, but its worker has only {waits}; raise \
             workers.boot_timeout, or lower instances.startup_timeout"
        ),
    )
}

fn outgoing(config: &Config, shortest: &Route) -> Item {
    if config.outbound.allow.is_empty() {
        return item(true, Verdict::Pass, "guests send no requests of their own", "");
    }
    let outgoing = config.outbound.connect_timeout + config.outbound.first_byte_timeout;
    let request = shortest.limits.request_timeout;
    let (theirs, ours) = (shown(outgoing), shown(request));
    let key = key_of(config, shortest, "request_timeout", |limits| limits.request_timeout);
    item(
        outgoing < request,
        Verdict::Fail,
        format!("outgoing requests give up after {theirs}, before their own request does ({ours})"),
        format!(
            "outgoing requests give up after {theirs} (connect and first byte), but their own \
             request does after {ours}; lower outbound.connect_timeout and \
             outbound.first_byte_timeout, or raise {key}"
        ),
    )
}

fn drain(config: &Config, longest: &Route) -> Item {
    let (grace, request) = (config.shutdown.graceful_timeout, longest.limits.request_timeout);
    let (waits, takes) = (shown(grace), shown(request));
    let key = key_of(config, longest, "request_timeout", |limits| limits.request_timeout);
    item(
        request <= grace,
        Verdict::Fail,
        format!("a drain waits {waits}, and no request takes longer ({takes})"),
        format!(
            "a drain waits {waits}, but a request may take {takes} and is cut off; raise \
             shutdown.graceful_timeout, or lower {key}"
        ),
    )
}

fn queue(config: &Config, hastiest: &Route) -> Item {
    let (wait, request) = (hastiest.limits.queue_timeout, hastiest.limits.request_timeout);
    let (waits, takes) = (shown(wait), shown(request));
    let key = key_of(config, hastiest, "queue_timeout", |limits| limits.queue_timeout);
    item(
        wait < request,
        Verdict::Fail,
        format!("a request waits {waits} for a place, and has {takes} in all"),
        format!("a request may wait {waits} for a place, but has only {takes} in all; lower {key}"),
    )
}

/// Where a limit of a route was set: for all routes, or for this one.
fn key_of<T: PartialEq>(
    config: &Config,
    route: &Route,
    name: &str,
    limit: impl Fn(&RouteLimits) -> T,
) -> String {
    let own = limit(&route.limits);
    if config.routes.iter().all(|other| limit(&other.limits) == own) {
        return format!("limits.{name}");
    }
    format!("limits.{name} of route {}", route.name())
}

/// `0s`, `250ms`, `1m 30s`
fn shown(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Who closes an idle connection last cannot lose a request on it (S25).
fn keep_alive(config: &Config, upstream_idle: Option<Duration>) -> Item {
    let ours = config.http.keep_alive_timeout;
    let here = shown(ours);
    match upstream_idle {
        Some(theirs) => {
            let there = shown(theirs);
            item(
                ours > theirs,
                Verdict::Fail,
                format!("idle connections live longer here ({here}) than in front ({there})"),
                format!(
                    "idle connections live {here} here and {there} in front, so that a request \
                     can meet one that is just being closed; raise http.keep_alive_timeout above \
                     {there}"
                ),
            )
        }
        None => Item {
            verdict: Verdict::Look,
            text: format!(
                "idle connections are closed after {here}: behind a proxy or load balancer, say \
                 --upstream-idle and its idle timeout"
            ),
        },
    }
}

fn processes(config: &Config) -> Vec<Item> {
    let (count, delay) = (config.workers.count, config.shutdown.drain_delay);
    let stop = delay + config.shutdown.graceful_timeout + Duration::from_secs(5);
    vec![
        item(
            count > 1,
            Verdict::Look,
            format!("{count} workers: one can be stuck or be replaced while others answer"),
            "1 worker: while it is stuck, nobody answers; set workers.count to 2 or more",
        ),
        item(
            !delay.is_zero(),
            Verdict::Look,
            format!("connections are accepted for {} after readiness ends", shown(delay)),
            "connections are refused as soon as readiness ends, which a load balancer needs some \
             seconds to notice; set shutdown.drain_delay",
        ),
        Item {
            verdict: Verdict::Look,
            text: format!(
                "whoever stops the server must wait {} before it kills it \
                 (terminationGracePeriodSeconds, TimeoutStopSec, docker stop --time)",
                shown(stop)
            ),
        },
    ]
}

fn machine(config: &Config, allowed: Allowed) -> Vec<Item> {
    let needed = open_files::needed(config);
    let files = allowed.open_files.map_or("any number of".to_owned(), |files| files.to_string());
    let backlog = u64::from(config.workers.backlog);
    let queue = allowed.somaxconn.map_or("?".to_owned(), |queue| queue.to_string());
    let workers = &config.workers;
    let budgets = workers.memory.saturating_mul(workers.count as u64);
    let (each, all) = (about_bytes(workers.memory), about_bytes(budgets));
    let there = allowed.memory.map_or("?".to_owned(), about_bytes);
    vec![
        item(
            allowed.memory.is_none_or(|memory| budgets <= memory),
            Verdict::Fail,
            format!("{} workers of {each} each, {there} of memory", workers.count),
            format!(
                "{} workers may take {each} each, {all} together, and there are only {there}: the \
                 kernel would kill one before its budget is spent; lower workers.memory or \
                 workers.count",
                workers.count
            ),
        ),
        item(
            allowed.open_files.is_none_or(|files| files >= needed),
            Verdict::Fail,
            format!("{files} open files for a worker that may need {needed}"),
            format!(
                "{files} open files are not enough for a worker, which may need {needed}; raise \
                 the limit (ulimit -Hn, LimitNOFILE=), or lower http.max_connections"
            ),
        ),
        item(
            allowed.somaxconn.is_none_or(|queue| queue >= backlog),
            Verdict::Look,
            format!("the kernel allows accept queues of {queue}, asked are {backlog}"),
            format!(
                "the kernel cuts accept queues to {queue}, asked are {backlog}; raise \
                 net.core.somaxconn, or lower workers.backlog"
            ),
        ),
    ]
}

fn administration(config: &Config) -> Vec<Item> {
    let mut items = match &config.admin {
        None => vec![Item {
            verdict: Verdict::Look,
            text: "nobody can ask whether the server is ready, for admin is off; set admin".into(),
        }],
        Some(admin) => vec![
            item(true, Verdict::Pass, format!("health and metrics at {admin}"), ""),
            item(
                !is_local(admin),
                Verdict::Look,
                "health checks may come from other machines",
                "health checks can only come from this machine; for probes from outside, as in \
                 Kubernetes, set admin to 0.0.0.0:9000",
            ),
        ],
    };
    items.push(item(
        config.control.is_some(),
        Verdict::Look,
        "remuda ctl can reach it",
        "remuda ctl cannot reach it, only signals can; set control",
    ));
    items
}

/// What guests may do that they seldom need.
fn authority(config: &Config) -> Vec<Item> {
    let writes = config.routes.iter().flat_map(|route| {
        route.mounts.iter().filter(|mount| mount.write).map(move |mount| Item {
            verdict: Verdict::Look,
            text: format!("guests of {} may write to {}", route.name(), mount.host.display()),
        })
    });
    let all = config.limits.concurrency;
    let (own, asks) = (config.outbound.max_per_host, !config.outbound.allow.is_empty());
    let hung = item(
        own < all,
        Verdict::Fail,
        format!("a hung upstream can take {own} of {all} places"),
        format!(
            "a hung upstream can take all {all} places, for {own} requests may wait for it; set \
             outbound.max_per_host below limits.concurrency"
        ),
    );
    writes.chain(asks.then_some(hung)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::tests::of_flags as config;

    const ENOUGH: Allowed = Allowed { open_files: None, somaxconn: Some(4096), memory: None };

    #[test]
    fn all_workers_together_fit_into_the_machine() {
        let flags = [("workers.memory", "1GiB"), ("workers.count", "4")];
        let with = |gib: u64| Allowed { memory: Some(gib << 30), ..ENOUGH };
        assert_eq!(failures(&flags, None, with(4)), [""; 0]);
        let failed = failures(&flags, None, with(3));
        assert!(failed.len() == 1 && failed[0].contains("4GiB together"), "{failed:?}");
        assert!(failed[0].contains("lower workers.memory or workers.count"), "{failed:?}");
    }

    /// What fails with these settings.
    fn failures(
        flags: &[(&'static str, &str)],
        idle: Option<u64>,
        allowed: Allowed,
    ) -> Vec<String> {
        let items = checklist(&config(flags), idle.map(Duration::from_secs), allowed);
        let failed = items.iter().filter(|item| item.verdict == Verdict::Fail);
        failed.map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_lose_nothing() {
        assert_eq!(failures(&[], None, ENOUGH), [""; 0]);
    }

    #[test]
    fn connections_must_live_longer_here_than_in_front() {
        let keep_alive = ("http.keep_alive_timeout", "65s");
        assert_eq!(failures(&[keep_alive], Some(60), ENOUGH), [""; 0]);
        for idle in [65, 75] {
            let failed = failures(&[keep_alive], Some(idle), ENOUGH);
            let wrong =
                format!("live 1m 5s here and {} in front", shown(Duration::from_secs(idle)));
            assert!(failed[0].contains(&wrong), "{failed:?}");
        }
    }

    #[test]
    fn each_wait_must_end_before_the_one_around_it() {
        for (flags, named) in [
            (
                vec![
                    ("outbound.allow", "https://a.example"),
                    ("outbound.first_byte_timeout", "25s"),
                ],
                "outbound.first_byte_timeout",
            ),
            (vec![("limits.request_timeout", "31s")], "shutdown.graceful_timeout"),
            (vec![("limits.queue_timeout", "30s")], "limits.queue_timeout"),
            (vec![("workers.boot_timeout", "30s")], "instances.startup_timeout"),
        ] {
            let failed = failures(&flags, None, ENOUGH);
            assert!(failed.len() == 1 && failed[0].contains(named), "{failed:?}");
        }
        // Nobody asks anybody: how long it would take does not matter.
        assert_eq!(failures(&[("outbound.first_byte_timeout", "60s")], None, ENOUGH), [""; 0]);
    }

    #[test]
    fn what_fails_is_said_of_the_route_that_it_is_about() {
        let mut config = config(&[]);
        let mut slow = config.routes[0].clone();
        slow.path = "/slow".to_owned();
        slow.limits.request_timeout = Duration::from_secs(40);
        slow.limits.queue_timeout = Duration::from_secs(40);
        config.routes.push(slow);
        let items = checklist(&config, None, ENOUGH);
        let failed: Vec<String> = items
            .iter()
            .filter(|item| item.verdict == Verdict::Fail)
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            failed,
            [
                "FAIL  a drain waits 30s, but a request may take 40s and is cut off; raise \
                 shutdown.graceful_timeout, or lower limits.request_timeout of route /slow",
                "FAIL  a request may wait 40s for a place, but has only 40s in all; lower \
                 limits.queue_timeout of route /slow",
            ]
        );
    }

    /// What is to be looked at with these settings.
    fn looks(flags: &[(&'static str, &str)]) -> Vec<String> {
        let items = checklist(&config(flags), None, ENOUGH);
        let looks = items.iter().filter(|item| item.verdict == Verdict::Look);
        looks.map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_to_be_looked_at_says_how_it_is() {
        let looks = looks(&[("admin", "off"), ("control", "off"), ("workers.count", "1")]);
        let all = looks.join("\n");
        for (said, is_said) in [
            ("nobody can ask whether the server is ready, for admin is off", true),
            ("remuda ctl cannot reach it, only signals can", true),
            ("1 worker: while it is stuck, nobody answers", true),
            ("connections are refused as soon as readiness ends", true),
            ("health", false),
            ("0ns", false),
        ] {
            assert_eq!(all.contains(said), is_said, "{said}: {all}");
        }
    }

    #[test]
    fn the_machine_must_allow_what_was_asked() {
        let little = Allowed { open_files: Some(1024), somaxconn: Some(128), ..ENOUGH };
        let failed = failures(&[], None, little);
        assert!(failed.len() == 1 && failed[0].contains("1024 open files"), "{failed:?}");
        let few = ("http.max_connections", "900");
        assert_eq!(failures(&[few], None, little), [""; 0]);
    }

    #[test]
    fn a_hung_upstream_must_leave_places() {
        let allow = ("outbound.allow", "https://a.example");
        let failed = failures(&[allow, ("limits.concurrency", "100")], None, ENOUGH);
        assert!(failed.len() == 1 && failed[0].contains("max_per_host"), "{failed:?}");
    }
}
