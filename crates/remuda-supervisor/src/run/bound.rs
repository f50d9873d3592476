//! What is there before anything starts.
//!
//! Invariant: whatever can fail in here fails before the first process is started.

use std::sync::Arc;

use remuda_config::Config;
use remuda_control::Scoreboard;

use crate::{
    SupervisorError, admin::sockets::Sockets, listeners::Listeners, signals::Signals,
    upgrade::Handover,
};

pub(super) struct Bound {
    pub(super) signals: Signals,
    pub(super) listeners: Listeners,
    pub(super) sockets: Sockets,
    pub(super) scoreboard: Arc<Scoreboard>,
}

impl Bound {
    pub(super) fn new(
        config: &Config,
        mut handover: Option<&mut Handover>,
    ) -> Result<Self, SupervisorError> {
        let io = |action| move |source| SupervisorError::Io { action, source };
        // First, so that no order to end is lost.
        let signals = Signals::listen().map_err(io("take over signals"))?;
        let workers = &config.workers;
        let listeners = Listeners::bind(
            &config.bind,
            workers.backlog,
            workers.accept,
            workers.count,
            handover.as_deref_mut(),
        )?;
        let first = listeners.iter().next().map(|listener| &listener.address);
        let (admin, control) = (config.admin.as_ref(), config.control.as_ref());
        let sockets = Sockets::bind(admin, control, first, handover)?;
        let scoreboard = Scoreboard::create().map_err(io("share memory with workers"))?;
        Ok(Self { signals, listeners, sockets, scoreboard: Arc::new(scoreboard) })
    }
}
