//! What safe Rust cannot say.
//!
//! Owner: [`listeners`](crate::listeners) and [`upgrade`](crate::upgrade). Invariant: all
//! `unsafe` of this crate is in this file.
#![expect(
    unsafe_code,
    reason = "an inherited descriptor is known only by its number, and no crate here attaches \
              a program to a group of sockets"
)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

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

/// Takes over a descriptor that this process was started with, and that was promised to
/// whoever calls this; no child inherits it.
///
/// # Errors
/// `EBADF` when nothing is open under that number.
pub(crate) fn claim(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: as in `duplicate`.
    fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?;
    // SAFETY: it is open, and it is ours: the process that started this one opened it for
    // the caller, who claims every number once and before it knows it by another way.
    let claimed = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&claimed, FdFlags::CLOEXEC)?;
    Ok(claimed)
}

/// Lets `program` choose, for every new connection, among all sockets that listen on the
/// address of `socket` with `SO_REUSEPORT`: what it returns is an index into their group.
///
/// # Errors
/// `EINVAL` when the socket is in no group or the program is not well-formed, `ENOPROTOOPT`
/// before Linux 4.5.
pub(crate) fn attach_reuseport_program(
    socket: &impl AsFd,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    // The kernel copies the program; that it could write to it is C's way to say nothing.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let size = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, the option's value is
    // a `sock_fprog` of the given size (socket(7)), and its pointer and length describe a
    // slice that is alive and only read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
