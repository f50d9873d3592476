//! The section `workers`.
//!
//! Purpose: how many workers, how much each may use, and when one is replaced. Owner:
//! validation of the server. Invariant: a worker is replaced before it would be killed.

use std::time::Duration;

use crate::{
    config::{Accept, Limits, Workers},
    machine::Machine,
    sizing::{
        MAX_WORKERS, Profile, Sizing, WORKERS_SHARE, budget, least_memory, most, oversubscribed,
        plural, plural_workers, room_for,
    },
    source::Source,
    validate::{Reader, Surroundings, server::MANY},
    value::{
        Auto, Choice, Kind as _, Number, OrZero, Part, Share, Size, Time, TimeFrom, about_bytes,
    },
};

const COUNT: &str = "workers.count";
const MEMORY: &str = "workers.memory";
const RECYCLE: &str = "workers.recycle_rss";
const KILL: &str = "workers.kill_rss";
const BLOCKING_THREADS: &str = "workers.blocking_threads";

/// More than there are cores in any machine.
const MOST_THREADS: u64 = 1024;

/// Less than a worker has at its start, and more than any machine has.
const LEAST: u64 = bytesize::MIB;
const MOST: u64 = 1024 * bytesize::TIB;
const BUDGET: Size = Size(LEAST, MOST);
/// Resident memory of a worker that does nothing, with some room.
const AN_IDLE_WORKER: u64 = 32 * bytesize::MIB;
/// The least budget: an idle worker is not recycled at 85 % of it.
const LEAST_SHARE: u64 = 48 * bytesize::MIB;
/// Twice the time between two heartbeats of a healthy worker.
const HEARTBEAT: TimeFrom = TimeFrom(Duration::from_secs(1));
/// The start of a worker takes a part of that.
const LIFETIME: OrZero<TimeFrom> = OrZero(TimeFrom(Duration::from_secs(1)));

pub(super) fn workers(
    read: &mut Reader<'_>,
    surroundings: &Surroundings<'_>,
    limits: Option<&Limits>,
    warnings: &mut Vec<String>,
) -> Option<Workers> {
    const PROFILE: Choice<Profile> =
        Choice(&[("cpu", Profile::Cpu), ("mixed", Profile::Mixed), ("io", Profile::Io)]);
    const ACCEPT: Choice<Accept> =
        Choice(&[("shared", Accept::Shared), ("reuseport", Accept::ReusePort)]);
    let given = read.take(COUNT, &Auto(Number(1, MAX_WORKERS as u64)));
    let profile = read.take("workers.profile", &PROFILE);
    let backlog = read.take("workers.backlog", &Number(1, 65535));
    let boot_timeout = read.take("workers.boot_timeout", &Time);
    let accept = read.take("workers.accept", &ACCEPT);
    let memory = read.take(MEMORY, &Auto(Size(LEAST_SHARE, MOST)));
    let heartbeat_timeout = read.take("workers.heartbeat_timeout", &HEARTBEAT);
    let max_requests = read.take("workers.max_requests", &Number(0, u32::MAX.into()));
    let max_requests_jitter = read.take("workers.max_requests_jitter", &Number(0, MANY));
    let max_lifetime = read.take("workers.max_lifetime", &LIFETIME);
    let blocking_threads = read.take(BLOCKING_THREADS, &Auto(Number(1, MOST_THREADS)));
    let blocking_queue = read.take("workers.blocking_queue", &Number(0, MANY));
    let recycle = read.take(RECYCLE, &Share(BUDGET));
    let kill = read.take(KILL, &Share(BUDGET));

    let least = least_memory(limits.map_or(0, |limits| limits.memory));
    let count = match given? {
        Some(count) => count as usize,
        None => {
            let source = read.source(COUNT);
            let Sizing { count, reason } = Sizing::new(profile?, &surroundings.machine, least);
            read.record(COUNT, count.to_string(), &source, Some(reason));
            count
        }
    };
    warn_of_count(count, surroundings, least, warnings);
    let memory = match memory? {
        Some(memory) => memory,
        None => share_of_all(read, &surroundings.machine, count),
    };
    if memory < least {
        warnings.push(format!(
            "workers.memory ({}) is less than what a worker with one large instance may need \
             ({}), and it may be replaced again and again; lower limits.memory or \
             workers.count, or give it more",
            about_bytes(memory),
            about_bytes(least)
        ));
    }
    warn_of_memory(count, memory, &surroundings.machine, warnings);
    let blocking_threads = match blocking_threads? {
        Some(threads) => threads as usize,
        None => share_of_cores(read, &surroundings.machine, count),
    };
    let (recycle_rss, kill_rss) = thresholds(read, recycle?, kill?, memory)?;
    let max_requests = Some(max_requests?).filter(|requests| *requests > 0);
    let max_requests_jitter = max_requests_jitter?;
    if max_requests.is_none() && max_requests_jitter > 0 {
        warnings.push(
            "workers.max_requests_jitter is added to nothing: workers.max_requests is 0, never"
                .to_owned(),
        );
    }
    Some(Workers {
        count,
        backlog: backlog? as u32,
        accept: accept?,
        memory,
        boot_timeout: boot_timeout?,
        heartbeat_timeout: heartbeat_timeout?,
        max_requests,
        max_requests_jitter,
        max_lifetime: Some(max_lifetime?).filter(|lifetime| !lifetime.is_zero()),
        recycle_rss,
        kill_rss,
        blocking_threads,
        blocking_queue: blocking_queue? as usize,
    })
}

