//! How many files a process may open, and how many a worker may need.
//!
//! Purpose: a worker that runs out of descriptors stops accepting and cannot call upstreams;
//! an operator should know before that happens. Owner: `serve`, which raises the limit that
//! its workers inherit, and `check`. Invariant: nothing here fails a start.

use remuda_config::Config;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Listeners, logs, the event loop's own, mounted files that guests open.
const OTHERS: u64 = 100;

/// Descriptors of one worker at its limits.
pub(crate) fn needed(config: &Config) -> u64 {
    let asks = !config.outbound.allow.is_empty();
    let upstreams = if asks { config.limits.concurrency as u64 } else { 0 };
    config.http.max_connections as u64 + upstreams + OTHERS
}

/// Takes what the operator has allowed: the soft limit of 1024 open files that most
/// systems start with is meant for programs that use `select`.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "failed to raise the limit of open files");
    }
}

/// Says so when workers may need more than they get.
pub(crate) fn warn_if_too_few(config: &Config) {
    if let Some(warning) = too_few(config, getrlimit(Resource::Nofile).current) {
        tracing::warn!("{warning}");
    }
}

fn too_few(config: &Config, allowed: Option<u64>) -> Option<String> {
    let (needed, allowed) = (needed(config), allowed?);
    let connections = config.http.max_connections;
    (needed > allowed).then(|| {
        format!(
            "a worker may need {needed} open files (http.max_connections is {connections}) and \
             gets {allowed}: raise the limit (ulimit -Hn, LimitNOFILE=), or lower \
             http.max_connections to {}",
            (connections as u64).saturating_sub(needed - allowed).max(1)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::tests::of_flags as config;

    #[test]
    fn connections_and_upstreams_need_files() {
        let connections = ("http.max_connections", "500");
        assert_eq!(needed(&config(&[connections])), 600);
        let allow = ("outbound.allow", "https://a.example");
        assert_eq!(needed(&config(&[connections, allow])), 1600);
    }

    #[test]
    fn too_few_files_are_named_with_a_number_that_fits() {
        let config = config(&[("http.max_connections", "1000")]);
        assert_eq!(too_few(&config, None), None);
        assert_eq!(too_few(&config, Some(1100)), None);
        let warning = too_few(&config, Some(1024)).expect("a warning");
        assert!(warning.contains("need 1100 open files"), "{warning}");
        assert!(warning.contains("gets 1024"), "{warning}");
        assert!(warning.ends_with("lower http.max_connections to 924"), "{warning}");
    }
}
