//! TCP sockets: which process holds which, and what waits in them.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::{Pid, open_files};

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub inode: u64,
    /// Connections that wait to be accepted.
    pub queued: u64,
}

/// The sockets that listen at this address; several where the port is shared.
#[must_use]
pub fn listeners(address: SocketAddr) -> Vec<Listener> {
    let rows = TcpTable::read().rows_at(address);
    let listening = rows.into_iter().filter(|row| row.state == LISTEN);
    listening.map(|row| Listener { inode: row.inode, queued: row.unread }).collect()
}

/// How many connections to this address each of these processes has accepted and not
/// closed, in their order.
#[must_use]
pub fn connections(address: SocketAddr, holders: &[Pid]) -> Vec<usize> {
    let rows = TcpTable::read().rows_at(address);
    let established: Vec<String> =
        rows.iter().filter(|row| row.state == ESTABLISHED).map(|row| link(row.inode)).collect();
    let is_one = |file: &Path| established.iter().any(|link| file == Path::new(link));
    let held = |pid: &Pid| open_files(*pid).iter().filter(|file| is_one(file)).count();
    holders.iter().map(held).collect()
}

/// Which of these processes holds the end at `local` of a TCP connection with `peer`.
#[must_use]
pub fn holder(local: SocketAddr, peer: SocketAddr, among: &[Pid]) -> Option<Pid> {
    let link = link(TcpTable::read().socket(local, peer)?.inode);
    let holds = |pid: &Pid| open_files(*pid).iter().any(|file| file == Path::new(&link));
    among.iter().copied().find(holds)
}

/// All TCP sockets over IPv4 at one moment: `/proc/net/tcp`. Reading it takes a while where
/// many connections have been closed lately.
pub(crate) struct TcpTable(String);

struct Row {
    state: u8,
    unsent: u64,
    /// Bytes, or connections of a socket that listens.
    unread: u64,
    inode: u64,
}

/// States of a socket (`include/net/tcp_states.h` of Linux).
const ESTABLISHED: u8 = 0x01;
const LISTEN: u8 = 0x0a;

impl TcpTable {
    pub(crate) fn read() -> Self {
        Self(fs::read_to_string("/proc/net/tcp").expect("a table of TCP sockets"))
    }

    /// Whether everything that was sent from `local` to `peer` has been read there.
    pub(crate) fn has_been_read(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let sent = self.socket(local, peer).is_some_and(|ours| ours.unsent == 0);
        let read = |theirs: Row| theirs.unread == 0 && theirs.inode != NOT_ACCEPTED;
        sent && self.socket(peer, local).is_some_and(read)
    }

    /// The end at `local` of a connection with `peer`.
    fn socket(&self, local: SocketAddr, peer: SocketAddr) -> Option<Row> {
        let ends = format!(" {} {} ", hexadecimal(local), hexadecimal(peer));
        Row::parse(&self.0[self.0.find(&ends)? + ends.len()..])
    }

    /// All sockets with this end.
    fn rows_at(&self, local: SocketAddr) -> Vec<Row> {
        let local = format!(" {} ", hexadecimal(local));
        let row = |line: &str| {
            let (before, after) = line.split_once(&local)?;
            // `NUMBER: LOCAL PEER STATE …`; otherwise it is the peer.
            let is_local = before.trim_end().ends_with(':');
            is_local.then(|| Row::parse(after.split_once(' ')?.1)).flatten()
        };
        self.0.lines().filter_map(row).collect()
    }
}

impl Row {
    /// `STATE UNSENT:UNREAD TIMER:WHEN RETRANSMITS USER TIMEOUT INODE …`
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_whitespace();
        let state = u8::from_str_radix(fields.next()?, 16).ok()?;
        let (unsent, unread) = fields.next()?.split_once(':')?;
        Some(Self {
            state,
            unsent: u64::from_str_radix(unsent, 16).ok()?,
            unread: u64::from_str_radix(unread, 16).ok()?,
            inode: fields.nth(4)?.parse().ok()?,
        })
    }
}

/// The inode of a connection that waits to be accepted.
const NOT_ACCEPTED: u64 = 0;

fn link(inode: u64) -> String {
    format!("socket:[{inode}]")
}

/// `0100007F:1F90`, the address in the byte order of the machine.
fn hexadecimal(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_listener_shows_what_waits_and_who_holds_what() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("an address");
        let connect = || TcpStream::connect(address).expect("a connection");
        let this = Pid::from_raw(std::process::id().cast_signed()).expect("a pid");
        let client = connect();
        let server = socket.accept().expect("a connection").0;
        let _waits = [connect(), connect()];
        let [listener] = listeners(address)[..] else { panic!("one listener") };
        assert_eq!(listener.queued, 2);
        // Those that wait belong to nobody.
        assert_eq!(connections(address, &[this]), [1]);
        let ends = (server.local_addr().expect("an end"), client.local_addr().expect("an end"));
        assert_eq!(holder(ends.0, ends.1, &[this]), Some(this));
    }
}
