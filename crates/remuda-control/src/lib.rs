//! What supervisor and worker say to each other, and how it is framed.
//!
//! Purpose: one place for the messages of the control socket, and for the
//! [`Scoreboard`], the page of memory that they share. Owner: the supervisor holds one
//! end per worker, the worker inherits the other as file descriptor
//! [`CONTROL_DESCRIPTOR`]. Invariant: the end of the stream means that the peer is
//! gone; a worker that sees it drains and exits, a supervisor reaps.

mod channel;
mod message;
mod scoreboard;
mod snapshot;
mod sys;

pub use channel::{ControlError, ControlReader, ControlWriter, split};
pub use message::{FromWorker, Heartbeat, InheritedListener, Queue, ToWorker, WorkerSetup};
pub use scoreboard::{Scoreboard, Seat};
pub use snapshot::{Connections, Histogram, InstanceCounts, RouteSnapshot, Snapshot};

/// File descriptor on which a worker finds its control socket.
pub const CONTROL_DESCRIPTOR: i32 = 3;
/// File descriptor on which a worker finds the [`Scoreboard`].
pub const SCOREBOARD_DESCRIPTOR: i32 = 4;
/// File descriptor of a worker's first listening socket; the others follow.
pub const FIRST_LISTENER_DESCRIPTOR: i32 = 5;
