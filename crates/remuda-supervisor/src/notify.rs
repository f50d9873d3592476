//! Telling systemd how the server is (sd_notify(3)).
//!
//! Owner: the [loop](crate::run), one [`Notifier`] from start to end. Invariants: without
//! `NOTIFY_SOCKET` nothing is done; nothing here waits or fails, for a service manager
//! that does not listen must not hold up the server.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use sd_notify::NotifyState;

/// Variables that are meant for this process and for no child: one that inherited them
/// could speak in the server's name, or take its sockets. Every command that is built
/// here removes them; a successor that takes over the server is given `NOTIFY_SOCKET`
/// and `WATCHDOG_USEC` again, but no `WATCHDOG_PID`, which names this process.
pub(crate) const NOT_FOR_CHILDREN: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
];

/// Sends the states of the server to whoever started it.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// Unbound and non-blocking, and where it sends to; looked up anew with each message,
    /// for a service manager that starts again makes its socket anew.
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// What the environment asks for.
    pub(crate) fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET");
        // Only of use to a service manager that is told.
        let watchdog = sd_notify::watchdog_enabled().filter(|_| socket.is_some());
        Self::new(socket, watchdog)
    }

    /// `watchdog`: the longest silence that the service manager allows.
    fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> Self {
        let open = |name: OsString| match open(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::debug!(%error, socket = ?name, "failed to open NOTIFY_SOCKET");
                None
            }
        };
        let interval = watchdog.filter(|limit| !limit.is_zero()).map(|limit| limit / 2);
        Self { socket: socket.and_then(open), watchdog: interval }
    }

    /// The server serves: at first, and again when a reload has ended, well or not.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// A reload has begun; [`ready`](Self::ready) must follow.
    pub(crate) fn reloading(&self) {
        // `Type=notify-reload` needs to know which SIGHUP is being answered.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "failed to read the clock"),
        }
    }

    /// A drain has begun.
    pub(crate) fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// This process is the server from now on.
    pub(crate) fn main_pid(&self, pid: u32) {
        self.send(&[NotifyState::MainPid(pid)]);
    }

    /// Another process is, and says everything from now on: that this one stops would be
    /// taken for the end of the service.
    pub(crate) fn hand_over(&mut self, pid: u32) {
        self.main_pid(pid);
        self.socket = None;
    }

    /// How often [`watchdog`](Self::watchdog) is due: twice as often as asked, so that a
    /// late one is no failure. `None` when nobody watches.
    pub(crate) fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The loop turns.
    pub(crate) fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// All states in one message, so that they hold from the same moment.
    fn send(&self, states: &[NotifyState<'_>]) {
        let Some((socket, manager)) = &self.socket else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = socket.send_to_addr(message.as_bytes(), manager) {
            tracing::debug!(%error, %message, "failed to notify the service manager");
        }
    }
}

/// A path, or `@NAME` for an abstract address.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::other("neither an absolute path nor an abstract address")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}

/// A line break would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut message = [0; 512];
        let length = manager.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// A service manager, and what it would put into `NOTIFY_SOCKET`.
    fn manager() -> (tempfile::TempDir, UnixDatagram, OsString) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        (folder, socket, path.into_os_string())
    }

    #[test]
    fn every_state_is_one_message() {
        let (_folder, manager, name) = manager();
        let notifier = Notifier::new(Some(name), None);
        notifier.ready("4 workers\nserve");
        assert_eq!(received(&manager), "READY=1\nSTATUS=4 workers serve\n");
        notifier.main_pid(42);
        assert_eq!(received(&manager), "MAINPID=42\n");
        notifier.watchdog();
        assert_eq!(received(&manager), "WATCHDOG=1\n");
        notifier.stopping();
        assert_eq!(received(&manager), "STOPPING=1\n");
        let mut notifier = notifier;
        notifier.hand_over(43);
        assert_eq!(received(&manager), "MAINPID=43\n");
        notifier.stopping();
        manager.set_nonblocking(true).expect("set");
        assert!(manager.recv(&mut [0; 64]).is_err(), "said after it was handed over");
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let (_folder, manager, name) = manager();
        Notifier::new(Some(name), None).reloading();
        let message = received(&manager);
        let since = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the time");
        assert!(since.trim().parse::<u64>().is_ok_and(|since| since > 0), "{message}");
    }

    #[test]
    fn an_abstract_address_is_reached() {
        let name = format!("remuda-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let manager = UnixDatagram::bind_addr(&address).expect("bound");
        Notifier::new(Some(format!("@{name}").into()), None).stopping();
        assert_eq!(received(&manager), "STOPPING=1\n");
    }

    #[test]
    fn nobody_is_waited_for() {
        let (_folder, manager, name) = manager();
        let notifier = Notifier::new(Some(name), None);
        // More than the queue of a socket takes; a blocking one would never come back.
        for _ in 0..10_000 {
            notifier.watchdog();
        }
        assert_eq!(received(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        for name in [None, Some("/no/such/socket".into()), Some("vsock:2:1234".into())] {
            Notifier::new(name, None).ready("serving");
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_asked() {
        let interval = |limit| Notifier::new(None, limit).watchdog_interval();
        assert_eq!(interval(Some(Duration::from_secs(30))), Some(Duration::from_secs(15)));
        assert_eq!(interval(Some(Duration::ZERO)), None);
        assert_eq!(interval(None), None);
    }
}
