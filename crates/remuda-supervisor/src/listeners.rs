//! The listening sockets of the server.
//!
//! Owner: the supervisor binds them before anything else starts and keeps them until a
//! drain begins; workers inherit copies. Invariant: every socket in a [`Listeners`] is
//! listening, non-blocking, and closed in children that are not handed it.
//!
//! With `accept = "shared"` all workers accept from the same sockets. With `"reuseport"`
//! every slot has a TCP socket of its own for each address, which outlives the worker: what
//! is in its queue when a worker goes is accepted by the next one in this slot. Unix
//! sockets and those that were passed to the server are shared in any case, as nobody can
//! open a second one.
//!
//! Slots come and go in three steps each, so that no connection waits for a worker that is
//! not there: sockets [`grow`](Listeners::grow), the workers become ready, connections are
//! [directed](Listeners::direct_to) to them as well; and connections are directed to fewer,
//! the others' workers empty their queues and go, their sockets are
//! [closed](Listeners::close_beyond).

mod error;
mod group;
mod inherited;
mod last_call;
mod listener;
mod steer;
mod tcp;
pub(crate) mod unix;

use std::{collections::VecDeque, fs};

use remuda_config::{Accept, BindAddress, BoundAddress};

use crate::upgrade::{Handover, Offer, SocketKind, Taken};
use group::Group;
use listener::Owner;

pub use error::BindError;
pub(crate) use inherited::problem_of;
pub(crate) use listener::Listener;
pub(crate) use unix::SocketInode;

/// All listening sockets, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Listeners {
    groups: Vec<Group>,
    accept: Accept,
    backlog: i32,
}

/// Whether new connections are directed to a socket.
type IsOpen = bool;

impl Listeners {
    /// Binds every address, a host name with several addresses to all of them; what a
    /// predecessor has handed over is taken instead.
    ///
    /// # Errors
    /// When one of them cannot be bound; what was bound before it is closed again.
    pub(crate) fn bind(
        addresses: &[BindAddress],
        backlog: u32,
        accept: Accept,
        slots: usize,
        mut handover: Option<&mut Handover>,
    ) -> Result<Self, BindError> {
        // Inherited descriptors come first: a socket opened here could be given the
        // number of one that was promised and is not there.
        let mut inherited = VecDeque::new();
        for address in addresses {
            if let (BindAddress::Descriptor(number), None) = (address, &handover) {
                inherited.push_back(inherited::adopt(*number)?);
            }
        }
        let queue = i32::try_from(backlog).unwrap_or(i32::MAX);
        let mut listeners = Self { groups: Vec::new(), accept, backlog: queue };
        let width = listeners.width(slots);
        for (place, address) in addresses.iter().enumerate() {
            let taken = take(SocketKind::Bind, address, queue, handover.as_deref_mut())?;
            for (sockets, open) in by_address(taken) {
                let mut group = Group::new(place, configured(address), sockets, open);
                group.grow(width, queue)?;
                listeners.groups.push(group);
            }
            if listeners.groups.last().is_some_and(|group| group.place == place) {
                continue;
            }
            let new =
                match inherited.pop_front_if(|_| matches!(address, BindAddress::Descriptor(_))) {
                    Some(listener) => vec![listener],
                    None => open(address, queue, handover.is_some())?,
                };
            for socket in new {
                let mut group = Group::new(place, configured(address), vec![socket], 1);
                group.fill(width, queue)?;
                listeners.groups.push(group);
            }
        }
        warn_if_clamped(backlog);
        Ok(listeners)
    }

    /// What the worker of a slot inherits: one socket for each address.
    pub(crate) fn for_slot(&self, slot: usize) -> impl Iterator<Item = &Listener> {
        self.groups.iter().filter_map(move |group| group.for_slot(slot, self.accept))
    }

