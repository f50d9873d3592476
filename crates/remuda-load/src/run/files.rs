//! Connections are open files, of which a process may have so many.
//!
//! Owner: the run, before it begins. Invariant: users who could not connect for want of a file of
//! this process are not sent: they would look like errors of the server.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::RunError;
use crate::{
    client::Protocol,
    scenario::{Model, Scenario},
};

/// Of a thread: its event loop and its timer.
const OF_A_THREAD: usize = 6;
/// Reports, the server's metrics, names that are looked up.
const OTHERS: usize = 16;

/// Takes what the operator has allowed: the soft limit of most systems, 1024, is meant for
/// programs that use `select`.
///
/// # Errors
/// When that is too little for the users. Arrivals have no such number: `max_in_flight` is a
/// bound that few runs come near.
pub(super) fn allow(
    scenario: &Scenario,
    protocol: Protocol,
    threads: usize,
) -> Result<(), RunError> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        limit.current = limit.maximum;
        // Where that is forbidden, the old limit is what there is.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let allowed = getrlimit(Resource::Nofile).current;
    enough(scenario, open + connections(scenario, protocol, threads) + others(threads), allowed)
}

fn others(threads: usize) -> usize {
    threads * OF_A_THREAD + OTHERS
}

fn enough(scenario: &Scenario, needed: usize, allowed: Option<u64>) -> Result<(), RunError> {
    let (needed, users) = (needed as u64, scenario.plan.peak().ceil() as usize);
    match (scenario.model, allowed) {
        (Model::Closed { .. }, Some(allowed)) if needed > allowed => {
            Err(RunError::Files { users, needed, allowed })
        }
        _ => Ok(()),
    }
}

/// All that may be there at once.
fn connections(scenario: &Scenario, protocol: Protocol, threads: usize) -> usize {
    let users = scenario.plan.peak().ceil() as usize;
    let connection = &scenario.connection;
    if protocol == Protocol::Http2 && connection.reuse {
        return users.div_ceil(threads).div_ceil(connection.streams) * threads;
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Raw;

    fn scenario(text: &str) -> Scenario {
        let raw: Raw = toml::from_str(&format!("target = 'http://a'\n{text}")).unwrap();
        Scenario::validate(raw).unwrap()
    }

    #[test]
    fn users_that_cannot_all_connect_are_refused() {
        let users = scenario("users = 200");
        let error = enough(&users, 225, Some(64)).unwrap_err().to_string();
        assert!(error.contains("200 users need 225 open files, and this process may have 64"));
        assert!(error.contains("ulimit -Hn"), "{error}");
        assert!(enough(&users, 225, Some(225)).is_ok() && enough(&users, 225, None).is_ok());
        assert!(enough(&scenario("rate = 200"), 2000, Some(64)).is_ok());
    }

    #[test]
    fn requests_that_share_a_connection_share_its_file() {
        let (one, two) = (Protocol::Http1, Protocol::Http2);
        let users = scenario("users = 200\nconnection.streams = 30");
        assert_eq!(connections(&users, one, 2), 200);
        assert_eq!(connections(&users, two, 2), 8);
        let fresh = scenario("users = 200\nconnection.reuse = false");
        assert_eq!(connections(&fresh, two, 2), 200);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        assert!(allow(&scenario("users = 1"), Protocol::Http1, 1).is_ok());
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        // And what is open already counts.
        let most = limit.current.map_or(1_000_000, |most| most.min(1_000_000));
        let users = scenario(&format!("users = {most}"));
        assert_eq!(
            allow(&users, Protocol::Http1, 1).is_err(),
            limit.current.is_some_and(|limit| limit <= most)
        );
    }
}
