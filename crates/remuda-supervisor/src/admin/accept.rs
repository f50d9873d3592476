//! Accepting the clients of one admin listener.
//!
//! Owner: a task for each listener. Invariant: there is room for a new client at all
//! times: when the table is full, the connection that has been quiet for longest is closed
//! for it, and when none is quiet, the oldest. A health check is thus never kept out by
//! clients that are slow, or that wait for a loop that is stuck; an order goes on when its
//! client was closed.

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::task::TaskTracker;

use super::{
    connection::{self, Seat},
    service::Service,
};

/// Connections of one listener at the same time.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// After an error that the next attempt would meet as well, such as no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// Either kind of listener.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// A TCP listener that is non-blocking.
    pub(super) fn tcp(descriptor: OwnedFd) -> io::Result<Self> {
        TcpListener::from_std(descriptor.into()).map(Self::Tcp)
    }

    /// A unix listener that is non-blocking.
    pub(super) fn unix(descriptor: OwnedFd) -> io::Result<Self> {
        UnixListener::from_std(descriptor.into()).map(Self::Unix)
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// Accepts until the service ends.
pub(super) async fn run(socket: Socket, service: Service, tasks: TaskTracker) {
    let shutdown = service.shutdown();
    let mut seats = Seats::default();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                failing = false;
                let (seat, service) = (seats.take(), service.clone());
                match stream {
                    Stream::Tcp(stream) => tasks.spawn(connection::serve(stream, service, seat)),
                    Stream::Unix(stream) => tasks.spawn(connection::serve(stream, service, seat)),
                };
            }
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                // Once, not ten times a second.
                if !failing {
                    tracing::warn!(%error, "failed to accept a client of the admin server");
                }
                failing = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// It left before it was accepted: accept(2).
fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// The connections of one listener, in the order in which they came.
#[derive(Default)]
struct Seats(Vec<Arc<Seat>>);

impl Seats {
    /// A seat, if need be that of another.
    fn take(&mut self) -> Arc<Seat> {
        // A connection that has ended holds its seat no longer.
        self.0.retain(|seat| Arc::strong_count(seat) > 1);
        if self.0.len() >= MAX_CONNECTIONS
            && let Some(index) = self.least_wanted()
        {
            self.0.remove(index).close();
        }
        let seat = Arc::new(Seat::new());
        self.0.push(seat.clone());
        seat
    }

    fn least_wanted(&self) -> Option<usize> {
        let seats = self.0.iter().enumerate();
        // A busy one comes after every quiet one.
        let order = |seat: &Seat| (seat.quiet_since().is_none(), seat.quiet_since());
        seats.min_by_key(|(_, seat)| order(seat)).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_quiet_seat_is_given_away_first_and_a_busy_one_last() {
        let mut seats = Seats::default();
        let mut taken: Vec<_> = (0..MAX_CONNECTIONS).map(|_| seats.take()).collect();
        let _first_is_busy = taken[0].begin();
        let _newcomer = seats.take();
        let closed = |taken: &[Arc<Seat>]| -> Vec<usize> {
            taken.iter().enumerate().filter(|(_, seat)| seat.is_closed()).map(|(i, _)| i).collect()
        };
        assert_eq!(closed(&taken), [1]);

        // One that has ended makes room by itself.
        taken.truncate(MAX_CONNECTIONS - 1);
        let _newcomer = seats.take();
        assert_eq!(closed(&taken), [1]);

        let _all_are_busy: Vec<_> = seats.0.clone().iter().map(|seat| seat.begin()).collect();
        let _newcomer = seats.take();
        assert_eq!(closed(&taken), [0, 1]);
    }
}
