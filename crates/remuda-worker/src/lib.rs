//! One worker process: the event loop that joins HTTP and guests.
//!
//! Purpose: build everything from what the supervisor says, serve, drain, end. Owner:
//! the process; [`run`] is its `main`. Invariants: the worker says `Ready` only when the
//! first request would be answered; when the control socket ends, the supervisor is
//! gone, and the worker drains and ends too.
//!
//! Read on in this order: [`run`] (boot), [`life`] (what happens afterwards),
//! [`handler`] (from a request to a guest and back).

mod boot;
mod handler;
mod life;
mod sys;

pub use boot::{BootError, run};
