//! One request through one instance.
//!
//! Purpose: run a guest until its response can be sent, collect what it has written by
//! then, and hand over the rest as a body. Two ways: in [`single`] an instance serves
//! one request at a time and is polled by the connection's own task, without another
//! task or channel between socket and guest; in [`shared`] several requests meet in an
//! instance that a task of its own drives.
//!
//! Invariants: a response that is complete when its head is sent has a known length;
//! a guest that fails before anything was sent becomes an error response, afterwards
//! it becomes a broken body; what is left of a guest after its response goes on in a
//! task with a deadline.

mod allowance;
mod body;
mod errand;
mod floor;
mod instance;
mod outgoing;
mod run;
mod shared;
mod single;

pub(crate) use allowance::{Allowance, Exhausted, Stop};
pub use body::GuestBody;
pub(crate) use errand::errand;
pub(crate) use instance::{Counted, Instance, Reuse};
pub(crate) use shared::SharedPool;
pub(crate) use single::SinglePool;
