//! What a server is ordered to do while it runs: by signal, on its control socket, and by
//! changing what it reads.

use std::path::Path;

use http::Method;

use super::{
    Server,
    admin::Answer,
    builder::{CONFIG, EXECUTABLE, with_guests},
};
use crate::{
    cli::{Cli, Ended},
    client::{Ask, Connection},
    guests::Guest,
    log::Line,
    process::{self, Pid, Signal},
    wait,
};

impl Server {
    // What it reads

    /// Puts a file in its working folder, at once and as a whole.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.sandbox.replace(name, content);
    }

    /// Removes a file from its working folder.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).expect("a file in the sandbox");
    }

    /// Puts another configuration in the place of its own. `[guests]` in it is their folder.
    pub fn configure(&self, toml: &str) {
        self.write(CONFIG, with_guests(toml));
    }

    /// Puts this guest in the place of a file in its working folder.
    pub fn install(&self, guest: Guest, name: &str) {
        self.sandbox.replace_with(name, &guest.path());
    }

    /// Puts another file in the place of its [own executable](super::Builder::own_executable).
    pub fn replace_executable(&self, original: &Path) {
        self.sandbox.replace_with(EXECUTABLE, original);
    }

    // Orders

    /// Has it reload (SIGHUP) and waits until it has: the line that says so, or why not.
    ///
    /// # Errors
    /// When it goes on as before.
    ///
    /// # Panics
    /// When it says neither.
    pub async fn reload(&self) -> Result<Line, Line> {
        let so_far = [RELOADED, NOT_RELOADED].map(|message| self.lines(message).len());
        self.signal(Signal::HUP);
        let outcome = || {
            let next = |message, count| self.lines(message).into_iter().nth(count);
            let reloaded = next(RELOADED, so_far[0]).map(Ok);
            reloaded.or_else(|| next(NOT_RELOADED, so_far[1]).map(Err))
        };
        wait::until("the server to reload, or to say why not", outcome).await
    }

    /// A request on the control socket.
    ///
    /// # Panics
    /// When it has none, or there is no whole answer.
    pub async fn control(&self, method: Method, path: &str) -> Answer {
        let socket = self.control_socket();
        Answer::to(Ask::new(method, path), Connection::unix(socket)).await
    }

    /// The path of its control socket.
    ///
    /// # Panics
    /// When it was not [given one](super::Builder::with_admin).
    #[must_use]
    pub fn control_socket(&self) -> &Path {
        self.control.as_deref().expect("a server with a control socket")
    }

    /// Runs `remuda ctl` with these arguments.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ctl(&self, arguments: &[&str]) -> Ended {
        let command = Cli::remuda("ctl").arg("--control").arg(self.control_socket());
        arguments.iter().fold(command, |command, argument| command.arg(argument)).run().await
    }

    /// Orders something with `remuda ctl`; what that prints.
    ///
    /// # Panics
    /// When it fails.
    pub async fn order(&self, arguments: &[&str]) -> String {
        self.ctl(arguments).await.succeeded()
    }

    // Upgrades

    /// Has it upgrade itself, and goes on with the server that takes over, once the one
    /// before has left.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn upgrade(&mut self) {
        let (before, upgrades) = (self.supervisor(), self.lines("listening").len());
        self.signal(Signal::USR2);
        let listening = self.wait_for_lines("listening", upgrades + 1).await.remove(upgrades);
        let pid = i32::try_from(listening.number("pid")).expect("a pid");
        self.follow(Pid::from_raw(pid).expect("a pid"));
        wait::until("the old server to leave", || (!process::is_running(before)).then_some(()))
            .await;
    }

    // Workers

    /// Waits until there are so many workers, all of them ready.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn wait_for_workers(&self, count: usize) -> Vec<Pid> {
        wait::until_async(&format!("{count} ready workers and no other"), async || {
            let states = self.worker_states().await;
            let settled = states.len() == count && states.iter().all(|state| state.is_ready());
            let pids: Vec<Pid> = states.iter().map(|state| state.pid).collect();
            (settled && self.workers().len() == count).then_some(pids)
        })
        .await
    }
}

const RELOADED: &str = "reloaded";
const NOT_RELOADED: &str = "reload failed";
