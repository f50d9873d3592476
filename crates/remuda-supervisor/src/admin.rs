//! Health, metrics, status and orders over HTTP.
//!
//! Purpose: what the design's section 11 calls administration: a read-only side for
//! probes, scrapers and people, and the control socket of `remuda ctl`, which takes orders
//! too. Owner: the [loop](crate::run), on whose runtime it lives; it asks the loop by
//! [`Call`]s. Invariants: nothing here passes through a worker; health is answered without
//! asking anybody; no client, however slow or numerous, keeps another from being answered.

mod accept;
pub(crate) mod call;
mod connection;
mod control_socket;
mod exposition;
mod order;
mod reply;
mod service;
pub(crate) mod sockets;

use std::{io, os::fd::AsFd as _, path::PathBuf};

use call::{Call, Health};
use remuda_config::BoundAddress;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::listeners::Listener;

/// What a listener's clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Ask.
    ReadOnly,
    /// Ask and order.
    Full,
}

/// The admin server; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// To the loop. What does not fit is refused, so that a loop that is stuck collects no
    /// more than the channel holds.
    pub(crate) calls: mpsc::Sender<Call>,
    /// The loop keeps it up to date.
    pub(crate) health: watch::Receiver<Health>,
    /// Where orders are taken, for those who try elsewhere; `None` when there is no
    /// control socket.
    pub(crate) control: Option<PathBuf>,
}

impl Admin {
    /// Serves a listener until `shutdown`; what has been answered by then is still sent.
    ///
    /// The listener stays its owner's, and open: a copy is served.
    ///
    /// # Errors
    /// When the runtime cannot watch the listener.
    pub(crate) fn serve(
        &self,
        listener: &Listener,
        access: Access,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let copy = listener.as_fd().try_clone_to_owned()?;
        let socket = match &listener.address {
            BoundAddress::Tcp(_) => accept::Socket::tcp(copy)?,
            BoundAddress::Unix(_) => accept::Socket::unix(copy)?,
        };
        let service = service::Service::new(self.clone(), access, shutdown);
        tasks.spawn(accept::run(socket, service, tasks.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
