//! What the kernel knows of processes and their sockets (proc(5)).

mod starved;
mod tcp;

use std::{fs, path::PathBuf, time::Duration};

pub use rustix::process::{Pid, Signal};
use rustix::{
    process::{Resource, getrlimit, kill_process, setrlimit, test_kill_process},
    thread::{CpuSet, sched_getaffinity},
};
pub use starved::{Starved, starve_main_thread};
pub(crate) use tcp::TcpTable;
pub use tcp::{Listener, connections, holder, listeners};

use crate::wait;

/// Sends a signal. A process that has gone needs none.
pub fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        assert!(!exists(pid), "failed to signal {pid:?}: {error}");
    }
}

/// A process that is stopped until this is dropped, if it still exists then.
#[derive(Debug)]
pub struct Stopped(Pid);

/// Stops a process (SIGSTOP): nothing in it runs.
///
/// # Panics
/// When it does not stop.
pub async fn stop(pid: Pid) -> Stopped {
    signal(pid, Signal::STOP);
    let is_stopped = || stat(pid).is_some_and(|stat| stat.state == 'T').then_some(());
    wait::until("a process to stop", is_stopped).await;
    Stopped(pid)
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if exists(self.0) {
            signal(self.0, Signal::CONT);
        }
    }
}

/// Whether the process exists, if only as a zombie.
#[must_use]
pub fn exists(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// Whether the process exists and has not ended.
#[must_use]
pub fn is_running(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Its child processes, the eldest first.
#[must_use]
pub fn children(parent: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut children: Vec<Pid> = pids
        .filter_map(Pid::from_raw)
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent.as_raw_pid()))
        .collect();
    children.sort_by_key(|pid| pid.as_raw_pid());
    children
}

/// The command line, program first.
#[must_use]
pub fn arguments(pid: Pid) -> Vec<String> {
    let line = fs::read(folder(pid).join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    line.split_terminator('\0').map(str::to_owned).collect()
}

/// Resident memory in bytes.
#[must_use]
pub fn resident_bytes(pid: Pid) -> u64 {
    let status = fs::read_to_string(folder(pid).join("status")).unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    kibibytes.expect("a running process has resident memory") * 1024
}

/// Processor time that it has used, of user and kernel; zero if it has gone.
///
/// # Panics
/// When `/proc` is not as proc(5) says.
#[must_use]
pub fn processor_time(pid: Pid) -> Duration {
    let text = fs::read_to_string(folder(pid).join("stat")).unwrap_or_default();
    let Some((_, fields)) = text.rsplit_once(") ") else { return Duration::ZERO };
    // Counted from the state, which is the third.
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>());
    let ticks: u64 = ticks.map(|ticks| ticks.expect("a number of ticks")).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// Has this process open as many files as it may.
///
/// # Panics
/// When the kernel refuses.
pub fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit that we may raise");
}

/// What it has mapped, as in proc_pid_smaps(5); empty if it has gone.
#[must_use]
pub fn memory_map(pid: Pid) -> String {
    fs::read_to_string(folder(pid).join("smaps")).unwrap_or_default()
}

/// What the kernel adds to its score when it looks for something to kill
/// (`oom_score_adj`, proc(5)).
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn oom_score_adjustment(pid: Pid) -> i32 {
    let text = fs::read_to_string(folder(pid).join("oom_score_adj")).expect("a process");
    text.trim().parse().expect("a number")
}

/// Whether this signal was sent to a process that has not handled it, because it is stopped.
#[must_use]
pub fn is_pending(pid: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(folder(pid).join("status")).unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let set = pending.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & 1 << (signal.as_raw() - 1) != 0)
}

/// Processors that it may run on.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn processors(pid: Pid) -> Vec<usize> {
    let set = sched_getaffinity(Some(pid)).expect("a process");
    (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect()
}

/// How many threads it has.
///
/// # Panics
/// When it has gone.
#[must_use]
pub fn threads(pid: Pid) -> usize {
    fs::read_dir(folder(pid).join("task")).expect("a running process").count()
}

/// How many files it has open.
#[must_use]
pub fn descriptors(pid: Pid) -> usize {
    open_files(pid).len()
}

/// What its open files are: paths, or `socket:[INODE]`. Empty if it has gone.
fn open_files(pid: Pid) -> Vec<PathBuf> {
    let descriptors = fs::read_dir(folder(pid).join("fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

struct Stat {
    state: char,
    parent: i32,
}

fn stat(pid: Pid) -> Option<Stat> {
    let text = fs::read_to_string(folder(pid).join("stat")).ok()?;
    // `PID (NAME) STATE PARENT …`, and the name may contain anything.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some(Stat { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

fn folder(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", pid.as_raw_pid()))
}