/// Threads for guests that burn: all workers together have one for each core, or a few more.
fn share_of_cores(read: &mut Reader<'_>, machine: &Machine, workers: usize) -> usize {
    let cores = machine.cores();
    let threads = ((cores / workers as f64).ceil() as usize).max(1);
    let reason = format!("{} for {}", plural(cores), plural_workers(workers));
    let source = read.source(BLOCKING_THREADS);
    read.record(BLOCKING_THREADS, threads.to_string(), &source, Some(reason));
    threads
}

/// Too many for the cores, or only one where nobody watches.
fn warn_of_count(
    count: usize,
    surroundings: &Surroundings<'_>,
    least: u64,
    warnings: &mut Vec<String>,
) {
    let machine = &surroundings.machine;
    if oversubscribed(count, machine) {
        let (cores, most) = (plural(machine.cores()), most(machine));
        warnings.push(format!(
            "{count} workers contend for {cores}: more than 2 for each; try {most} or fewer"
        ));
    }
    if count == 1 && !surroundings.terminal {
        let room = !oversubscribed(2, machine) && room_for(2, machine, least);
        let remedy =
            if room { "try --workers 2" } else { "give it the cores and the memory for two" };
        warnings.push(format!(
            "one worker: nobody answers while it is stuck, or replaced after a crash; {remedy}"
        ));
    }
}

/// More than there is: the kernel would end a worker before its budget does.
fn warn_of_memory(count: usize, memory: u64, machine: &Machine, warnings: &mut Vec<String>) {
    let all = memory.saturating_mul(count as u64);
    if let Some(there) = machine.memory().filter(|there| all > *there) {
        warnings.push(format!(
            "{} may take {} each, {} together, and there are only {}: the kernel would kill one \
             before its budget is spent; lower workers.memory or workers.count",
            plural_workers(count),
            about_bytes(memory),
            about_bytes(all),
            about_bytes(there)
        ));
    }
}

/// `workers.memory = "auto"`, in whole mebibytes.
fn share_of_all(read: &mut Reader<'_>, machine: &Machine, count: usize) -> u64 {
    let (memory, reason) = match (machine.memory(), machine.memory_limit()) {
        (Some(all), limit) => {
            let whose = if limit.is_some() { "the memory limit" } else { "the machine's" };
            let memory = (budget(all, count) / LEAST * LEAST).clamp(LEAST_SHARE, MOST);
            let (all, workers) = (about_bytes(all), plural_workers(count));
            (memory, format!("{WORKERS_SHARE}% of {whose} {all} / {workers}"))
        }
        (None, _) => (MOST, "no limit, for none is known".to_owned()),
    };
    let source = read.source(MEMORY);
    read.record(MEMORY, BUDGET.show(&memory), &source, Some(reason));
    memory
}

/// Bytes at which a worker is replaced, and at which it is killed.
fn thresholds(read: &mut Reader<'_>, recycle: Part, kill: Part, memory: u64) -> Option<(u64, u64)> {
    let (recycle_rss, kill_rss) = (recycle.of(memory), kill.of(memory));
    for (key, part, bytes) in [(RECYCLE, recycle, recycle_rss), (KILL, kill, kill_rss)] {
        if matches!(part, Part::Percent(_)) {
            let source = read.source(key);
            let reason = Some(about_bytes(bytes));
            read.record(key, Share(BUDGET).show(&part), &source, reason);
        }
    }
    if kill_rss < AN_IDLE_WORKER {
        let problem = format!(
            "every worker would be killed at {}: an idle one has {}",
            about_bytes(kill_rss),
            about_bytes(AN_IDLE_WORKER)
        );
        let source = read.source(KILL);
        read.fail(KILL, source, problem, format!("raise it, or {MEMORY}"));
        return None;
    }
    if kill_rss > recycle_rss {
        return Some((recycle_rss, kill_rss));
    }
    let (of_recycle, of_kill) = (read.source(RECYCLE), read.source(KILL));
    // Names the one that was set.
    let (key, source) =
        if of_kill == Source::Default { (RECYCLE, of_recycle) } else { (KILL, of_kill) };
    let problem = format!(
        "a worker would be killed at {} before it is replaced at {}",
        about_bytes(kill_rss),
        about_bytes(recycle_rss)
    );
    read.fail(key, source, problem, format!("raise {KILL} above {RECYCLE}"));
    None
}
