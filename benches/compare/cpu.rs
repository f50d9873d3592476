//! CPU time of a process and all its descendants, from /proc.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context as _, Result};

/// User and system time of `root` and everything below it that still lives.
pub(crate) fn of_tree(root: u32) -> Result<Duration> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while the folder is read.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            parents.insert(pid, stat);
        }
    }
    let ticks = parents
        .iter()
        .filter(|&(&pid, _)| descends(&parents, pid, root))
        .map(|(_, stat)| ticks(stat))
        .sum::<Result<u64>>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
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
