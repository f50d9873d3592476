//! What the kernel says of the workers and of the container.
//!
//! Owner: the [loop](crate::run), which looks every [`INTERVAL`]. Invariant: looking costs a
//! few reads from `/proc`; what cannot be read is as if it were not there.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use remuda_config::{Machine, Throttling};
use rustix::{param::page_size, process::Pid, thread::sched_getaffinity};

/// Time between two looks.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Looks between two at the container, whose files are slower and change seldom.
const CONTAINER_EVERY: u32 = 5;

/// A share of throttled periods that an operator should hear of.
const THROTTLED_TOO_MUCH: f64 = 0.05;

/// Time between two warnings about it.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// Remembers what was seen last.
#[derive(Debug)]
pub(crate) struct Watch {
    looks: u32,
    machine: Machine,
    throttling: Option<Throttling>,
    /// Throttled periods since the start.
    throttled: u64,
    warned: Option<Instant>,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        let root = Path::new("/");
        let throttling = Throttling::read(root);
        Self { looks: 0, machine: machine(), throttling, throttled: 0, warned: None }
    }

    /// CPU periods in which the container was throttled, where there is a quota.
    pub(crate) fn throttled_periods(&self) -> Option<u64> {
        self.throttling.as_ref().map(|_| self.throttled)
    }

    /// Looks at the container when it is time to, and logs what an operator should know.
    pub(crate) fn look(&mut self, now: Instant) {
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(CONTAINER_EVERY) {
            return;
        }
        let machine = machine();
        for change in machine.changes_since(&self.machine) {
            tracing::warn!(change, "container limits changed");
        }
        self.machine = machine;
        let seen = Throttling::read(Path::new("/"));
        if let (Some(before), Some(seen)) = (&self.throttling, &seen) {
            // Another group's quota may bind by now: a metric does not go back for that.
            self.throttled += seen.since(before).throttled;
            let due = self.warned.is_none_or(|warned| now.duration_since(warned) >= REMIND_AFTER);
            if let Some(share) = throttled_share(before, seen).filter(|_| due) {
                let percent = (share * 100.0).round() as u64;
                tracing::warn!(
                    percent,
                    "CPU periods throttled by the quota: fewer workers or a higher quota"
                );
                self.warned = Some(now);
            }
        }
        self.throttling = seen;
    }
}

fn machine() -> Machine {
    // Not the available parallelism: that is lowered by the quota, which is read on its own.
    let affinity = sched_getaffinity(None).map_or(1, |cpus| cpus.count() as usize);
    Machine::read(Path::new("/"), affinity)
}

/// The share of periods that were throttled in between, if it is too large.
fn throttled_share(before: &Throttling, now: &Throttling) -> Option<f64> {
    let since = now.since(before);
    let share = since.throttled as f64 / since.periods.max(1) as f64;
    (share > THROTTLED_TOO_MUCH).then_some(share)
}

/// Resident bytes of a process (`proc_pid_statm(5)`: the second field, in pages).
pub(crate) fn rss(pid: Pid) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_pid())).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(periods: u64, throttled: u64) -> Throttling {
        Throttling { periods, throttled, ..Throttling::default() }
    }

    #[test]
    fn only_what_was_throttled_since_the_last_look_counts() {
        assert_eq!(throttled_share(&seen(100, 90), &seen(200, 90)), None);
        assert_eq!(throttled_share(&seen(100, 90), &seen(200, 140)), Some(0.5));
        assert_eq!(throttled_share(&seen(100, 0), &seen(200, 5)), None);
        assert_eq!(throttled_share(&seen(100, 90), &seen(100, 90)), None);
        assert_eq!(throttled_share(&seen(100, 90), &seen(5, 5)), None, "another container");
    }

    #[test]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        let own = rss(rustix::process::getpid()).expect("this process");
        assert!(own > 100 * 1024, "{own}");
        assert_eq!(rss(Pid::from_raw(i32::MAX).expect("a pid")), None);
    }
}
