//! What the kernel knows of processes and their sockets (proc(5)).

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

pub use rustix::process::{Pid, Signal};
use rustix::process::{kill_process, test_kill_process};

/// Sends a signal. A process that has gone needs none.
pub fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        assert!(!exists(pid), "failed to signal {pid:?}: {error}");
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

/// Which of these processes holds the end at `local` of a TCP connection with `peer`.
#[must_use]
pub fn holder(local: SocketAddr, peer: SocketAddr, among: &[Pid]) -> Option<Pid> {
    let inode = TcpTable::read().socket(local, peer)?.inode;
    let link = format!("socket:[{inode}]");
    let holds = |pid: &Pid| {
        let descriptors = fs::read_dir(folder(*pid).join("fd")).into_iter().flatten().flatten();
        let mut links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|target| target.to_str() == Some(&link))
    };
    among.iter().copied().find(holds)
}

/// All TCP sockets over IPv4 at one moment: `/proc/net/tcp`. Reading it takes a while where
/// many connections have been closed lately.
pub(crate) struct TcpTable(String);

struct TcpSocket {
    unsent: u64,
    unread: u64,
    inode: u64,
}

impl TcpTable {
    pub(crate) fn read() -> Self {
        Self(fs::read_to_string("/proc/net/tcp").expect("a table of TCP sockets"))
    }

    /// Whether everything that was sent from `local` to `peer` has been read there.
    pub(crate) fn has_been_read(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let sent = self.socket(local, peer).is_some_and(|ours| ours.unsent == 0);
        let read = |theirs: TcpSocket| theirs.unread == 0 && theirs.inode != NOT_ACCEPTED;
        sent && self.socket(peer, local).is_some_and(read)
    }

    /// The end at `local` of a connection with `peer`.
    fn socket(&self, local: SocketAddr, peer: SocketAddr) -> Option<TcpSocket> {
        let ends = format!(" {} {} ", hexadecimal(local), hexadecimal(peer));
        let start = self.0.find(&ends)? + ends.len();
        // STATE UNSENT:UNREAD TIMER:WHEN RETRANSMITS USER TIMEOUT INODE
        let mut fields = self.0[start..].split_whitespace().skip(1);
        let (unsent, unread) = fields.next()?.split_once(':')?;
        Some(TcpSocket {
            unsent: u64::from_str_radix(unsent, 16).ok()?,
            unread: u64::from_str_radix(unread, 16).ok()?,
            inode: fields.nth(4)?.parse().ok()?,
        })
    }
}

/// The inode of a connection that waits to be accepted.
const NOT_ACCEPTED: u64 = 0;

/// `0100007F:1F90`, the address in the byte order of the machine.
fn hexadecimal(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
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
