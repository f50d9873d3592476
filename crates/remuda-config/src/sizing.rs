//! How many workers suit a machine (S8 to S13, S29).
//!
//! Purpose: the policy behind `workers.count = "auto"` and `workers.memory = "auto"`.
//! Owner: called by validation; pure functions of their arguments. Invariant: at least
//! one worker, and never so many that [`oversubscribed`] would warn about its own advice.

use crate::{machine::Machine, value::about_bytes};

/// What guests spend their time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Computing: 1 worker per core.
    Cpu,
    /// Both: 1.5 workers per core.
    Mixed,
    /// Waiting: 2 workers per core.
    Io,
}

impl Profile {
    /// Workers per core.
    pub fn factor(self) -> f64 {
        match self {
            Self::Cpu => 1.0,
            Self::Mixed => 1.5,
            Self::Io => 2.0,
        }
    }

    /// As written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Mixed => "mixed",
            Self::Io => "io",
        }
    }
}

/// A number of workers and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// From 1 to 1024.
    pub count: usize,
    /// `64 cores seen, quota 2 cores, memory limit 1GiB: 2 cores × 1.5 (mixed) = 3 workers
    /// (memory would allow 4)`
    pub reason: String,
}

/// More worker processes than this are a mistake on any machine.
pub(crate) const MAX_WORKERS: usize = 1024;

/// The part of the memory that workers may fill, in per cent. The rest is for the
/// supervisor, compilations, the kernel's buffers, and what they need for a moment.
pub(crate) const WORKERS_SHARE: u64 = 75;

/// What a worker needs beside its guests: the runtime, connections and their buffers. Far
/// more than an idle worker has (about 20 MiB), so that it is enough under load.
const WORKER_ALONE: u64 = 64 * bytesize::MIB;

/// Bytes without which a worker is of little use: its own, and one instance as large as
/// `limits.memory` allows.
pub(crate) fn least_memory(limit_of_instance: u64) -> u64 {
    WORKER_ALONE.saturating_add(limit_of_instance)
}

/// The part of `memory` that each of so many workers may fill, in bytes.
pub(crate) fn budget(memory: u64, workers: usize) -> u64 {
    (u128::from(memory) * u128::from(WORKERS_SHARE) / 100 / workers.max(1) as u128) as u64
}

impl Sizing {
    /// The smaller of two rules, but at least 1. The cpu rule: cores times the profile's
    /// factor. The memory rule: how many workers of `least` bytes each ([`least_memory`])
    /// fit into what the workers may fill.
    pub(crate) fn new(profile: Profile, machine: &Machine, least: u64) -> Self {
        let (by_cpu, cpu) = cpu_rule(profile, machine);
        let by_memory = machine.memory().map(|memory| fitting(memory, least));
        let seen = seen(machine);
        if let (Some(memory), Some(fit)) = (machine.memory(), by_memory.filter(|fit| *fit < by_cpu))
        {
            let (memory, least) = (about_bytes(memory), about_bytes(least));
            let count = fit.max(1);
            let rule = if fit == 0 { "is less than 1, so" } else { "=" };
            let count_text = plural_workers(count);
            let reason = format!(
                "{seen}: {WORKERS_SHARE}% of {memory} / {least} each {rule} {count_text} ({cpu} \
                 would be {by_cpu})"
            );
            return Self { count, reason };
        }
        let count = plural_workers(by_cpu);
        let memory = by_memory.map_or_else(String::new, |fit| {
            format!(" (memory would allow {})", fit.min(MAX_WORKERS))
        });
        Self { count: by_cpu, reason: format!("{seen}: {cpu} = {count}{memory}") }
    }
}

/// A fraction of a worker is rounded up, for a quota of 1.5 cores is not used up by one.
fn cpu_rule(profile: Profile, machine: &Machine) -> (usize, String) {
    let cores = machine.cores();
    let exact = cores * profile.factor();
    let whole = round_up(exact);
    let count = (whole as usize).clamp(1, MAX_WORKERS);
    let mut rule = format!("{} × {} ({})", plural(cores), profile.factor(), profile.name());
    if whole - exact > NOISE {
        rule.push_str(", rounded up,");
    }
    if whole > count as f64 {
        rule = format!("{rule}, at most {MAX_WORKERS},");
    }
    (count, rule)
}

