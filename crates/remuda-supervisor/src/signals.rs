//! Signals as a stream.
//!
//! Owner: [`run`](crate::run) installs the handlers before it does anything else, so
//! that no order to end is lost while listeners are bound and components compiled.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// An order to end, from whoever runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
    Quit,
}

/// What a signal told us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Order(Signal),
    /// At least one child has ended.
    ChildEnded,
}

pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    child: unix::Signal,
}

impl Signals {
    /// Takes the signals over from their default actions.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            quit: unix::signal(SignalKind::quit())?,
            child: unix::signal(SignalKind::child())?,
        })
    }

    /// The next signal; cancel safe. Orders come before the deaths they may have caused.
    pub(crate) async fn next(&mut self) -> Received {
        tokio::select! {
            biased;
            _ = self.quit.recv() => Received::Order(Signal::Quit),
            _ = self.terminate.recv() => Received::Order(Signal::Terminate),
            _ = self.interrupt.recv() => Received::Order(Signal::Interrupt),
            _ = self.child.recv() => Received::ChildEnded,
        }
    }
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
        }
    }
}
