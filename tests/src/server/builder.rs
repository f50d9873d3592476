//! How a server is started.

use std::{ffi::OsString, os::fd::OwnedFd, path::PathBuf};

use crate::{
    guests::Guest,
    log::Line,
    process::{self, Pid},
    sandbox::{self, Sandbox},
    server::{Server, admin::address_of},
    systemd::{self, Sockets},
    wait,
};

/// Whether every server is given addresses for its administration, or only those that a
/// test asks about.
const ADMIN_BY_DEFAULT: bool = true;

/// The control socket in the sandbox.
const CONTROL: &str = "control.sock";

/// The configuration file in the sandbox.
pub(super) const CONFIG: &str = "remuda.toml";

/// The server's own executable in the sandbox.
pub(super) const EXECUTABLE: &str = "remuda";

/// What `remuda serve` is given.
#[derive(Debug)]
pub struct Builder {
    sandbox: Sandbox,
    /// What starts the server, if not this process itself.
    launcher: Vec<OsString>,
    /// What is started and becomes the server.
    precursor: Vec<OsString>,
    component: Option<PathBuf>,
    workers: String,
    cache: PathBuf,
    bind: Vec<String>,
    flags: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    admin: bool,
    executable: Option<PathBuf>,
    sockets: Sockets,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            sandbox: Sandbox::default(),
            launcher: Vec::new(),
            precursor: Vec::new(),
            component: None,
            workers: "1".to_owned(),
            cache: sandbox::shared_cache(),
            bind: Vec::new(),
            flags: Vec::new(),
            environment: Vec::new(),
            admin: ADMIN_BY_DEFAULT,
            executable: None,
            sockets: Sockets::default(),
        }
    }
}

impl Builder {
    /// Serves this guest at `/`.
    #[must_use]
    pub fn guest(mut self, guest: Guest) -> Self {
        self.component = Some(guest.path());
        self
    }

    /// Serves what this configuration file says. `[guests]` in it is their folder.
    #[must_use]
    pub fn config(self, toml: &str) -> Self {
        let path = self.sandbox.write(CONFIG, with_guests(toml));
        self.flag("--config", path)
    }

    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count.to_string();
        self
    }

    /// As many workers as the server thinks fit.
    #[must_use]
    pub fn workers_auto(mut self) -> Self {
        self.workers = "auto".to_owned();
        self
    }

    /// Compiles everything itself, in the place of what other tests have compiled.
    #[must_use]
    pub fn own_cache(mut self) -> Self {
        self.cache = self.path("cache");
        self
    }

    /// A setting on the command line.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.flags.extend([name.into(), value.into()]);
        self
    }

    /// A setting by its key, such as `workers.max_requests`. The command line, the
    /// [number of workers](Self::workers) among it, wins over it.
    #[must_use]
    pub fn setting(self, key: &str, value: &str) -> Self {
        let name = format!("REMUDA_{}", key.to_uppercase().replace('.', "__"));
        self.environment(&name, value)
    }

    /// Health checks, metrics and status at an address that the kernel chooses, and a
    /// control socket in the sandbox.
    #[must_use]
    pub fn with_admin(mut self) -> Self {
        self.admin = true;
        self
    }

    /// A guest under another name in the server's working folder, where it can be
    /// [replaced](Server::install).
    #[must_use]
    pub fn install(self, guest: Guest, name: &str) -> Self {
        self.sandbox.replace_with(name, &guest.path());
        self
    }

    /// Serves the component that was [installed](Self::install) under this name.
    #[must_use]
    pub fn component(mut self, name: &str) -> Self {
        self.component = Some(self.path(name));
        self
    }

    /// Starts a copy of the server's executable, which can be
    /// [replaced](Server::replace_executable).
    #[must_use]
    pub fn own_executable(mut self) -> Self {
        self.sandbox.replace_with(EXECUTABLE, &sandbox::server());
        self.executable = Some(self.path(EXECUTABLE));
        self
    }

    /// A listening socket that it inherits as from systemd, in the place of an address.
    #[must_use]
    pub fn inherits(mut self, socket: impl Into<OwnedFd>) -> Self {
        self.sockets.push(socket.into());
        self
    }

    /// An address, in the place of the one that is bound when none is named.
    #[must_use]
    pub fn bind(mut self, address: &str) -> Self {
        self.bind.push(address.to_owned());
        self
    }

    /// A variable of the server's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// A file in the server's working folder.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.sandbox.write(name, content);
        self
    }

    /// A file or folder in the server's working folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// A program that starts the server as its only child, and ends with its exit code.
    #[must_use]
    pub fn launched_by(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(OsString::from).collect();
        self
    }

    /// A program that becomes the server: it changes something of itself, then executes
    /// what its arguments say.
    #[must_use]
    pub fn precursor(mut self, precursor: &[&str]) -> Self {
        self.precursor = precursor.iter().map(OsString::from).collect();
        self
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn start(mut self) -> Server {
        if self.bind.is_empty() && self.sockets.is_empty() {
            self.bind.push("127.0.0.1:0".to_owned());
        }
        let words = self.words();
        let mut command = sandbox::command(&words[0]);
        command.args(&words[1..]).envs(self.environment);
        if !self.sockets.is_empty() {
            self.sockets.pass_to(&mut command);
        }
        let process = self.sandbox.start(&mut command);
        let supervisor = process.pid();
        let mut server = Server {
            process,
            supervisor,
            addresses: Vec::new(),
            admin: None,
            control: None,
            sandbox: self.sandbox,
            orphans: Vec::new(),
            has_ended: false,
            is_first: true,
        };
        let listening = wait_until_it_listens(&mut server).await;
        server.addresses = listening.text("addresses").split(',').map(str::to_owned).collect();
        server.admin = address_of(listening.text("admin"));
        server.control = listening.text("control").strip_prefix("unix:").map(PathBuf::from);
        if !self.launcher.is_empty() {
            server.supervisor = only_child(server.process.pid());
        }
        server
    }

    /// The command line.
    fn words(&self) -> Vec<OsString> {
        let mut words = self.launcher.clone();
        words.extend(self.precursor.iter().cloned());
        if !self.sockets.is_empty() {
            words.extend(systemd::WITH_ITS_PID.map(OsString::from));
        }
        let executable = self.executable.clone().unwrap_or_else(sandbox::server);
        words.extend([executable.into(), "serve".into()]);
        words.extend(self.component.clone().map(OsString::from));
        words.extend(["--workers".into(), self.workers.clone().into()]);
        words.extend(["--log-format".into(), "json".into()]);
        words.extend(["--cache".into(), self.cache.clone().into()]);
        for address in &self.bind {
            words.extend(["--bind".into(), address.into()]);
        }
        if self.admin {
            words.extend(["--admin".into(), "127.0.0.1:0".into()]);
            words.extend(["--control".into(), self.path(CONTROL).into()]);
        }
        words.extend(self.flags.iter().cloned());
        words
    }
}

/// A configuration in which the folder of the guests has its path.
pub(super) fn with_guests(toml: &str) -> String {
    toml.replace("[guests]", &sandbox::guests().display().to_string())
}

async fn wait_until_it_listens(server: &mut Server) -> Line {
    let listening = wait::until("the server to listen", || {
        let ended = server.process.ended();
        let line = server.lines("listening").pop();
        assert!(line.is_some() || ended.is_none(), "the server has ended: {ended:?}");
        line
    });
    listening.await
}

fn only_child(launcher: Pid) -> Pid {
    let children = process::children(launcher);
    assert_eq!(children.len(), 1, "the launcher has started {children:?}");
    children[0]
}
