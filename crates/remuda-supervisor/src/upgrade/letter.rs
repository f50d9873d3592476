//! What the two servers of an upgrade tell each other.
//!
//! Invariant: versions of this program that follow each other understand one another, so
//! fields may be added with a default, and none may change its meaning.

use std::os::fd::RawFd;

use remuda_config::BoundAddress;
use serde::{Deserialize, Serialize};

use crate::listeners::SocketInode;

/// What the successor finds in its environment, as JSON.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Letter {
    /// The descriptor for its one [`Word`].
    pub(super) answer: RawFd,
    pub(super) sockets: Vec<Offer>,
}

/// One listening socket, to be taken or not.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Offer {
    pub(crate) kind: SocketKind,
    /// The address as it is configured; a name may have several sockets.
    pub(crate) configured: String,
    /// Tells addresses apart that are configured alike, as two with port 0 can be.
    pub(crate) place: usize,
    /// Whose worker accepts from it, where every slot has its own.
    pub(crate) slot: usize,
    pub(crate) address: BoundAddress,
    /// Its descriptor in the successor.
    pub(crate) descriptor: RawFd,
    /// Whether it gets new connections, which it does not while its slot is given up.
    pub(crate) is_open: bool,
    /// Whether it was bound by a predecessor, and not passed to it.
    pub(crate) is_own: bool,
    /// The file that whoever serves it last has to remove.
    pub(crate) file: Option<SocketInode>,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SocketKind {
    /// Requests, accepted by workers.
    Bind,
    /// Health and metrics.
    Admin,
    /// `remuda ctl`.
    Control,
}

/// The successor's answer, one line of JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    /// All its workers are ready.
    Ready {
        /// Descriptors of the offers that it has taken.
        taken: Vec<RawFd>,
    },
    Failed {
        reason: String,
    },
}

/// The sockets that a successor has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken(Vec<(SocketKind, BoundAddress, usize)>);

impl Taken {
    pub(super) fn new(offers: &[Offer], descriptors: &[RawFd]) -> Self {
        let taken = offers.iter().filter(|offer| descriptors.contains(&offer.descriptor));
        Self(taken.map(|offer| (offer.kind, offer.address.clone(), offer.slot)).collect())
    }

    pub(crate) fn has(&self, kind: SocketKind, address: &BoundAddress, slot: usize) -> bool {
        self.0.iter().any(|taken| (taken.0, &taken.1, taken.2) == (kind, address, slot))
    }
}
