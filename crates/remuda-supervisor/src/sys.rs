//! What safe Rust cannot say.
//!
//! Owner: [`listeners`](crate::listeners). Invariant: all `unsafe` of this crate is in
//! this file.
#![expect(unsafe_code, reason = "an inherited descriptor is known only by its number")]

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
};

use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// A copy of a descriptor that is known only by its number.
///
/// The original stays open, for nobody here knows who owns it, but no child inherits it.
///
/// # Errors
/// `EBADF` when nothing is open under that number.
pub(crate) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1, and the borrow ends with this function, which only
    // passes it to fcntl: a closed descriptor is an error there, not undefined.
    let original = unsafe { BorrowedFd::borrow_raw(number) };
    let copy = fcntl_dupfd_cloexec(original, 3)?;
    fcntl_setfd(original, FdFlags::CLOEXEC)?;
    Ok(copy)
}
