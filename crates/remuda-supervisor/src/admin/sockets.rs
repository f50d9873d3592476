//! The listening sockets of the admin server.
//!
//! Owner: the [loop](crate::run), from the start to the very end: health is answered while
//! components are compiled, and while a drain goes on. Invariant: once another server has
//! taken them over, this one does not answer on them any more.

use remuda_config::{BindAddress, BoundAddress, ControlSocket};

use super::control_socket;
use crate::{
    listeners::{BindError, Listener},
    upgrade::{Extra, Handover, SocketKind, Taken},
};

/// Clients that may wait to be accepted.
const BACKLOG: u32 = 128;

#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Several for a host name with several addresses.
    admin: Vec<(BindAddress, Listener)>,
    control: Option<(BindAddress, Listener)>,
}

impl Sockets {
    /// Binds both sides; `first` is the first address that workers listen on, by which the
    /// control socket is known.
    ///
    /// # Errors
    /// When one cannot be bound.
    pub(crate) fn bind(
        admin: Option<&BindAddress>,
        control: Option<&ControlSocket>,
        first: Option<&BoundAddress>,
        mut handover: Option<&mut Handover>,
    ) -> Result<Self, BindError> {
        let mut sockets = Self::default();
        if let Some(address) = admin {
            let bound =
                Listener::bind(SocketKind::Admin, address, BACKLOG, handover.as_deref_mut())
                    .map_err(|error| error.set_with("--admin"))?;
            sockets.admin = bound.into_iter().map(|it| (address.clone(), it)).collect();
        }
        if let (Some(socket), Some(first)) = (control, first) {
            sockets.control = control_socket::bind(socket, first, handover)?;
        }
        Ok(sockets)
    }

    /// Those of the read-only side.
    pub(crate) fn admin(&self) -> impl Iterator<Item = &Listener> {
        self.admin.iter().map(|(_, listener)| listener)
    }

    pub(crate) fn control(&self) -> Option<&Listener> {
        self.control.as_ref().map(|(_, listener)| listener)
    }

    /// What a successor can take.
    pub(crate) fn extras(&self) -> Vec<Extra<'_>> {
        self.all()
            .map(|(kind, (configured, listener))| Extra { kind, configured, listener })
            .collect()
    }

    /// A successor answers on what it has taken.
    pub(crate) fn leave_to_successor(&mut self, taken: &Taken) {
        let admin = self.admin.iter_mut().map(|socket| (SocketKind::Admin, socket));
        let control = self.control.iter_mut().map(|socket| (SocketKind::Control, socket));
        for (kind, (_, listener)) in admin.chain(control) {
            if taken.has(kind, &listener.address, 0) {
                listener.leave();
            }
        }
    }

    /// The predecessor does not answer on them any more.
    pub(crate) fn take_over(&mut self) {
        self.admin.iter_mut().chain(&mut self.control).for_each(|(_, it)| it.take_over());
    }

    fn all(&self) -> impl Iterator<Item = (SocketKind, &(BindAddress, Listener))> {
        let admin = self.admin.iter().map(|socket| (SocketKind::Admin, socket));
        admin.chain(self.control.iter().map(|socket| (SocketKind::Control, socket)))
    }
}
