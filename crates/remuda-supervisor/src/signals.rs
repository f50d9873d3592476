//! Signals as a stream.
//!
//! Owner: [`run`](crate::run) installs the handlers before it does anything else, so
//! that no order to end is lost while listeners are bound and components compiled.

use std::{io, task::Poll};

use rustix::process::Signal as Number;

use tokio::signal::unix::{self, SignalKind};

/// An order to end, from whoever runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
    Quit,
}

/// Signals with a meaning in the design whose behaviour comes later.
const LATER: [(&str, i32); 5] = [
    ("SIGHUP", Number::HUP.as_raw()),
    ("SIGTTIN", Number::TTIN.as_raw()),
    ("SIGTTOU", Number::TTOU.as_raw()),
    ("SIGUSR1", Number::USR1.as_raw()),
    ("SIGUSR2", Number::USR2.as_raw()),
];

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
    /// Reload, scaling, log rotation, upgrade: taken, and without effect for now.
    later: Vec<(&'static str, unix::Signal)>,
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
            later: LATER
                .iter()
                .map(|&(name, number)| Ok((name, unix::signal(SignalKind::from_raw(number))?)))
                .collect::<io::Result<_>>()?,
        })
    }

    /// The next signal; cancel safe. Orders come before the deaths they may have caused.
    ///
    /// Signals that a later release acts on are taken, lest their default action end or
    /// stop the server, and only logged.
    pub(crate) async fn next(&mut self) -> Received {
        loop {
            let signal = tokio::select! {
                biased;
                _ = self.quit.recv() => return Received::Order(Signal::Quit),
                _ = self.terminate.recv() => return Received::Order(Signal::Terminate),
                _ = self.interrupt.recv() => return Received::Order(Signal::Interrupt),
                _ = self.child.recv() => return Received::ChildEnded,
                Some(signal) = first_of(&mut self.later) => signal,
            };
            tracing::warn!(signal, "this signal has no effect yet");
        }
    }
}

/// The name of the next signal of several.
async fn first_of(signals: &mut [(&'static str, unix::Signal)]) -> Option<&'static str> {
    std::future::poll_fn(|cx| {
        for (name, signal) in &mut *signals {
            if signal.poll_recv(cx).is_ready() {
                return Poll::Ready(Some(*name));
            }
        }
        Poll::Pending
    })
    .await
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
