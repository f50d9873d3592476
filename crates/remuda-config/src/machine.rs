//! What the server may use of the machine it runs on (S8 to S13, S29).
//!
//! Purpose: cores, CPU quota and memory, as the container allows them; the sizing
//! policy and the supervisor's watch start from here. Owner: read by the binary at
//! start, and by the supervisor from time to time. Invariant: reading never fails; what
//! cannot be read is no limit. Everything is read below a root given as a parameter.
mod cgroup;
mod limits;
mod throttling;

use std::{fs, path::Path};

pub use throttling::Throttling;

use crate::{sizing::plural, value::about_bytes};

/// What the server may use of the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Cores that this process may be scheduled on; 0 counts as 1.
    pub affinity: usize,
    /// Hardware threads per core, each of which counts as a core in `affinity`; `None`
    /// when the machine does not say.
    pub threads_per_core: Option<usize>,
    /// Cores' worth of CPU time that the container may use: the smallest of its cgroup's
    /// and all its ancestors'. May be a fraction; anything not above 0 is no quota.
    pub quota: Option<f64>,
    /// Bytes that the container may use, found in the same way.
    pub memory_limit: Option<u64>,
    /// Bytes of the whole machine.
    pub memory_total: Option<u64>,
}

impl Machine {
    /// A machine without a container around it, and of unknown memory.
    pub const fn with_cores(cores: usize) -> Self {
        Self {
            affinity: cores,
            threads_per_core: None,
            quota: None,
            memory_limit: None,
            memory_total: None,
        }
    }

    /// Reads `/proc` and the cgroup file systems below `root`, which is `/` save in tests.
    /// `affinity` is the number of cores that this process may be scheduled on,
    /// sched_getaffinity(2); `std::thread::available_parallelism` will not do, for it has
    /// the quota in it already, rounded.
    pub fn read(root: &Path, affinity: usize) -> Self {
        Self {
            affinity,
            threads_per_core: text(&root.join(SIBLINGS)).and_then(|list| siblings(&list)),
            quota: limits::quota(root),
            memory_limit: limits::memory(root),
            memory_total: text(&root.join("proc/meminfo")).and_then(|text| total(&text)),
        }
    }

    /// Cores' worth of CPU time: what is seen, or the quota if that is less.
    pub fn cores(&self) -> f64 {
        let seen = self.affinity.max(1) as f64;
        self.quota().map_or(seen, |quota| quota.min(seen))
    }

    /// Bytes that may be used: the container's limit, or the machine's memory if that is
    /// less. `None` when neither is known.
    pub fn memory(&self) -> Option<u64> {
        [self.memory_limit, self.memory_total].into_iter().flatten().min()
    }

    /// The quota, made safe to calculate with.
    pub(crate) fn quota(&self) -> Option<f64> {
        self.quota.filter(|quota| quota.is_finite() && *quota > 0.0)
    }

    /// The memory limit, when it is one: above the machine's memory it is none.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit.filter(|limit| self.memory_total.is_none_or(|total| *limit <= total))
    }

    /// What is different from before, in words: `cpu quota 2 cores -> 4 cores`, `memory
    /// limit 512MiB -> 1GiB`. The machine's own memory is left out: where the host of a
    /// virtual machine inflates a balloon, it changes all the time.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let cores = |machine: &Self| plural(machine.affinity as f64);
        let quota = |machine: &Self| machine.quota().map_or_else(none, plural);
        let limit = |machine: &Self| machine.memory_limit().map_or_else(none, about_bytes);
        [
            ("cores seen", cores(before), cores(self)),
            ("cpu quota", quota(before), quota(self)),
            ("memory limit", limit(before), limit(self)),
        ]
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("{what} {before} -> {now}"))
        .collect()
    }
}

fn none() -> String {
    "none".to_owned()
}

/// The threads of the core that thread 0 belongs to: `0,32`, `0-1`.
const SIBLINGS: &str = "sys/devices/system/cpu/cpu0/topology/thread_siblings_list";

/// How many numbers a list names: the kernel's cputopology.rst.
fn siblings(list: &str) -> Option<usize> {
    let mut count = 0_usize;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// `MemTotal:       16384000 kB`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// A file that may be missing, and may name paths that are not UTF-8.
fn text(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Machine, siblings, total};

    #[test]
    fn threads_of_a_core_are_counted() {
        for (list, count) in [
            ("0\n", Some(1)),
            ("0,32\n", Some(2)),
            ("0-1", Some(2)),
            ("0-3,8-11", Some(8)),
            ("", None),
            ("3-1", None),
            ("0-18446744073709551615", None),
            ("0,x", None),
        ] {
            assert_eq!(siblings(list), count, "{list:?}");
        }
    }

    #[test]
    fn the_total_is_found_among_other_lines() {
        let text = "MemFree:  1 kB\nMemTotal:       16384000 kB\nMemAvailable: 2 kB\n";
        assert_eq!(total(text), Some(16_384_000 * 1024));
        for text in ["", "MemTotal:", "MemTotal: 12", "MemTotal: 99999999999999999999 kB"] {
            assert_eq!(total(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_smaller_of_quota_and_affinity_counts() {
        for (affinity, quota, cores) in [
            (64, Some(2.0), 2.0),
            (4, Some(8.0), 4.0),
            (4, None, 4.0),
            (0, None, 1.0),
            (4, Some(0.0), 4.0),
            (4, Some(f64::NAN), 4.0),
            (4, Some(f64::INFINITY), 4.0),
        ] {
            let machine = Machine { quota, ..Machine::with_cores(affinity) };
            assert_eq!(machine.cores(), cores, "{machine:?}");
        }
    }

    #[test]
    fn a_limit_above_the_machine_is_none() {
        let machine = |memory_limit, memory_total| {
            let machine = Machine { memory_limit, memory_total, ..Machine::with_cores(1) };
            (machine.memory(), machine.memory_limit())
        };
        assert_eq!(machine(Some(1), Some(2)), (Some(1), Some(1)));
        assert_eq!(machine(Some(3), Some(2)), (Some(2), None));
        assert_eq!(machine(Some(3), None), (Some(3), Some(3)));
        assert_eq!(machine(None, Some(2)), (Some(2), None));
        assert_eq!(machine(None, None), (None, None));
    }

    #[test]
    fn a_resize_is_told_in_words() {
        let small = Machine {
            quota: Some(2.0),
            memory_limit: Some(512 << 20),
            memory_total: Some(64 << 30),
            ..Machine::with_cores(64)
        };
        let large = Machine { quota: Some(4.0), memory_limit: Some(1 << 30), ..small };
        assert_eq!(
            large.changes_since(&small),
            ["cpu quota 2 cores -> 4 cores", "memory limit 512MiB -> 1GiB"]
        );
        let free = Machine { memory_total: Some(63 << 30), ..Machine::with_cores(1) };
        assert_eq!(
            free.changes_since(&small),
            [
                "cores seen 64 cores -> 1 core",
                "cpu quota 2 cores -> none",
                "memory limit 512MiB -> none"
            ]
        );
        assert!(small.changes_since(&small).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>(), numbers in "[0-9,x -]{0,60}") {
            let _ = (siblings(&text), total(&text), siblings(&numbers));
            let _ = total(&format!("MemTotal:{numbers}kB"));
        }
    }
}
