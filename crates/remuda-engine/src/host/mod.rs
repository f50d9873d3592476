//! What the host gives to guests: WASI with the granted authority only, HTTP, limits,
//! logs.
//!
//! Owner: every store owns one [`HostState`]. Invariant: whatever is not granted by the
//! route exists for the guest, but has nothing behind it.

mod attribution;
mod client;
mod fields;
mod limiter;
mod linker;
mod offload;
mod pollables;
mod state;
mod stdio;

pub(crate) use attribution::asking;
pub(crate) use linker::{check_imports, linker};
pub(crate) use state::{Grants, HostState};
