//! All sockets that listen on one address.
//!
//! Owner: [`Listeners`](super::Listeners). Usually one, from which all workers accept;
//! with `accept = "reuseport"` one for every slot. Invariant: the order is that of the
//! kernel's group, since sockets join at the end and only the last ones are closed;
//! [`steer`] relies on it.

use remuda_config::{Accept, BoundAddress};

use super::{BindError, Listener, last_call, steer, tcp};

#[derive(Debug)]
pub(super) struct Group {
    /// The place of its address in the configuration.
    pub(super) place: usize,
    /// That address, as [`Offer`](crate::upgrade::Offer) has it.
    pub(super) configured: String,
    /// By slot; never empty.
    pub(super) sockets: Vec<Listener>,
    /// So many of them get new connections, the first ones.
    open: usize,
}

impl Group {
    pub(super) fn new(
        place: usize,
        configured: String,
        sockets: Vec<Listener>,
        open: usize,
    ) -> Self {
        Self { place, configured, open: open.clamp(1, sockets.len()), sockets }
    }

    /// Whether new connections go to this slot.
    pub(super) fn is_open(&self, slot: usize) -> bool {
        slot < self.open
    }

    /// What the worker of a slot accepts from.
    pub(super) fn for_slot(&self, slot: usize, accept: Accept) -> Option<&Listener> {
        let own = self.sockets.get(slot).filter(|_| accept == Accept::ReusePort);
        own.or(self.sockets.first())
    }

    /// Adds sockets until there is one for each of so many slots, with the kernel's own
    /// choice among them.
    pub(super) fn fill(&mut self, slots: usize, backlog: i32) -> Result<(), BindError> {
        self.extend(slots, backlog)?;
        self.open = self.sockets.len();
        Ok(())
    }

    /// Adds sockets until there is one for each of so many slots; they get no connections
    /// before [`direct_to`](Self::direct_to) says so.
    pub(super) fn grow(&mut self, slots: usize, backlog: i32) -> Result<(), BindError> {
        if !self.is_divisible() || self.sockets.len() >= slots {
            return Ok(());
        }
        // Before they join. It fails for a socket that was made to be the only one, and
        // then is tried again when there is a group.
        let early = steer::to_the_first(self.open, &self.sockets[0]);
        self.extend(slots, backlog)?;
        if early.is_err() {
            self.direct_to(self.open);
        }
        Ok(())
    }

    fn extend(&mut self, slots: usize, backlog: i32) -> Result<(), BindError> {
        let BoundAddress::Tcp(address) = self.sockets[0].address else { return Ok(()) };
        while self.is_divisible() && self.sockets.len() < slots {
            let sibling = tcp::join(address, &self.sockets[0], backlog)?;
            self.sockets.push(sibling);
        }
        Ok(())
    }

    /// From now on new connections go to the first `slots` sockets.
    pub(super) fn direct_to(&mut self, slots: usize) {
        self.open = slots.clamp(1, self.sockets.len());
        if self.sockets.len() == 1 {
            return;
        }
        let Err(error) = steer::to_the_first(self.open, &self.sockets[0]) else { return };
        let address = &self.sockets[0].address;
        tracing::debug!(%error, %address, "the kernel does not let us choose among sockets");
        self.filter();
    }

    /// What can be done without a program: sockets drop the connection requests that they
    /// are not to get. Whoever is sent to one of them asks again, and is delayed until it is
    /// closed.
    fn filter(&self) {
        for (slot, socket) in self.sockets.iter().enumerate() {
            let filtered = match self.is_open(slot) {
                true => last_call::admit_new_connections(socket),
                false => last_call::refuse_new_connections(socket),
            };
            if let Err(error) = filtered {
                tracing::debug!(%error, address = %socket.address, slot, "filter not changed");
            }
        }
    }

    /// Closes the sockets of all slots from `slots` on that get no new connections.
    pub(super) fn close_beyond(&mut self, slots: usize) {
        self.sockets.truncate(slots.max(self.open));
    }

    /// Whether every slot can have a socket of its own: a unix socket's path leads to one
    /// socket, and one that was passed to us is not ours to multiply.
    fn is_divisible(&self) -> bool {
        let first = &self.sockets[0];
        first.may_have_siblings() && matches!(first.address, BoundAddress::Tcp(_))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::{SocketAddr, TcpStream},
        os::fd::{AsFd, BorrowedFd},
        time::{Duration, Instant},
    };

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use socket2::{Domain, SockRef, Socket, Type};

    use super::*;

    /// A packet that was dropped is sent again after a second.
    const UNDELAYED: Duration = Duration::from_millis(900);

    fn group(slots: usize) -> Group {
        let first = tcp::bind("127.0.0.1", 0, 1024).expect("bound");
        let mut group = Group::new(0, "127.0.0.1:0".into(), first, 1);
        group.fill(slots, 1024).expect("filled");
        group
    }

    fn address(group: &Group) -> SocketAddr {
        let BoundAddress::Tcp(address) = group.sockets[0].address else { panic!("not TCP") };
        address
    }

