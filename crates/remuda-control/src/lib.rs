//! What supervisor and worker say to each other, and how it is framed.
//!
//! Purpose: one place for the messages of the control socket. Owner: the supervisor
//! holds one end per worker, the worker inherits the other as file descriptor
//! [`CONTROL_DESCRIPTOR`]. Invariant: the end of the stream means that the peer is
//! gone; a worker that sees it drains and exits, a supervisor reaps.

mod channel;
mod message;

pub use channel::{ControlError, ControlReader, ControlWriter, split};
pub use message::{FromWorker, InheritedListener, ToWorker, WorkerSetup};

/// File descriptor on which a worker finds its control socket.
pub const CONTROL_DESCRIPTOR: i32 = 3;