/// How many workers fit; 0 when not even one has room.
fn fitting(memory: u64, least: u64) -> usize {
    let fit = budget(memory, 1) / least.max(1);
    usize::try_from(fit).unwrap_or(usize::MAX)
}

/// Whether there is memory for so many workers of `least` bytes each, for all one knows.
pub(crate) fn room_for(count: usize, machine: &Machine, least: u64) -> bool {
    machine.memory().is_none_or(|memory| fitting(memory, least) >= count)
}

/// `64 cores seen (2 threads per core), quota 2 cores, memory limit 1GiB`
fn seen(machine: &Machine) -> String {
    let cores = plural(machine.affinity.max(1) as f64);
    let threads = match machine.threads_per_core {
        Some(1) => " (1 thread per core)".to_owned(),
        Some(threads) => format!(" ({threads} threads per core)"),
        None => String::new(),
    };
    let quota = machine
        .quota()
        .map_or_else(|| "no quota".to_owned(), |quota| format!("quota {}", plural(quota)));
    let memory = match (machine.memory_limit(), machine.memory_total) {
        (Some(limit), _) => format!("memory limit {}", about_bytes(limit)),
        (None, Some(total)) => format!("no memory limit, the machine has {}", about_bytes(total)),
        (None, None) => "no memory limit".to_owned(),
    };
    format!("{cores} seen{threads}, {quota}, {memory}")
}

/// Whether so many workers contend for the cores: more than 2 for each (S11).
pub(crate) fn oversubscribed(count: usize, machine: &Machine) -> bool {
    count > most(machine)
}

/// How many workers the cores have room for.
pub(crate) fn most(machine: &Machine) -> usize {
    (round_up(machine.cores() * Profile::Io.factor()) as usize).max(1)
}

/// `1 core`, `1.5 cores`
pub(crate) fn plural(cores: f64) -> String {
    let rounded = (cores * 100.0).round() / 100.0;
    format!("{rounded} {}", if rounded == 1.0 { "core" } else { "cores" })
}

pub(crate) fn plural_workers(count: usize) -> String {
    format!("{count} {}", if count == 1 { "worker" } else { "workers" })
}

/// A quota is a quotient: do not start a worker for its last binary digit.
const NOISE: f64 = 1e-6;

fn round_up(exact: f64) -> f64 {
    (exact - NOISE).ceil()
}

#[cfg(test)]
mod tests {
    use super::{Profile, Sizing, budget, least_memory, most, oversubscribed};
    use crate::machine::Machine;

    const MIB: u64 = bytesize::MIB;
    const LEAST: u64 = 192 * MIB;

    fn quota(cores: f64) -> Machine {
        Machine { quota: Some(cores), ..Machine::with_cores(1 << 20) }
    }

    fn count(profile: Profile, cores: f64) -> usize {
        Sizing::new(profile, &quota(cores), LEAST).count
    }

    #[test]
    fn follows_the_profile_and_the_quota() {
        for (cores, cpu, mixed, io) in [
            (4.0, 4, 6, 8),
            (2.0, 2, 3, 4),
            (1.0, 1, 2, 2),
            (0.5, 1, 1, 1),
            (0.1, 1, 1, 1),
            (1.5, 2, 3, 3),
            (0.1 + 0.2 + 0.7, 1, 2, 2),
            (64.0, 64, 96, 128),
            (1e9, 1024, 1024, 1024),
        ] {
            assert_eq!(count(Profile::Cpu, cores), cpu, "cpu on {cores}");
            assert_eq!(count(Profile::Mixed, cores), mixed, "mixed on {cores}");
            assert_eq!(count(Profile::Io, cores), io, "io on {cores}");
        }
    }

