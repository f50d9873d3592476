//! The one place of this crate with `unsafe`: descriptors that the supervisor left open, and
//! (in [`trace`]) what a thread that is stuck is doing.

#![allow(unsafe_code, reason = "only the two ends of exec know what a descriptor number means")]

mod trace;

pub(crate) use trace::LoopThread;

use std::{
    collections::BTreeSet,
    io,
    os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    sync::{Mutex, PoisonError},
};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes ownership of an inherited descriptor, and keeps children from inheriting it
/// again.
///
/// # Errors
/// When it is not open, or has been taken before.
pub(crate) fn take(descriptor: RawFd) -> io::Result<OwnedFd> {
    if !TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(descriptor) {
        return Err(io::Error::other("it has been taken already"));
    }
    // SAFETY: only borrowed for as long as it takes to ask the kernel whether it is open;
    // a closed one is refused with EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let flags = fcntl_getfd(borrowed)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, the supervisor left it for this process alone (descriptors that
    // this process opens itself get the lowest free number, and inherited ones are taken
    // before they could be closed), and `TAKEN` makes sure that nobody gets it twice.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
