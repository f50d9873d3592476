//! A server under test.
//!
//! Invariants: it listens on a port that the kernel chose, is watched through its log, and
//! ends with its [`Server`], which prints the log when the test has failed.

mod admin;
mod builder;
mod end;
mod orders;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

pub use admin::{Answer, WorkerState};
pub use builder::Builder;

use crate::{
    client::{Ask, Connection, Endpoint, Reply},
    guests::Guest,
    log::Line,
    process::{self, Pid, Signal},
    raw::Raw,
    sandbox::{Running, STDERR, STDOUT, Sandbox},
    wait,
};

/// Connections that are tried until each worker has accepted one.
const MANY: usize = 400;

/// A running server.
pub struct Server {
    process: Running,
    /// The supervisor: the process itself, or the child of its launcher.
    supervisor: Pid,
    addresses: Vec<String>,
    /// Where health, metrics and status are read, if anywhere.
    admin: Option<SocketAddr>,
    /// Where it takes orders, if anywhere.
    control: Option<PathBuf>,
    sandbox: Sandbox,
    /// Workers whose supervisor was killed.
    orphans: Vec<Pid>,
    has_ended: bool,
    /// The supervisor is the process that was started, not one that has taken over.
    is_first: bool,
}

impl Server {
    /// A server with one worker, unless it is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A server of this guest with one worker and default settings.
    pub async fn of(guest: Guest) -> Self {
        Self::builder().guest(guest).start().await
    }

    /// Its first TCP address.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.tcp_addresses()[0]
    }

    /// All TCP addresses it listens on, in the order of the configuration.
    #[must_use]
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        let tcp = self.addresses.iter().filter_map(|address| address.split_once("://"));
        let tcp = tcp.map(|(_, address)| address);
        tcp.map(|address| address.parse().expect("an address in the log")).collect()
    }

    /// Where clients connect to: its first TCP address, or else its first unix socket.
    ///
    /// # Panics
    /// When it has neither.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        let unix = || self.addresses.iter().find_map(|address| address.strip_prefix("unix:"));
        match self.tcp_addresses().first() {
            Some(address) => Endpoint::Tcp(*address),
            None => Endpoint::Unix(unix().expect("an address").into()),
        }
    }

    /// A file of its working folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    // Asking

    /// A new HTTP/1.1 connection.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(&self) -> Connection {
        Connection::http1(self.address()).await.expect("a connection")
    }

    /// A new HTTP/2 connection.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_http2(&self) -> Connection {
        Connection::http2(self.address()).await.expect("a connection")
    }

    /// A new connection without a protocol.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_raw(&self) -> Raw {
        Raw::connect(self.address()).await
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn send(&self, ask: Ask) -> Reply {
        self.connect().await.send(ask).await
    }

    /// GET on a connection of its own.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn get(&self, target: &str) -> Reply {
        self.send(Ask::get(target)).await
    }

    // Processes

    /// The supervisor.
    #[must_use]
    pub fn supervisor(&self) -> Pid {
        self.supervisor
    }

    /// The workers that run, as the kernel knows them.
    #[must_use]
    pub fn workers(&self) -> Vec<Pid> {
        process::children(self.supervisor).into_iter().filter(is_worker).collect()
    }

    /// The only worker.
    ///
    /// # Panics
    /// When there is not exactly one.
    #[must_use]
    pub fn worker(&self) -> Pid {
        let workers = self.workers();
        assert_eq!(workers.len(), 1, "{workers:?}");
        workers[0]
    }

    /// The worker that holds the other end of a connection, once it was accepted.
    #[must_use]
    pub fn worker_of(&self, connection: &Connection) -> Option<Pid> {
        let (ours, theirs) = connection.ends();
        process::holder(theirs, ours, &self.workers())
    }

    /// One connection to each worker, on which it has answered a request.
    ///
    /// # Panics
    /// When some worker accepts none of many connections.
    pub async fn connect_to_each_worker(&self, ask: &Ask) -> BTreeMap<i32, Connection> {
        let workers = self.workers();
        let (mut found, mut others) = (BTreeMap::new(), Vec::new());
        for _ in 0..MANY {
            let mut connection = self.connect().await;
            connection.send(ask.clone()).await;
            let worker = self.worker_of(&connection).expect("a worker that has answered");
            // Whoever has one already keeps it open, which leaves more to the others.
            others.extend(found.insert(worker.as_raw_pid(), connection));
            if found.len() == workers.len() {
                return found;
            }
        }
        panic!("of {workers:?}, only {:?} answered {MANY} connections", found.keys());
    }

    pub fn signal(&self, signal: Signal) {
        process::signal(self.supervisor, signal);
    }

    /// Orders it to finish and end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    // Logs

    /// Everything it has written to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.sandbox.read(STDERR)
    }

    /// Everything it has written to standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.sandbox.read(STDOUT)
    }

    /// All log lines so far.
    #[must_use]
    pub fn log(&self) -> Vec<Line> {
        Line::all(&self.stderr())
    }

    /// All log lines with this message.
    #[must_use]
    pub fn lines(&self, message: &str) -> Vec<Line> {
        // Only lines that may be meant are parsed; a log grows long under load.
        let (log, text) = (self.stderr(), serde_json::Value::from(message).to_string());
        let candidates: Vec<&str> = log.lines().filter(|line| line.contains(&text)).collect();
        let lines = Line::all(&candidates.join("\n"));
        lines.into_iter().filter(|line| line.message() == message).collect()
    }

    /// Waits for a log line with this message.
    ///
    /// # Panics
    /// When none comes.
    pub async fn wait_for_line(&self, message: &str) -> Line {
        self.wait_for_lines(message, 1).await.remove(0)
    }

    /// Waits for so many log lines with this message.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for_lines(&self, message: &str, count: usize) -> Vec<Line> {
        let enough = || Some(self.lines(message)).filter(|lines| lines.len() >= count);
        wait::until(&format!("{count} log lines {message:?}"), enough).await
    }

    /// What guests have printed.
    #[must_use]
    pub fn printed(&self) -> Vec<Line> {
        self.log().into_iter().filter(|line| line.text("target") == "guest").collect()
    }

    /// All lines of an access log in JSON.
    #[must_use]
    pub fn access_log(&self) -> Vec<Line> {
        Line::all(&self.stdout())
    }

    /// Waits for so many lines on standard output.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn wait_for_output(&self, count: usize) -> Vec<String> {
        wait::until(&format!("{count} lines on standard output"), || {
            let lines: Vec<String> = self.stdout().lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

fn is_worker(pid: &Pid) -> bool {
    let role = |pid| process::arguments(pid).into_iter().nth(1);
    process::is_running(*pid) && role(*pid).as_deref() == Some("worker")
}
