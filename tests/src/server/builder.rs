//! How a server is started.

use std::{ffi::OsString, path::PathBuf};

use crate::{
    guests::Guest,
    process::{self, Pid},
    sandbox::{self, Sandbox},
    server::Server,
    wait,
};

/// What `remuda serve` is given.
#[derive(Debug)]
pub struct Builder {
    sandbox: Sandbox,
    /// What starts the server, if not this process itself.
    launcher: Vec<OsString>,
    component: Option<PathBuf>,
    workers: usize,
    bind: Vec<String>,
    flags: Vec<OsString>,
    environment: Vec<(String, OsString)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            sandbox: Sandbox::default(),
            launcher: Vec::new(),
            component: None,
            workers: 1,
            bind: Vec::new(),
            flags: Vec::new(),
            environment: Vec::new(),
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
        let toml = toml.replace("[guests]", &sandbox::guests().display().to_string());
        let path = self.sandbox.write("remuda.toml", toml);
        self.flag("--config", path)
    }

    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// A setting on the command line.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.flags.extend([name.into(), value.into()]);
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

    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead.
    pub async fn start(mut self) -> Server {
        if self.bind.is_empty() {
            self.bind.push("127.0.0.1:0".to_owned());
        }
        let words = self.words();
        let mut command = sandbox::command(&words[0]);
        command.args(&words[1..]).envs(self.environment);
        let process = self.sandbox.start(&mut command);
        let supervisor = process.pid();
        let mut server = Server {
            process,
            supervisor,
            addresses: Vec::new(),
            sandbox: self.sandbox,
            orphans: Vec::new(),
            has_ended: false,
        };
        server.addresses = wait_until_it_listens(&mut server).await;
        if !self.launcher.is_empty() {
            server.supervisor = only_child(server.process.pid());
        }
        server
    }

    /// The command line.
    fn words(&self) -> Vec<OsString> {
        let mut words = self.launcher.clone();
        words.extend([sandbox::server().into(), "serve".into()]);
        words.extend(self.component.clone().map(OsString::from));
        words.extend(["--workers".into(), self.workers.to_string().into()]);
        words.extend(["--log-format".into(), "json".into()]);
        words.extend(["--cache".into(), sandbox::shared_cache().into()]);
        for address in &self.bind {
            words.extend(["--bind".into(), address.into()]);
        }
        words.extend(self.flags.iter().cloned());
        words
    }
}

async fn wait_until_it_listens(server: &mut Server) -> Vec<String> {
    let listening = wait::until("the server to listen", || {
        let ended = server.process.ended();
        let line = server.lines("listening").pop();
        assert!(line.is_some() || ended.is_none(), "the server has ended: {ended:?}");
        line
    });
    listening.await.text("addresses").split(',').map(str::to_owned).collect()
}

fn only_child(launcher: Pid) -> Pid {
    let children = process::children(launcher);
    assert_eq!(children.len(), 1, "the launcher has started {children:?}");
    children[0]
}
