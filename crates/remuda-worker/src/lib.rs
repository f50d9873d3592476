//! One worker process: the event loop that joins HTTP and guests.
//!
//! Purpose: build everything from what the supervisor says, serve, drain, end. Owner:
//! the process; [`run`] is its `main`. Invariants: the worker says `Ready` only when the
//! first request would be answered; when the control socket ends, the supervisor is
//! gone, and the worker drains and ends too.
//!
//! Read on in this order: [`run`] (boot), [`life`] (what happens afterwards),
//! [`handler`] (from a request to a guest and back), [`beat`] (how others learn that this
//! worker still turns), [`report`] (what it tells when it does not).

mod beat;
mod boot;
mod figures;
mod handler;
mod jobs;
mod life;
mod oom;
mod outbox;
mod peers;
mod report;
mod sys;

pub use boot::{BootError, Ended, run};
