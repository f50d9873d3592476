//! The memory that guests of this worker hold.
//!
//! Purpose: what all instances have taken together stays within the worker's budget, whatever
//! they do. [`Ledger`] counts it, every route has a [`Share`] of it, every store an [`Account`]
//! there, and idle instances leave first ([`crate::herd`]). Owner: the engine's shared parts own the ledger.
//!
//! Invariant: what an account has taken comes back when its store is dropped, however it ended.

mod account;
mod ledger;
mod share;

pub(crate) use account::{Account, Refused, Usage};
pub(crate) use ledger::Ledger;
pub(crate) use share::Share;