    /// One socket for each address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.groups.iter().filter_map(|group| group.sockets.first())
    }

    /// Opens sockets until there is one for each of so many slots. They get no connections
    /// before [`direct_to`](Self::direct_to) says so; sockets that are there are kept.
    ///
    /// # Errors
    /// When a socket cannot be opened; those that could are kept.
    pub(crate) fn grow(&mut self, slots: usize) -> Result<(), BindError> {
        let (slots, backlog) = (self.width(slots), self.backlog);
        self.groups.iter_mut().try_for_each(|group| group.grow(slots, backlog))
    }

    /// From now on new connections go to the first `slots` slots only, among those that
    /// have sockets. What is in the queues of the others can still be accepted.
    pub(crate) fn direct_to(&mut self, slots: usize) {
        let slots = self.width(slots);
        self.groups.iter_mut().for_each(|group| group.direct_to(slots));
    }

    /// Closes the sockets of the slots from `slots` on, unless connections are directed to
    /// them. No worker of these slots may live: the kernel sees a socket closed when the
    /// last copy is, and its order matters.
    pub(crate) fn close_beyond(&mut self, slots: usize) {
        let slots = self.width(slots);
        self.groups.iter_mut().for_each(|group| group.close_beyond(slots));
    }

    /// Lets no new client in, so that workers can empty the accept queues: what was in
    /// them when the sockets are closed would be reset. Sockets of others go on, for
    /// whoever takes them next.
    pub(crate) fn last_call(&self) {
        let ours = self.all().filter(|listener| matches!(listener.owner, Owner::Us { .. }));
        for listener in ours.filter(|listener| matches!(listener.address, BoundAddress::Tcp(_))) {
            if let Err(error) = last_call::refuse_new_connections(listener) {
                tracing::debug!(%error, address = %listener.address, "the accept queue stays open");
            }
        }
    }

    /// A successor serves what it has taken: from now on that is neither closed for new
    /// clients nor removed from the file system by this server.
    pub(crate) fn leave_to_successor(&mut self, taken: &Taken) {
        for group in &mut self.groups {
            for (slot, socket) in group.sockets.iter_mut().enumerate() {
                if taken.has(SocketKind::Bind, &socket.address, slot) {
                    socket.leave();
                }
            }
        }
    }

    /// The predecessor lets go of what it has handed over: from now on it is ours.
    pub(crate) fn take_over(&mut self) {
        let sockets = self.groups.iter_mut().flat_map(|group| &mut group.sockets);
        sockets.for_each(Listener::take_over);
    }

    /// Everything that a successor can take, with the descriptors still to be numbered.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (Offer, &Listener)> {
        self.groups.iter().flat_map(|group| {
            group.sockets.iter().enumerate().map(move |(slot, socket)| {
                let offer = socket.offer(SocketKind::Bind, &group.configured);
                let is_open = group.is_open(slot);
                (Offer { place: group.place, slot, is_open, ..offer }, socket)
            })
        })
    }

    /// `http://127.0.0.1:8000`, `unix:/run/app.sock`; with TLS, `https://127.0.0.1:8000`.
    pub(crate) fn addresses(&self, has_tls: bool) -> Vec<String> {
        let shown = |listener: &Listener| match &listener.address {
            BoundAddress::Tcp(address) if has_tls => format!("https://{address}"),
            address => address.to_string(),
        };
        self.iter().map(shown).collect()
    }

    /// The most sockets that an address has.
    pub(crate) fn widest(&self) -> usize {
        self.groups.iter().map(|group| group.sockets.len()).max().unwrap_or_default()
    }

    fn all(&self) -> impl Iterator<Item = &Listener> {
        self.groups.iter().flat_map(|group| &group.sockets)
    }

    /// Sockets per address.
    fn width(&self, slots: usize) -> usize {
        match self.accept {
            Accept::Shared => 1,
            Accept::ReusePort => slots.max(1),
        }
    }
}

/// How a successor recognizes an address: as it is written, for names may come to mean
/// something else, and without what does not tell one socket from another.
pub(crate) fn configured(address: &BindAddress) -> String {
    match address {
        BindAddress::Unix { path, .. } => {
            BindAddress::Unix { path: path.clone(), mode: None }.to_string()
        }
        other => other.to_string(),
    }
}

/// What a predecessor has for this address, with the settings that may have changed.
fn take(
    kind: SocketKind,
    address: &BindAddress,
    queue: i32,
    handover: Option<&mut Handover>,
) -> Result<Vec<(Listener, IsOpen)>, BindError> {
    let Some(handover) = handover else { return Ok(Vec::new()) };
    let taken = handover.take(kind, &configured(address)).into_iter();
    let taken: Vec<_> = taken
        .map(|(offer, socket)| {
            let is_open = offer.is_open;
            (Listener::handed_over(offer, socket), is_open)
        })
        .collect();
    let failed = |source| BindError::Other { address: address.to_string(), source };
    for (listener, _) in taken.iter().filter(|(listener, _)| listener.may_have_siblings()) {
        rustix::net::listen(listener, queue).map_err(|error| failed(error.into()))?;
        if let BindAddress::Unix { path, mode: Some(mode) } = address {
            unix::change_mode(path, *mode).map_err(failed)?;
        }
    }
    Ok(taken)
}

