//! One listening socket, and whom it belongs to.
//!
//! Owner: [`Listeners`](super::Listeners) has the workers', the admin server its own.
//! Invariant: the file of a unix socket is removed by the last server that serves it, and
//! by no other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use remuda_config::{BindAddress, BoundAddress};

use super::{BindError, SocketInode, open, take, unix};
use crate::upgrade::{Handover, Offer, SocketKind};

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: BoundAddress,
    /// Before the socket: while that is open, no other file can have the inode.
    pub(super) owner: Owner,
    pub(super) socket: OwnedFd,
}

/// Whom a socket serves when this server has ended.
#[derive(Debug)]
pub(super) enum Owner {
    /// Nobody; the file of a unix socket goes with it.
    Us { file: Option<unix::SocketFile> },
    /// The server that this one is to replace, unless that lets go of it.
    Predecessor { file: Option<SocketInode> },
    /// Whoever passed it to us, or took it over.
    Others,
}

impl Listener {
    /// Binds one address that is not the workers', or takes what a predecessor has handed
    /// over; several sockets for a host name with several addresses.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub(crate) fn bind(
        kind: SocketKind,
        address: &BindAddress,
        backlog: u32,
        handover: Option<&mut Handover>,
    ) -> Result<Vec<Self>, BindError> {
        let queue = i32::try_from(backlog).unwrap_or(i32::MAX);
        let is_handover = handover.is_some();
        let taken = take(kind, address, queue, handover)?;
        if taken.is_empty() {
            return open(address, queue, is_handover);
        }
        Ok(taken.into_iter().map(|(listener, _)| listener).collect())
    }

    /// One that a predecessor has handed over.
    pub(super) fn handed_over(offer: Offer, socket: OwnedFd) -> Self {
        let Offer { address, is_own, file, .. } = offer;
        let owner = if is_own { Owner::Predecessor { file } } else { Owner::Others };
        Self { address, owner, socket }
    }

    /// What a successor is told about it.
    pub(crate) fn offer(&self, kind: SocketKind, configured: &str) -> Offer {
        let (is_own, file) = match &self.owner {
            Owner::Us { file } => (true, file.as_ref().and_then(unix::SocketFile::inode).cloned()),
            Owner::Predecessor { file } => (true, file.clone()),
            Owner::Others => (false, None),
        };
        Offer {
            kind,
            configured: configured.to_owned(),
            place: 0,
            slot: 0,
            address: self.address.clone(),
            descriptor: -1,
            is_open: true,
            is_own,
            file,
        }
    }

    /// Somebody else serves it from now on.
    pub(crate) fn leave(&mut self) {
        if let Owner::Us { file: Some(file) } = std::mem::replace(&mut self.owner, Owner::Others) {
            file.leave();
        }
    }

    /// The predecessor does not serve it any more.
    pub(crate) fn take_over(&mut self) {
        if let Owner::Predecessor { file } = &mut self.owner {
            let file = file.take().map(unix::SocketFile::take_over);
            self.owner = Owner::Us { file };
        }
    }

    /// Whether more sockets may be opened on its address.
    pub(super) fn may_have_siblings(&self) -> bool {
        !matches!(self.owner, Owner::Others)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
