//! What systemd does for a service: sockets that are passed on (sd_listen_fds(3)), and
//! notifications (sd_notify(3)).

use std::{
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::{net::UnixDatagram, task::JoinSet};

use crate::wait;

/// The first descriptor that is passed on.
pub(crate) const FIRST_SOCKET: i32 = 3;

/// Becomes the server, whose pid is known only then.
pub(crate) const WITH_ITS_PID: [&str; 4] = ["sh", "-c", "LISTEN_PID=$$ exec \"$@\"", "sh"];

/// What listens to a service's notifications.
#[derive(Debug)]
pub struct Systemd {
    heard: Arc<Mutex<Vec<Notification>>>,
    _listener: JoinSet<()>,
}

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// `READY=1` and the like.
    pub lines: Vec<String>,
    pub at: Instant,
}

impl Systemd {
    /// Listens at this path.
    ///
    /// # Panics
    /// When it cannot.
    pub fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a path for a socket");
        let heard = Arc::default();
        let mut listener = JoinSet::new();
        listener.spawn(take_down(socket, Arc::clone(&heard)));
        Self { heard, _listener: listener }
    }

    /// Everything that has come so far.
    #[must_use]
    pub fn notifications(&self) -> Vec<Notification> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notifications that have this line.
    #[must_use]
    pub fn with(&self, line: &str) -> Vec<Notification> {
        self.notifications().into_iter().filter(|notification| notification.has(line)).collect()
    }

    /// Waits for so many notifications that have this line.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for(&self, line: &str, count: usize) -> Vec<Notification> {
        let enough = || Some(self.with(line)).filter(|found| found.len() >= count);
        wait::until(&format!("{count} notifications {line:?}"), enough).await
    }
}

async fn take_down(socket: UnixDatagram, heard: Arc<Mutex<Vec<Notification>>>) {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.expect("a socket of ours");
        let text = String::from_utf8_lossy(&buffer[..length]);
        let lines = text.lines().map(str::to_owned).collect();
        let notification = Notification { lines, at: Instant::now() };
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(notification);
    }
}

impl Notification {
    #[must_use]
    pub fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|ours| ours == line)
    }

    /// The value of `NAME=VALUE`; empty if there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        let value = |line: &'_ String| line.strip_prefix(name)?.strip_prefix('=').map(str::len);
        let line = self.lines.iter().find(|line| value(line).is_some());
        line.map_or("", |line| &line[name.len() + 1..])
    }
}

/// Sockets that a server inherits, in the order of their descriptors.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<OwnedFd>);

impl Sockets {
    pub(crate) fn push(&mut self, socket: OwnedFd) {
        self.0.push(socket);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Has the command inherit them, and nothing else that is started meanwhile.
    pub(crate) fn pass_to(self, command: &mut std::process::Command) {
        use command_fds::{CommandFdExt as _, FdMapping};

        command.env("LISTEN_FDS", self.0.len().to_string());
        let mappings = self.0.into_iter().zip(FIRST_SOCKET..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).expect("a descriptor for each socket");
    }
}