/// Parts what was taken for a name with several addresses; with the number of open ones.
fn by_address(taken: Vec<(Listener, IsOpen)>) -> Vec<(Vec<Listener>, usize)> {
    let mut groups: Vec<(Vec<Listener>, usize)> = Vec::new();
    for (listener, is_open) in taken {
        match groups.iter_mut().find(|(group, _)| group[0].address == listener.address) {
            Some((group, open)) => {
                group.push(listener);
                *open += usize::from(is_open);
            }
            None => groups.push((vec![listener], usize::from(is_open))),
        }
    }
    groups
}

fn open(address: &BindAddress, queue: i32, is_handover: bool) -> Result<Vec<Listener>, BindError> {
    match address {
        BindAddress::Descriptor(number) if is_handover => Err(BindError::Descriptor {
            number: *number,
            // What is open under this number now is something else.
            problem: "the server that is upgraded did not have it",
        }),
        BindAddress::Tcp { host, port } => tcp::bind(host, *port, queue),
        BindAddress::Unix { path, mode } => Ok(vec![unix::bind(path, queue, *mode)?]),
        BindAddress::Descriptor(number) => Ok(vec![inherited::adopt(*number)?]),
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
    use std::os::fd::{AsFd, AsRawFd};

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
        let number = given.as_raw_fd();
        let tcp = BindAddress::Tcp { host: "127.0.0.1".into(), port: 0 };
        let asked = [
            tcp,
            BindAddress::Descriptor(number),
            BindAddress::Unix { path: path.clone(), mode: None },
        ];

        let listeners = Listeners::bind(&asked, 16, Accept::ReusePort, 3, None).expect("bound");

        let addresses = listeners.addresses(false).join(",");
        let parts: Vec<_> = addresses.split(',').collect();
        assert_eq!(parts.len(), 3, "{addresses}");
        assert!(parts[0].starts_with("http://127.0.0.1:"), "{addresses}");
        assert_eq!(parts[1], format!("http://{}", given.local_addr().expect("an address")));
        assert_eq!(parts[2], format!("unix:{}", path.display()));
    }

    #[test]
    fn every_slot_has_its_own_tcp_socket_and_shares_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let given = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let asked = [
            BindAddress::Tcp { host: "127.0.0.1".into(), port: 0 },
            BindAddress::Descriptor(given.as_raw_fd()),
            BindAddress::Unix { path: folder.path().join("app.sock"), mode: None },
        ];
        let mut listeners = Listeners::bind(&asked, 16, Accept::ReusePort, 2, None).expect("bound");
        let numbers = |listeners: &Listeners, slot| -> Vec<_> {
            listeners.for_slot(slot).map(|listener| listener.as_fd().as_raw_fd()).collect()
        };
        let (first, second) = (numbers(&listeners, 0), numbers(&listeners, 1));
        assert_ne!(first[0], second[0]);
        assert_eq!(first[1..], second[1..]);
        assert_eq!(first.len(), 3);
        assert_eq!(numbers(&listeners, 0), first, "a replacement gets the same");

        listeners.grow(3).expect("grown");
        let third = numbers(&listeners, 2);
        assert!(third[0] != first[0] && third[0] != second[0]);
        listeners.direct_to(2);
        listeners.close_beyond(2);
        assert_eq!(numbers(&listeners, 1), second);
    }

    #[test]
    fn shared_sockets_are_everybodys_and_do_not_grow() {
        let asked = [BindAddress::Tcp { host: "127.0.0.1".into(), port: 0 }];
        let mut listeners = Listeners::bind(&asked, 16, Accept::Shared, 4, None).expect("bound");
        listeners.grow(8).expect("grown");
        assert_eq!(listeners.all().count(), 1);
        listeners.direct_to(1);
        listeners.close_beyond(1);
        let all = (0..8).flat_map(|slot| listeners.for_slot(slot));
        let mut numbers: Vec<_> = all.map(|listener| listener.as_fd().as_raw_fd()).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 1);
    }
}
