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

/// An order to a server that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Reload,
    OneMore,
    OneFewer,
    ReopenLogs,
    Upgrade,
}

/// Which signal orders what.
const COMMANDS: [(Number, &str, Command); 5] = [
    (Number::HUP, "SIGHUP", Command::Reload),
    (Number::TTIN, "SIGTTIN", Command::OneMore),
    (Number::TTOU, "SIGTTOU", Command::OneFewer),
    (Number::USR1, "SIGUSR1", Command::ReopenLogs),
    (Number::USR2, "SIGUSR2", Command::Upgrade),
];

/// What a signal told us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// End.
    Order(Signal),
    /// Another order; its signal's name.
    Command(Command, &'static str),
    /// At least one child has ended.
    ChildEnded,
}

pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    child: unix::Signal,
    commands: Vec<(Command, &'static str, unix::Signal)>,
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
            commands: COMMANDS
                .iter()
                .map(|(number, name, command)| {
                    let kind = SignalKind::from_raw(number.as_raw());
                    Ok((*command, *name, unix::signal(kind)?))
                })
                .collect::<io::Result<_>>()?,
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
            (command, name) = first_of(&mut self.commands) => Received::Command(command, name),
        }
    }
}

/// The next signal of several.
async fn first_of(
    signals: &mut [(Command, &'static str, unix::Signal)],
) -> (Command, &'static str) {
    std::future::poll_fn(|cx| {
        for (command, name, signal) in &mut *signals {
            if signal.poll_recv(cx).is_ready() {
                return Poll::Ready((*command, *name));
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
