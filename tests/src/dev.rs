//! `remuda dev` under test.
//!
//! Invariants: it listens on a port that the kernel chose; it ends with its [`Dev`], and its
//! server with it; what it wrote is printed when the test has failed.

use std::{fs, net::SocketAddr, os::unix::process::ExitStatusExt as _};

use crate::{
    cli::Cli,
    client::{Ask, Connection, Reply},
    load::Plan,
    log::Line,
    process::{self, Pid, Signal},
    sandbox::{self, Running, STDERR, Sandbox, shared_cache},
    wait,
};

/// A project that is being worked on.
pub struct Dev {
    process: Running,
    sandbox: Sandbox,
    folder: String,
    address: Option<SocketAddr>,
}

impl Dev {
    /// Makes a project from a template, and begins to work on it. Nothing need be served yet.
    ///
    /// # Panics
    /// When there is no such template, or something is in the way.
    pub async fn begin(template: &str, name: &str, edit: impl FnOnce(&str) -> String) -> Self {
        let mut new = Cli::remuda(&format!("new {name} --template {template}"));
        let _ = new.run().await.succeeded();
        let source = new.path(name).join(source(template));
        let text = fs::read_to_string(&source).expect("a source");
        fs::write(&source, edit(&text)).expect("a source that can be written");
        if template == "js" {
            let modules = new.path(name).join("node_modules");
            std::os::unix::fs::symlink(sandbox::node_modules(), modules).expect("a link");
        }
        let dev = new.then(&format!("dev {name} --bind 127.0.0.1:0 -- --cache"));
        let dev = dev.arg(shared_cache()).with_tools();
        let (sandbox, mut command) = dev.into_parts();
        // Where it keeps what must not outlive it.
        command.env("TMPDIR", sandbox.path("tmp")).env_remove("NO_COLOR");
        fs::create_dir(sandbox.path("tmp")).expect("a folder");
        let process = sandbox.start(&mut command);
        Self { process, sandbox, folder: name.to_owned(), address: None }
    }

    /// The same, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(template: &str, name: &str) -> Self {
        let mut dev = Self::begin(template, name, str::to_owned).await;
        // An interpreter takes a while to build, and as long to compile.
        dev.wait_for(&format!("built {name} in "), 1).await;
        dev.wait_until_it_serves().await;
        dev
    }

    /// # Panics
    /// When it does not listen.
    pub async fn wait_until_it_listens(&mut self) {
        let listening = wait::until("a server to listen", || {
            let lines = Line::all(&self.terminal());
            lines.into_iter().rfind(|line| line.message() == "listening")
        });
        let line = listening.await;
        let address = line.text("addresses").strip_prefix("http://");
        self.address = Some(address.and_then(|text| text.parse().ok()).expect("an address"));
    }

    /// # Panics
    /// When it does not serve what is built.
    pub async fn wait_until_it_serves(&mut self) {
        self.wait_until_it_listens().await;
        self.wait_for("dev: serving", 1).await;
    }

    /// What it has written, with what its builds and its server wrote.
    #[must_use]
    pub fn terminal(&self) -> String {
        self.sandbox.read(STDERR)
    }

    /// Waits until the terminal shows a text so many times.
    ///
    /// # Panics
    /// When it does not.
    pub async fn wait_for(&self, text: &str, times: usize) {
        let shown = || (self.terminal().matches(text).count() >= times).then_some(());
        wait::until(&format!("{times} x {text:?} on the terminal"), shown).await;
    }

    /// What a file of the project holds.
    #[must_use]
    pub fn read(&self, file: &str) -> String {
        self.sandbox.read(&format!("{}/{file}", self.folder))
    }

    /// Replaces a text in a file, as an editor does.
    ///
    /// # Panics
    /// When the text is not there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "no {from:?} in {file}");
        self.sandbox.replace(&format!("{}/{file}", self.folder), text.replacen(from, to, 1));
    }

    /// Writes a file that was not there.
    pub fn write(&self, file: &str, content: &str) {
        self.sandbox.write(&format!("{}/{file}", self.folder), content);
    }

    /// # Panics
    /// When there is no such file.
    pub fn remove(&self, file: &str) {
        let file = self.sandbox.path(&format!("{}/{file}", self.folder));
        fs::remove_file(file).expect("a file that was there");
    }

    /// Has what it says, from now on and before, in a file of the project too.
    ///
    /// # Panics
    /// When there is such a file.
    pub fn log_into(&self, file: &str) {
        let file = self.sandbox.path(&format!("{}/{file}", self.folder));
        fs::hard_link(self.sandbox.path(STDERR), file).expect("a second name");
    }

    fn address(&self) -> SocketAddr {
        self.address.expect("a project that is served")
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn send(&self, ask: Ask) -> Reply {
        let mut connection = Connection::http1(self.address()).await.expect("a connection");
        connection.send(ask).await
    }

    /// Clients that ask for `/` over and over.
    pub fn load(&self) -> Plan {
        Plan::new(self.address().into(), self.process.pid())
    }

    /// Waits until `/` is answered with this body.
    ///
    /// # Panics
    /// When it is not.
    pub async fn wait_for_body(&self, body: &str) {
        wait::until_async(&format!("the answer {body:?}"), async || {
            let reply = self.send(Ask::get("/")).await;
            (reply.status == 200 && reply.text() == body).then_some(())
        })
        .await;
    }

    /// Its server, and the workers of that.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        let servers = process::children(self.process.pid());
        let workers = servers.iter().flat_map(|server| process::children(*server));
        servers.iter().copied().chain(workers).collect()
    }

    /// Sends it a signal, and waits for its end. The exit code, or the signal's number and 128.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end_with(&mut self, signal: Signal) -> i32 {
        process::signal(self.process.pid(), signal);
        let status = wait::until("remuda dev to end", || self.process.ended()).await;
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or_default()
    }

    /// What is left in its folder for temporary files.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        fs::read_dir(self.sandbox.path("tmp")).map_or(0, Iterator::count)
    }
}

/// The file in which a template says what is answered.
#[must_use]
pub fn source(template: &str) -> &'static str {
    match template {
        "python" => "app.py",
        "js" => "src/handler.js",
        _ => "src/lib.rs",
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::figure(format_args!("--- terminal of remuda dev ---\n{}", self.terminal()));
        }
    }
}
