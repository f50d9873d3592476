//! Which sockets of a group get new connections.
//!
//! The kernel spreads connections over all sockets that listen on one address with
//! `SO_REUSEPORT`, by a hash. A program attached to the group chooses instead: it returns
//! an index into the group, whose order is the order of `listen()`. When a socket is
//! closed, the last one takes its place (linux net/core/sock_reuseport.c,
//! `__reuseport_detach_sock`), hence only the last ones may ever be closed.
//!
//! The program draws lots. A choice by the packet's receive hash, as examples have it,
//! would send everybody to the first socket where the network card computes none. Lots are
//! drawn once for a connection: what follows its first packet finds the half-open
//! connection itself, or, with SYN cookies, any socket of the group will do (Linux 4.19).

use std::{io, os::fd::AsFd};

use crate::sys;

/// From now on only the first `count` sockets of the group get new connections. What is in
/// the queues of the others, or half-way there, stays where it is.
pub(super) fn to_the_first(count: usize, member: &impl AsFd) -> io::Result<()> {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let random = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    sys::attach_reuseport_program(
        member,
        &[
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, random),
            statement(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count),
            statement(libc::BPF_RET | libc::BPF_A, 0),
        ],
    )
}
