//! Which slots have sockets, and which of them get new connections.
//!
//! Owner: the [loop](super). Only `accept = "reuseport"` makes a difference: otherwise all
//! slots have the same sockets. Invariants: a slot gets connections only while a worker of
//! it serves, and its sockets stay open as long as one lives.

use std::time::{Duration, Instant};

use crate::{
    fleet::Fleet,
    lifecycle::later,
    listeners::{BindError, Listeners},
};

/// A server that was replaced is gone so long after its grace.
const SOME_MORE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Slots {
    /// Slots that have sockets.
    open: usize,
    /// Slots that get new connections.
    directed: usize,
    /// The server before this one holds copies of the sockets; their order in the kernel
    /// must not change as long as it does.
    keep_until: Option<Instant>,
}

impl Slots {
    /// So many have sockets.
    pub(super) fn new(open: usize) -> Self {
        Self { open, directed: 0, keep_until: None }
    }

    /// Gives a slot sockets, if it has none.
    pub(super) fn make_room(
        &mut self,
        listeners: &mut Listeners,
        slot: usize,
    ) -> Result<(), BindError> {
        if slot >= self.open {
            listeners.grow(slot + 1)?;
            self.open = slot + 1;
        }
        Ok(())
    }

    /// From now on only the first `slots` slots get new connections.
    pub(super) fn direct(&mut self, listeners: &mut Listeners, slots: usize) {
        if self.directed != slots {
            listeners.direct_to(slots);
            self.directed = slots;
        }
    }

    /// Closes nothing before the server before this one is gone.
    pub(super) fn wait_for_predecessor(&mut self, now: Instant, grace: Duration) {
        self.keep_until = Some(later(later(now, grace), SOME_MORE));
    }

    /// Opens slots to connections whose workers serve, and closes those that nobody needs.
    pub(super) fn settle(&mut self, listeners: &mut Listeners, fleet: &Fleet, now: Instant) {
        let wanted = fleet.wanted();
        if fleet.is_complete() {
            self.direct(listeners, wanted);
        }
        let lived_in = fleet.workers().map(|(_, worker)| worker.slot + 1);
        let needed = lived_in.chain([wanted, self.directed]).max().unwrap_or_default();
        if needed < self.open && self.keep_until.is_none_or(|until| until <= now) {
            listeners.close_beyond(needed);
            self.open = needed;
        }
    }
}
