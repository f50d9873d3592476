//! Outgoing requests of guests.
//!
//! Purpose: a guest reaches what `outbound.allow` names and nothing else, over
//! connections that all instances of the worker share. Owner: one [`Outbound`] per
//! engine; each store has its own [`Hooks`]. Invariants: every wait has a bound that the
//! operator set, a guest's own timeouts can only shorten it, and a guest learns of a
//! failure as a typed error.

mod body;
mod client;
mod connector;
mod failure;
mod hooks;
mod hosts;

pub(crate) use client::Outbound;
pub(crate) use hooks::Hooks;
