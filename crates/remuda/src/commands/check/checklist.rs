//! What a server should have before it meets production traffic, a line each.
//!
//! Owner: [`check`](super). Invariant: a line that fails says what to change; what makes a
//! server lose requests by itself fails the command, what somebody may want does not.

use std::{fmt, fs, time::Duration};

use remuda_config::{BindAddress, Config};
use rustix::process::{Resource, getrlimit};

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
    text: String,
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

fn item(passes: bool, otherwise: Verdict, text: String, remedy: &str) -> Item {
    let verdict = if passes { Verdict::Pass } else { otherwise };
    let text = if passes { text } else { format!("{text}; {remedy}") };
    Item { verdict, text }
}

/// What the machine allows, as far as the checklist is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// Open files of one process; `None` is as many as it likes.
    pub(super) open_files: Option<u64>,
    /// The longest accept queue.
    pub(super) somaxconn: Option<u64>,
}

impl Allowed {
    /// Here and now.
    pub(super) fn here() -> Self {
        let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn");
        Self {
            open_files: getrlimit(Resource::Nofile).maximum,
            somaxconn: somaxconn.ok().and_then(|text| text.trim().parse().ok()),
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
    items.extend(authority(config));
    items
}

/// Each wait ends before the one around it (S35).
fn timeouts(config: &Config) -> Vec<Item> {
    let outgoing = config.outbound.connect_timeout + config.outbound.first_byte_timeout;
    let asks = !config.outbound.allow.is_empty();
    let shortest = config.routes.iter().map(|route| route.limits.request_timeout).min();
    let longest = config.routes.iter().map(|route| route.limits.request_timeout).max();
    let (shortest, longest) = (shortest.unwrap_or_default(), longest.unwrap_or_default());
    let grace = config.shutdown.graceful_timeout;
    vec![
        item(
            outgoing < shortest || !asks,
            Verdict::Fail,
            format!(
                "outgoing requests give up ({outgoing:?}: connect and first byte) before their \
                 own request does ({shortest:?})"
            ),
            "lower outbound.connect_timeout and outbound.first_byte_timeout, or raise \
             limits.request_timeout",
        ),
        item(
            longest <= grace,
            Verdict::Fail,
            format!("a drain ({grace:?}) waits for the longest request ({longest:?})"),
            "raise shutdown.graceful_timeout, or lower limits.request_timeout",
        ),
        item(
            longest_startup(config) < config.workers.boot_timeout,
            Verdict::Fail,
            format!(
                "a worker ({:?}) outlasts the startup of an instance ({:?})",
                config.workers.boot_timeout,
                longest_startup(config)
            ),
            "raise workers.boot_timeout, or lower instances.startup_timeout",
        ),
        item(
            config.limits.queue_timeout < shortest,
            Verdict::Fail,
            format!(
                "the wait for a place ({:?}) is shorter than a request ({shortest:?})",
                config.limits.queue_timeout
            ),
            "lower limits.queue_timeout",
        ),
    ]
}

fn longest_startup(config: &Config) -> Duration {
    let startups = config.routes.iter().map(|route| route.readiness.startup_timeout);
    startups.max().unwrap_or_default()
}

/// Who closes an idle connection last cannot lose a request on it (S25).
fn keep_alive(config: &Config, upstream_idle: Option<Duration>) -> Item {
    let ours = config.http.keep_alive_timeout;
    match upstream_idle {
        Some(theirs) => item(
            ours > theirs,
            Verdict::Fail,
            format!("idle connections live longer here ({ours:?}) than in front ({theirs:?})"),
            "raise http.keep_alive_timeout above that, or a request can meet a connection that is \
             just being closed",
        ),
        None => Item {
            verdict: Verdict::Look,
            text: format!(
                "idle connections are closed after {ours:?}: behind a proxy or load balancer, \
                 say --upstream-idle and its idle timeout"
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
            "nobody answers then; set workers.count to 2 or more",
        ),
        item(
            !delay.is_zero(),
            Verdict::Look,
            format!("connections are accepted for {delay:?} after readiness ends"),
            "a load balancer needs some seconds to notice; set shutdown.drain_delay",
        ),
        Item {
            verdict: Verdict::Look,
            text: format!(
                "whoever stops the server must wait {stop:?} before it kills it \
                 (terminationGracePeriodSeconds, TimeoutStopSec, docker stop --time)"
            ),
        },
    ]
}

fn machine(config: &Config, allowed: Allowed) -> Vec<Item> {
    let needed = open_files::needed(config);
    let files = allowed.open_files.map_or("any number of".to_owned(), |files| files.to_string());
    let backlog = u64::from(config.workers.backlog);
    let queue = allowed.somaxconn.map_or("?".to_owned(), |queue| queue.to_string());
    vec![
        item(
            allowed.open_files.is_none_or(|files| files >= needed),
            Verdict::Fail,
            format!("{files} open files for a worker that may need {needed}"),
            "raise the limit (ulimit -Hn, LimitNOFILE=), or lower http.max_connections",
        ),
        item(
            allowed.somaxconn.is_none_or(|queue| queue >= backlog),
            Verdict::Look,
            format!("the kernel allows accept queues of {queue}, asked are {backlog}"),
            "raise net.core.somaxconn, or lower workers.backlog",
        ),
    ]
}

fn administration(config: &Config) -> Vec<Item> {
    let admin = config.admin.as_ref();
    let is_local = |address: &BindAddress| match address {
        BindAddress::Tcp { host, .. } => ["127.0.0.1", "localhost", "::1"].contains(&host.as_str()),
        BindAddress::Unix { .. } | BindAddress::Descriptor(_) => false,
    };
    let shown = admin.map_or("off".to_owned(), ToString::to_string);
    let elsewhere = admin.is_some_and(|admin| !is_local(admin));
    vec![
        item(
            admin.is_some(),
            Verdict::Look,
            format!("health and metrics at {shown}"),
            "nobody can ask whether the server is ready; set admin",
        ),
        item(
            admin.is_none() || elsewhere,
            Verdict::Look,
            "health checks come from this machine, or admin listens for others too".to_owned(),
            "for probes from outside, as in Kubernetes, set admin to 0.0.0.0:9000",
        ),
        item(
            !config.bind.iter().all(is_local),
            Verdict::Look,
            "it listens for other machines, or on a socket that somebody hands over".to_owned(),
            "only this machine can connect; set bind to 0.0.0.0:8000",
        ),
        item(
            config.control.is_some(),
            Verdict::Look,
            "remuda ctl can reach it".to_owned(),
            "only signals can; set control",
        ),
    ]
}

/// What guests may do that they seldom need.
fn authority(config: &Config) -> Vec<Item> {
    let writes = config.routes.iter().flat_map(|route| {
        route.mounts.iter().filter(|mount| mount.write).map(move |mount| Item {
            verdict: Verdict::Look,
            text: format!("guests of {} may write to {}", route.path, mount.host.display()),
        })
    });
    let all = config.limits.concurrency;
    let (own, asks) = (config.outbound.max_per_host, !config.outbound.allow.is_empty());
    let hung = item(
        own < all,
        Verdict::Fail,
        format!("a hung upstream can take {own} of {all} places"),
        "set outbound.max_per_host below limits.concurrency",
    );
    writes.chain(asks.then_some(hung)).collect()
}

#[cfg(test)]
mod tests {
    use remuda_config::{Input, Machine, load};

    use super::*;

    const ENOUGH: Allowed = Allowed { open_files: None, somaxconn: Some(4096) };

    fn config(flags: &[(&'static str, &str)]) -> Config {
        let input = Input {
            file: None,
            environment: Vec::new(),
            flags: flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect(),
            component: Some("a.wasm".into()),
            route_flags: Vec::new(),
            base_dir: "/".into(),
            uid: 0,
            pid: 1,
            terminal: true,
            machine: Machine::with_cores(2),
        };
        load(input).expect("a configuration").config
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
            assert!(failed[0].contains("(65s) than in front"), "{failed:?}");
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
    fn the_machine_must_allow_what_was_asked() {
        let little = Allowed { open_files: Some(1024), somaxconn: Some(128) };
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
