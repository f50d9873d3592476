//! Sockets that were passed by whoever started the server.
//!
//! Purpose: socket activation, as systemd does it: sd_listen_fds(3). Owner: `load`.
//! Invariant: sockets meant for another process, such as the one that started this one,
//! are nobody's business here.

use std::ops::Range;

use crate::{
    error::{ConfigError, quoted},
    raw::{Layer, Raw, variable},
    source::Source,
};

/// The variable that says how many there are.
pub(crate) const PASSED: &str = "LISTEN_FDS";
/// The process that they are for.
const FOR_WHOM: &str = "LISTEN_PID";
/// SD_LISTEN_FDS_START
const FIRST: i32 = 3;
/// More than this are a mistake.
const MOST: i32 = 1000;

/// Their descriptors; an empty range when there are none.
pub(crate) fn passed(
    environment: &[(String, String)],
    pid: u32,
    errors: &mut Vec<ConfigError>,
) -> Range<i32> {
    let for_us = variable(environment, FOR_WHOM).and_then(|value| value.parse().ok()) == Some(pid);
    let Some(number) = variable(environment, PASSED).filter(|_| for_us) else {
        return FIRST..FIRST;
    };
    match number.parse() {
        Ok(count @ 0..=MOST) => FIRST..FIRST + count,
        _ => {
            errors.push(ConfigError {
                source: Source::Environment(PASSED.to_owned()),
                key: None,
                problem: format!("expected a number of sockets, got {}", quoted(number)),
                remedy: format!("unset it; whoever sets it passes 1 to {MOST} sockets"),
            });
            FIRST..FIRST
        }
    }
}

/// The layer above the defaults: whoever passes sockets wants them to be listened on.
pub(crate) fn bind_passed(passed: &Range<i32>) -> Layer {
    if passed.is_empty() {
        return Layer::new();
    }
    let addresses: Vec<String> = passed.clone().map(|number| format!("fd:{number}")).collect();
    let source = Source::Environment(PASSED.to_owned());
    Layer::from([("bind", Raw::text(addresses.join(","), source))])
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn only_what_was_passed_to_this_process_counts() {
        for (count, pid, descriptors, errors) in [
            (Some("2"), Some("7"), 3..5, 0),
            (Some("0"), Some("7"), 3..3, 0),
            (Some("2"), Some("8"), 3..3, 0),
            (Some("2"), None, 3..3, 0),
            (Some("2"), Some("me"), 3..3, 0),
            (None, Some("7"), 3..3, 0),
            (Some("two"), Some("8"), 3..3, 0),
            (Some("two"), Some("7"), 3..3, 1),
            (Some("-1"), Some("7"), 3..3, 1),
            (Some("1000"), Some("7"), 3..1003, 0),
            (Some("1001"), Some("7"), 3..3, 1),
            (Some("2147483647"), Some("7"), 3..3, 1),
        ] {
            let environment: Vec<_> = [("LISTEN_FDS", count), ("LISTEN_PID", pid)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            let mut found = Vec::new();
            assert_eq!(passed(&environment, 7, &mut found), descriptors, "{count:?} {pid:?}");
            assert_eq!(found.len(), errors, "{count:?} {pid:?}");
        }
    }
}