    #[test]
    fn the_smaller_of_both_rules_counts() {
        for (memory, workers) in [
            (128 * MIB, 1),
            (256 * MIB, 1),
            (511 * MIB, 1),
            (512 * MIB, 2),
            (1024 * MIB, 4),
            (1536 * MIB, 6),
            (1 << 60, 6),
        ] {
            for machine in [
                Machine { memory_limit: Some(memory), ..quota(4.0) },
                Machine { memory_total: Some(memory), ..quota(4.0) },
                Machine { memory_limit: Some(memory), memory_total: Some(1 << 61), ..quota(4.0) },
            ] {
                let sizing = Sizing::new(Profile::Mixed, &machine, LEAST);
                assert_eq!(sizing.count, workers, "{memory}: {}", sizing.reason);
            }
        }
    }

    #[test]
    fn gives_its_reason() {
        let host = Machine {
            threads_per_core: Some(2),
            memory_total: Some(256 << 30),
            ..Machine::with_cores(64)
        };
        let pod = |quota, limit| Machine { quota, memory_limit: limit, ..host };
        let mib = |count: u64| Some(count * MIB);
        for (profile, machine, reason) in [
            (
                Profile::Mixed,
                pod(Some(2.0), mib(1024)),
                "64 cores seen (2 threads per core), quota 2 cores, memory limit 1GiB: \
                 2 cores × 1.5 (mixed) = 3 workers (memory would allow 4)",
            ),
            (
                Profile::Io,
                pod(Some(4.0), mib(512)),
                "64 cores seen (2 threads per core), quota 4 cores, memory limit 512MiB: \
                 75% of 512MiB / 192MiB each = 2 workers (4 cores × 2 (io) would be 8)",
            ),
            (
                Profile::Mixed,
                pod(Some(2.0), mib(128)),
                "64 cores seen (2 threads per core), quota 2 cores, memory limit 128MiB: \
                 75% of 128MiB / 192MiB each is less than 1, so 1 worker \
                 (2 cores × 1.5 (mixed) would be 3)",
            ),
            (
                Profile::Cpu,
                pod(None, None),
                "64 cores seen (2 threads per core), no quota, no memory limit, the machine has \
                 256GiB: 64 cores × 1 (cpu) = 64 workers (memory would allow 1024)",
            ),
            (
                Profile::Cpu,
                Machine { quota: Some(1.0 / 3.0), ..Machine::with_cores(1) },
                "1 core seen, quota 0.33 cores, no memory limit: \
                 0.33 cores × 1 (cpu), rounded up, = 1 worker",
            ),
            (
                Profile::Cpu,
                Machine { threads_per_core: Some(1), ..Machine::with_cores(5000) },
                "5000 cores seen (1 thread per core), no quota, no memory limit: \
                 5000 cores × 1 (cpu), at most 1024, = 1024 workers",
            ),
        ] {
            assert_eq!(Sizing::new(profile, &machine, LEAST).reason, reason);
        }
    }

    #[test]
    fn two_for_each_core_are_not_too_many() {
        for (workers, cores, too_many) in
            [(4, 2.0, false), (5, 2.0, true), (3, 1.1, false), (4, 1.1, true), (1, 0.1, false)]
        {
            assert_eq!(oversubscribed(workers, &quota(cores)), too_many, "{workers} on {cores}");
        }
    }

    #[test]
    fn never_warns_about_its_own_advice() {
        for tenths in 1..200 {
            let machine = quota(f64::from(tenths) / 10.0);
            let sizing = Sizing::new(Profile::Io, &machine, LEAST);
            assert!(!oversubscribed(sizing.count, &machine), "{machine:?}");
            assert!(!oversubscribed(most(&machine), &machine), "{machine:?}");
        }
    }

    #[test]
    fn every_worker_has_an_equal_part_of_three_quarters() {
        assert_eq!(budget(1 << 30, 3), 256 * MIB);
        assert_eq!(budget(u64::MAX, 1), (u128::from(u64::MAX) * 3 / 4) as u64);
        assert_eq!(least_memory(128 * MIB), LEAST);
        assert_eq!(least_memory(u64::MAX), u64::MAX);
    }
}
