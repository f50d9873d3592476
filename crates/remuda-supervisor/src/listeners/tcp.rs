//! TCP listeners: host names, all interfaces, IPv4 and IPv6.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
};

use remuda_config::BoundAddress;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{BindError, Listener, Owner};

const DENIED: &str = "ports below 1024 need CAP_NET_BIND_SERVICE, others do not";

/// Binds every address of `host`; an empty host means all interfaces.
pub(super) fn bind(host: &str, port: u16, backlog: i32) -> Result<Vec<Listener>, BindError> {
    if host.is_empty() {
        return all_interfaces(port, backlog).map(|listener| vec![listener]);
    }
    let mut listeners = Vec::new();
    let mut absent = None;
    for address in resolve(host, port)? {
        match listen(address, backlog) {
            Ok(listener) => listeners.push(listener),
            // Names like localhost often have an IPv6 address on machines without IPv6.
            Err(error) if family_is_off(&error) => absent = Some((address, error)),
            Err(error) => return Err(BindError::new(address.to_string(), error, DENIED)),
        }
    }
    match absent {
        Some((address, error)) if listeners.is_empty() => {
            Err(BindError::new(address.to_string(), error, DENIED))
        }
        Some((address, error)) => {
            tracing::warn!(%address, %error, host, "one address of the host is not bound");
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

/// One socket for IPv6 and IPv4, or for IPv4 where IPv6 is turned off.
fn all_interfaces(port: u16, backlog: i32) -> Result<Listener, BindError> {
    let every = |ip: IpAddr| listen(SocketAddr::new(ip, port), backlog);
    let listener = match every(Ipv6Addr::UNSPECIFIED.into()) {
        Err(error) if family_is_off(&error) => every(Ipv4Addr::UNSPECIFIED.into()),
        other => other,
    };
    listener.map_err(|error| BindError::new(format!(":{port}"), error, DENIED))
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, BindError> {
    let unknown = |source| BindError::UnknownHost { address: format!("{host}:{port}"), source };
    let mut addresses = Vec::new();
    for address in (host, port).to_socket_addrs().map_err(unknown)? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(unknown(io::Error::other("the name has no address")));
    }
    Ok(addresses)
}

/// One socket more on the address of a `first` one, whether that was alone so far or not.
///
/// All sockets of a group have `SO_REUSEPORT`, and so could a second server's that is
/// started by mistake: it would take half of the connections. Therefore the first one is
/// bound without, which fails if anybody listens, and gets it when there is a second one.
pub(super) fn join(
    address: SocketAddr,
    first: &Listener,
    backlog: i32,
) -> Result<Listener, BindError> {
    let joined = || {
        SockRef::from(first).set_reuse_port(true)?;
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        start(socket, address, backlog)
    };
    joined().map_err(|error| BindError::new(address.to_string(), error, DENIED))
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<Listener> {
    start(open(address)?, address, backlog)
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it, connections of a predecessor in TIME_WAIT block the address.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

fn start(socket: Socket, address: SocketAddr, backlog: i32) -> io::Result<Listener> {
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    let owner = Owner::Us { file: None };
    Ok(Listener { address: BoundAddress::Tcp(bound), owner, socket: socket.into() })
}

fn family_is_off(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn port(listener: &Listener) -> u16 {
        match &listener.address {
            BoundAddress::Tcp(address) => address.port(),
            BoundAddress::Unix(path) => panic!("bound {}", path.display()),
        }
    }

    #[test]
    fn port_0_becomes_a_real_port_that_answers() {
        let listeners = bind("127.0.0.1", 0, 16).expect("bound");
        TcpStream::connect(("127.0.0.1", port(&listeners[0]))).expect("connected");
    }

    #[test]
    fn a_name_and_an_ipv6_address_are_bound() {
        assert!(!bind("localhost", 0, 16).expect("bound").is_empty());
        if TcpListener::bind("[::1]:0").is_ok() {
            assert_eq!(bind("::1", 0, 16).expect("bound").len(), 1);
        }
    }

    #[test]
    fn no_host_means_every_interface() {
        let listeners = bind("", 0, 16).expect("bound");
        TcpStream::connect(("127.0.0.1", port(&listeners[0]))).expect("connected");
    }

    #[test]
    fn a_conflict_names_the_address_and_the_remedy() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let taken = other.local_addr().expect("an address").port();

        let error = bind("127.0.0.1", taken, 16).expect_err("a conflict");

        assert_eq!(
            error.to_string(),
            format!(
                "failed to bind 127.0.0.1:{taken}: address in use; stop what listens there or \
                 choose another address with --bind"
            )
        );
    }

    #[test]
    fn a_group_of_another_server_is_a_conflict() {
        let first = bind("127.0.0.1", 0, 16).expect("bound").remove(0);
        let BoundAddress::Tcp(address) = first.address else { panic!("not TCP") };
        let _second = join(address, &first, 16).expect("joined");
        let error = bind("127.0.0.1", address.port(), 16).expect_err("a conflict");
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }

    #[test]
    fn sockets_for_all_interfaces_are_joined_as_well() {
        let first = bind("", 0, 16).expect("bound").remove(0);
        let BoundAddress::Tcp(address) = first.address else { panic!("not TCP") };
        let second = join(address, &first, 16).expect("joined");
        assert_eq!(second.address, first.address);
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let error = bind("192.0.2.1", 0, 16).expect_err("not ours");
        assert!(matches!(error, BindError::NotHere { .. }), "{error}");
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = bind("no host has this name", 0, 16).expect_err("unknown");
        assert!(matches!(error, BindError::UnknownHost { .. }), "{error}");
    }
}
