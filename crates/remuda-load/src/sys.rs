//! The one place of this crate with `unsafe`: watching a descriptor.
#![expect(unsafe_code, reason = "the event loop knows a descriptor only by its number")]

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Watches a descriptor for being readable.
///
/// # Errors
/// When the kernel refuses to watch it.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped and always has the same number; it
    // moves into the `AsyncFd`, which ends its watch before it drops it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(io::Error::from)
}
