//! Closing a TCP listener without resetting anybody.
//!
//! A listening socket that is closed resets the connections in its accept queue, and under
//! load there are always some. So first a filter on the socket drops connection requests:
//! whoever sends one tries again a second later, and finds another server or none. What is
//! in the queue, or half-way there, can then be accepted.

use std::{io, os::fd::AsFd};

use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

/// The byte of a TCP header with the flags (RFC 9293, section 3.1), where the data of a
/// socket filter begins with that header.
const FLAGS_OFFSET: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Classic BPF (linux/filter.h): load a byte, mask it, compare it, return how much of the
/// packet is kept.
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// From now on the socket takes no connection requests, in all processes that share it.
pub(super) fn refuse_new_connections(listener: &impl AsFd) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_OFFSET),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, SYN),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

/// Takes that back.
pub(super) fn admit_new_connections(listener: &impl AsFd) -> io::Result<()> {
    let listener = SockRef::from(listener);
    match listener.detach_filter().map_err(|error| (Errno::from_io_error(&error), error)) {
        // There was none.
        Ok(()) | Err((Some(Errno::NOENT), _)) => Ok(()),
        Err((_, error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use super::*;

    #[test]
    fn whoever_is_in_the_queue_is_served_and_nobody_else_gets_in() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let queued = TcpStream::connect(address).expect("connected");
        refuse_new_connections(&listener).expect("filtered");
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        assert!(late.is_err(), "a connection request was taken");
        let (accepted, peer) = listener.accept().expect("accepted");
        assert_eq!(peer, queued.local_addr().expect("an address"));
        drop(accepted);
    }
}
