//! The other workers, as far as accepting connections is concerned.

use remuda_control::Seat;
use remuda_http::Peers;

/// This worker's place among those that accept from the same sockets.
pub(crate) struct Neighbours(pub(crate) Seat);

impl Peers for Neighbours {
    fn set_connections(&self, connections: usize) {
        self.0.set_connections(connections);
    }

    fn fewest_elsewhere(&self) -> Option<usize> {
        self.0.fewest_elsewhere()
    }
}
