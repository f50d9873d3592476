//! The listening sockets of the server.
//!
//! Owner: the supervisor binds them before anything else starts and keeps them until a
//! drain begins; workers inherit copies. Invariant: every socket in a [`Listeners`] is
//! listening, non-blocking, and closed in children that are not handed it.

mod error;
mod inherited;
mod last_call;
mod tcp;
mod unix;

use std::{
    collections::VecDeque,
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use remuda_config::{BindAddress, BoundAddress};

pub use error::BindError;

/// All listening sockets, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<Listener>);

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: BoundAddress,
    /// Before the socket: while that is open, no other file can have the inode.
    _file: Option<unix::SocketFile>,
    /// Whether it was bound here, and serves nobody else when this server has ended.
    is_ours: bool,
    socket: OwnedFd,
}

impl Listeners {
    /// Binds every address, a host name with several addresses to all of them.
    ///
    /// # Errors
    /// When one of them cannot be bound; what was bound before it is closed again.
    pub(crate) fn bind(addresses: &[BindAddress], backlog: u32) -> Result<Self, BindError> {
        // Inherited descriptors come first: a socket opened here could be given the
        // number of one that was promised and is not there.
        let mut inherited = VecDeque::new();
        for address in addresses {
            if let BindAddress::Descriptor(number) = address {
                inherited.push_back(inherited::adopt(*number)?);
            }
        }
        let queue = i32::try_from(backlog).unwrap_or(i32::MAX);
        let mut listeners = Vec::new();
        for address in addresses {
            match address {
                BindAddress::Descriptor(_) => listeners.extend(inherited.pop_front()),
                BindAddress::Tcp { host, port } => listeners.extend(tcp::bind(host, *port, queue)?),
                BindAddress::Unix(path) => listeners.push(unix::bind(path, queue)?),
            }
        }
        warn_if_clamped(backlog);
        Ok(Self(listeners))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.0.iter()
    }

    /// Lets no new client in, so that workers can empty the accept queues: what was in
    /// them when the sockets are closed would be reset. Inherited sockets go on, for
    /// whoever takes them next.
    pub(crate) fn last_call(&self) {
        let ours = self.iter().filter(|listener| listener.is_ours);
        for listener in ours.filter(|listener| matches!(listener.address, BoundAddress::Tcp(_))) {
            if let Err(error) = last_call::refuse_new_connections(listener) {
                tracing::debug!(%error, address = %listener.address, "the accept queue stays open");
            }
        }
    }

    /// `http://127.0.0.1:8000,unix:/run/app.sock`
    pub(crate) fn addresses(&self) -> String {
        let addresses: Vec<_> = self.iter().map(|listener| listener.address.to_string()).collect();
        addresses.join(",")
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `listen()` accepts any length and silently takes the kernel's limit (listen(2)).
fn warn_if_clamped(backlog: u32) {
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn");
    if let Some(somaxconn) = limit.ok().and_then(|text| clamp(backlog, &text)) {
        tracing::warn!(
            backlog,
            somaxconn,
            "accept queue is shorter than asked, raise net.core.somaxconn"
        );
    }
}

/// What `backlog` becomes under the limit in `somaxconn`, if that is less.
fn clamp(backlog: u32, somaxconn: &str) -> Option<u32> {
    somaxconn.trim().parse().ok().filter(|limit| *limit < backlog)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_above_the_kernels_limit_is_noticed() {
        assert_eq!(clamp(2048, "128\n"), Some(128));
        assert_eq!(clamp(2048, "2048\n"), None);
        assert_eq!(clamp(2048, "4096\n"), None);
        assert_eq!(clamp(2048, "who knows"), None);
    }

    #[test]
    fn listeners_keep_the_order_of_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.sock");
        let given = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let number = std::os::fd::AsRawFd::as_raw_fd(&given);
        let tcp = BindAddress::Tcp { host: "127.0.0.1".into(), port: 0 };
        let asked = [tcp, BindAddress::Descriptor(number), BindAddress::Unix(path.clone())];

        let listeners = Listeners::bind(&asked, 16).expect("bound");

        let addresses = listeners.addresses();
        let parts: Vec<_> = addresses.split(',').collect();
        assert_eq!(parts.len(), 3, "{addresses}");
        assert!(parts[0].starts_with("http://127.0.0.1:"), "{addresses}");
        assert_eq!(parts[1], format!("http://{}", given.local_addr().expect("an address")));
        assert_eq!(parts[2], format!("unix:{}", path.display()));
    }
}