    /// Connects, without anybody who accepts.
    fn connect(group: &Group, count: usize) -> Vec<TcpStream> {
        let address = address(group);
        let connect = |_| {
            let asked = Instant::now();
            let stream = TcpStream::connect_timeout(&address, UNDELAYED).expect("connected");
            assert!(asked.elapsed() < UNDELAYED, "a connection was delayed");
            stream
        };
        (0..count).map(connect).collect()
    }

    /// Waits until so many connections were in the queues; how many each socket had.
    fn accept(sockets: &[BorrowedFd<'_>], count: usize) -> Vec<usize> {
        let mut counts = vec![0; sockets.len()];
        while counts.iter().sum::<usize>() < count {
            let mut wanted: Vec<_> =
                sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
            let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
            assert_ne!(poll(&mut wanted, Some(&limit)).expect("polled"), 0, "lost: {counts:?}");
            for (slot, socket) in sockets.iter().enumerate() {
                while accept_one(socket).is_ok() {
                    counts[slot] += 1;
                }
            }
        }
        counts
    }

    fn accept_one(socket: &impl AsFd) -> io::Result<()> {
        SockRef::from(socket).accept().map(drop)
    }

    fn sockets(group: &Group) -> Vec<BorrowedFd<'_>> {
        group.sockets.iter().map(AsFd::as_fd).collect()
    }

    #[test]
    fn every_slot_has_a_socket_of_its_own_on_the_same_port() {
        let group = group(3);
        let clients = connect(&group, 300);
        let counts = accept(&sockets(&group), clients.len());
        assert_eq!(counts.len(), 3);
        assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
    }

    #[test]
    fn a_retired_socket_gets_nothing_new_and_its_queue_can_still_be_accepted() {
        let mut group = group(4);
        let early = connect(&group, 200);

        group.direct_to(2);
        let late = connect(&group, 400);

        let counts = accept(&sockets(&group), early.len() + late.len());
        let (open, retired) = counts.split_at(2);
        assert!(open.iter().all(|count| *count > 100), "{counts:?}");
        let in_retired_queues: usize = retired.iter().sum();
        assert!((1..=early.len()).contains(&in_retired_queues), "{counts:?}");
        assert!(retired.iter().all(|count| *count > 0), "{counts:?}");

        let later = connect(&group, 400);
        let counts = accept(&sockets(&group), later.len());
        assert_eq!(counts[2..], [0, 0], "a retired socket got a connection");
    }

    #[test]
    fn closing_retired_sockets_resets_and_delays_nobody() {
        let mut group = group(3);
        group.direct_to(2);
        let waiting = connect(&group, 100);
        group.close_beyond(2);
        let later = connect(&group, 100);
        let counts = accept(&sockets(&group), waiting.len() + later.len());
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn new_sockets_get_nothing_before_they_are_opened() {
        let mut group = group(1);
        group.grow(3, 1024).expect("grown");
        let early = connect(&group, 100);
        assert_eq!(accept(&sockets(&group), early.len()), [100, 0, 0]);

        group.direct_to(3);
        let late = connect(&group, 300);
        let counts = accept(&sockets(&group), late.len());
        assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
    }

    #[test]
    fn a_group_shrinks_and_grows_again_in_order() {
        let mut group = group(4);
        for _ in 0..3 {
            group.direct_to(2);
            group.close_beyond(3);
            assert_eq!(group.sockets.len(), 3);
            group.grow(4, 1024).expect("grown");
            group.direct_to(3);
            let clients = connect(&group, 200);
            let counts = accept(&sockets(&group), clients.len());
            assert!(counts[..3].iter().all(|count| *count > 0), "{counts:?}");
            assert_eq!(counts[3], 0, "{counts:?}");
            group.direct_to(4);
        }
    }

    #[test]
    fn an_open_socket_is_never_closed() {
        let mut group = group(3);
        group.close_beyond(1);
        assert_eq!(group.sockets.len(), 3);
    }

    #[test]
    fn a_socket_that_was_alone_can_be_joined() {
        let alone = tcp::bind("127.0.0.1", 0, 1024).expect("bound");
        let mut group = Group::new(0, "127.0.0.1:0".into(), alone, 1);
        group.grow(2, 1024).expect("grown");
        let clients = connect(&group, 100);
        assert_eq!(accept(&sockets(&group), clients.len()), [100, 0]);
    }

    #[test]
    fn without_a_program_retired_sockets_refuse_and_opened_ones_admit() {
        let mut group = group(2);
        let address = address(&group).into();
        let request = || {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("non-blocking");
            // In progress; the kernel asks on this machine before it returns.
            let _ = client.connect(&address);
            client
        };
        group.open = 1;
        group.filter();
        let _requests: Vec<_> = (0..64).map(|_| request()).collect();
        assert!(accept(&[group.sockets[0].as_fd()], 1)[0] < 64);
        assert!(accept_one(&group.sockets[1]).is_err(), "a retired socket got a connection");

        group.open = 2;
        group.filter();
        let _requests: Vec<_> = (0..64).map(|_| request()).collect();
        accept(&[group.sockets[1].as_fd()], 1);
    }
}
