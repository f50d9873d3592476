//! The values that settings take.
//!
//! Purpose: text to domain type and back, one kind of value a file. Owner:
//! validation. Invariant: what a kind shows, it parses to the same value again.
mod authority;
mod bind;
mod choice;
mod kind;
mod origin;
mod path;
mod peers;
mod quantity;
mod route;
mod share;

pub(crate) use authority::bracketed;
pub(crate) use bind::{Bind, SocketPath};
pub(crate) use choice::{Auto, Choice, Off, Unset};
pub(crate) use kind::{Fault, Kind};
pub(crate) use origin::Origin;
pub(crate) use path::HostPath;
pub(crate) use peers::Peers;
pub use quantity::about_bytes;
pub(crate) use quantity::{Number, OrZero, Size, Time, TimeFrom};
pub(crate) use route::{GuestPath, RouteHost, RoutePath};
pub(crate) use share::{Part, Share};
