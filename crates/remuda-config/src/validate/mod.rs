//! From raw layers to domain types.
//!
//! Purpose: the second of the two steps of configuration: every key is read, bounded
//! and checked against the others. Owner: `load`. Invariant: all mistakes are found
//! in one pass; nothing half valid comes out.
mod addresses;
mod cache;
mod control;
mod env;
mod front;
mod instances;
mod mounts;
mod reader;
mod route;
mod server;
mod workers;

pub use control::control_folder;
pub(crate) use reader::{Folders, Reader, Scope};
pub(crate) use route::{Worker, routes};
pub(crate) use server::{Surroundings, server};
