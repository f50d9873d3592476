//! Load generation: scenarios, clients, distributions, reports, comparisons.
//!
//! Purpose: sends requests to any HTTP server as a [`Scenario`](scenario::Scenario) says and
//! tells how they fared. Owner: the command `remuda load`, or whoever calls [`run`].
//! Invariant: nothing here knows Remuda beyond the names of its metrics, and what is
//! measured is what a client would have seen: time counts from when a request was to be
//! sent.
//!
//! The types in order: `Raw` → `Scenario` → `Crew` → `Lane` → `Recorder` → `Book` →
//! `Outcome` → `Report`.

mod client;
pub mod compare;
mod file;
mod progress;
pub mod record;
pub mod report;
mod run;
pub mod scenario;
mod sys;
pub mod threshold;
mod watch;

pub use client::{TlsError, Trusted};
pub use progress::Progress;
pub use run::{Ended, Observer, Outcome, RunError, run};
pub use watch::Sample;
