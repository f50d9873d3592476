//! Listeners that whoever started the server has already opened.

use std::os::fd::{AsFd, OwnedFd};

use remuda_config::BoundAddress;
use rustix::{
    io::Errno,
    net::{
        SocketType,
        sockopt::{socket_acceptconn, socket_type},
    },
};
use socket2::SockRef;

use super::{BindError, Listener, Owner};
use crate::sys;

/// Takes a copy of descriptor `number`, which must be a listening stream socket.
pub(super) fn adopt(number: i32) -> Result<Listener, BindError> {
    let refuse = |problem| BindError::Descriptor { number, problem };
    let socket = sys::duplicate(number).map_err(|_| refuse("it is not open"))?;
    if let Some(problem) = problem_of(&socket) {
        return Err(refuse(problem));
    }
    let failed = |source| BindError::Other { address: format!("fd:{number}"), source };
    let reference = SockRef::from(&socket);
    reference.set_nonblocking(true).map_err(failed)?;
    let local = reference.local_addr().map_err(failed)?;
    let tcp = local.as_socket().map(BoundAddress::Tcp);
    let address =
        tcp.or_else(|| local.as_pathname().map(|path| BoundAddress::Unix(path.to_owned())));
    let address = address.ok_or_else(|| refuse("it has no IP address and no path"))?;
    Ok(Listener { address, owner: Owner::Others, socket })
}

/// Why a descriptor is no listening stream socket, if it is none.
pub(crate) fn problem_of(descriptor: &OwnedFd) -> Option<&'static str> {
    match (socket_acceptconn(descriptor.as_fd()), socket_type(descriptor.as_fd())) {
        (Ok(true), Ok(SocketType::STREAM)) => None,
        (Ok(true), Ok(_)) => Some("it is not a stream socket"),
        (Ok(false), _) => Some("it is not a listening socket"),
        (Err(Errno::NOTSOCK), _) => Some("it is not a socket"),
        (Err(_), _) | (_, Err(_)) => Some("it cannot be examined"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        net::{TcpListener, TcpStream},
        os::{fd::AsRawFd, unix::net::UnixListener},
    };

    fn refusal(number: i32) -> String {
        adopt(number).expect_err("refused").to_string()
    }

    #[test]
    fn a_listening_socket_is_taken_with_its_address() {
        let given = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = given.local_addr().expect("an address");
        let adopted = adopt(given.as_raw_fd()).expect("adopted");
        assert_eq!(adopted.address, BoundAddress::Tcp(address));
        drop(given);
        TcpStream::connect(address).expect("the copy still listens");
    }

    #[test]
    fn a_unix_socket_is_taken_and_its_file_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("given.sock");
        let given = UnixListener::bind(&path).expect("a listener");
        drop(adopt(given.as_raw_fd()).expect("adopted"));
        assert!(path.exists());
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        assert!(refusal(-1).starts_with("failed to bind fd:-1: it is not open; "));
        assert!(refusal(9999).contains("it is not open"));
        let file = File::open("/dev/null").expect("a file");
        assert!(refusal(file.as_raw_fd()).contains("it is not a socket"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let client =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("a client");
        assert!(refusal(client.as_raw_fd()).contains("it is not a listening socket"));
    }
}
