//! CPU time and memory of a process and all its descendants, from /proc.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context as _, Result};

/// User and system time of `root` and everything below it that still lives.
pub(crate) fn cpu_time(root: u32) -> Result<Duration> {
    let ticks = tree(root)?.values().map(|stat| ticks(stat)).sum::<Result<u64>>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// `root` and everything below it.
pub(crate) fn pids(root: u32) -> Result<Vec<u32>> {
    let mut pids: Vec<u32> = tree(root)?.into_keys().collect();
    pids.sort_unstable_by_key(|pid| (*pid != root, *pid));
    Ok(pids)
}

/// Whether a process lives and is a server's: Python's `multiprocessing` starts helpers beside
/// its workers that no reload replaces.
pub(crate) fn works(pid: u32) -> bool {
    let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    !command.is_empty() && !String::from_utf8_lossy(&command).contains("resource_tracker")
}

/// Memory in KiB, what is shared counted in parts (PSS, proc_pid_smaps(5)): of `root`, then of
/// everything below it in the order of pids.
pub(crate) fn memory(root: u32) -> Result<Vec<u64>> {
    pids(root)?.into_iter().map(proportional).collect()
}

fn proportional(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let size = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
    size.and_then(|size| size.parse().ok()).with_context(|| format!("{path} has an unknown form"))
}

/// What /proc says of `root` and everything below it.
fn tree(root: u32) -> Result<HashMap<u32, String>> {
    let mut stats = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while the folder is read.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            stats.insert(pid, stat);
        }
    }
    let below = |pid| descends(&stats, pid, root);
    let pids: Vec<u32> = stats.keys().copied().filter(|pid| below(*pid)).collect();
    Ok(pids.into_iter().filter_map(|pid| stats.remove_entry(&pid)).collect())
}

fn descends(stats: &HashMap<u32, String>, mut pid: u32, root: u32) -> bool {
    loop {
        if pid == root {
            return true;
        }
        match stats.get(&pid).and_then(|stat| field(stat, PARENT)) {
            Some(parent) => pid = parent,
            None => return false,
        }
    }
}

fn ticks(stat: &str) -> Result<u64> {
    let time = |index| field::<u64>(stat, index).context("/proc/PID/stat has an unknown form");
    Ok(time(USER_TIME)? + time(SYSTEM_TIME)?)
}

/// Positions in proc_pid_stat(5), counted from the field after the command's name.
const PARENT: usize = 1;
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

fn field<T: std::str::FromStr>(stat: &str, index: usize) -> Option<T> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(index)?.parse().ok()
}
