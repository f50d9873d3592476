//! A supervisor under test: started, watched through its log, never left behind.

use std::{
    env, fs,
    io::Read,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use remuda_config::Config;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::{FOLDER, support};

/// Nothing here takes a fraction of it, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Builder {
    folder: TempDir,
    config: Config,
}

pub(crate) struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    /// Two workers that serve, a compiler that works.
    pub(crate) fn builder() -> Builder {
        let folder = tempfile::tempdir().expect("a folder");
        let config = support::config(Path::new("hello.wasm"), folder.path());
        Builder { folder, config }.worker("serves").compiler("works")
    }

    /// Waits for the start line.
    pub(crate) fn ready(self) -> Self {
        self.wait_for_line("listening");
        self
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// From now on, this is in the file of the configuration.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Config)) {
        let text = fs::read(self.folder.path().join("config.json")).expect("a configuration");
        let mut config = serde_json::from_slice(&text).expect("a configuration");
        change(&mut config);
        let text = serde_json::to_string(&config).expect("a configuration");
        set(self.folder.path(), "config.json", &text);
    }

    /// Replaces the file of the configuration by what is none.
    pub(crate) fn spoil_configuration(&self) {
        set(self.folder.path(), "config.json", "{ this is not it");
    }

    /// From now on, the compiler behaves like this.
    pub(crate) fn set_compiler(&self, behaviour: &str) {
        set(self.folder.path(), "compiler", behaviour);
    }

    /// From now on, workers are started to behave like this.
    pub(crate) fn set_worker(&self, behaviour: &str) {
        set(self.folder.path(), "worker", behaviour);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signalled");
    }

    /// What a terminal does on Ctrl-C.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).expect("signalled");
    }

    /// All log lines with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.folder.path().join("log")).expect("a log");
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter(|record| record["message"] == message).collect()
    }

    pub(crate) fn wait_for_line(&self, message: &str) -> Value {
        self.wait_for_lines(message, 1).remove(0)
    }

    pub(crate) fn wait_for_lines(&self, message: &str, count: usize) -> Vec<Value> {
        self.wait_for(message, || Some(self.lines(message)).filter(|lines| lines.len() >= count))
    }

    /// The pid that `name`, a file of the scenario's folder, comes to hold.
    pub(crate) fn wait_for_pid(&self, name: &str) -> Pid {
        let read = || fs::read_to_string(self.folder.path().join(name)).ok()?.trim().parse().ok();
        self.wait_for(name, || read().and_then(Pid::from_raw))
    }

    /// Pids of the workers that said they were ready, the latest last.
    pub(crate) fn ready_workers(&self) -> Vec<Pid> {
        self.lines("worker ready").iter().map(pid_of).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.wait_for_line("listening");
        let address = line["addresses"].as_str().expect("addresses");
        address.trim_start_matches("http://").parse().expect("an address")
    }

    /// The pid of a worker that answers.
    pub(crate) fn ask(&self) -> Pid {
        let mut answer = String::new();
        let mut connection = TcpStream::connect(self.address()).expect("a connection");
        connection.set_read_timeout(Some(LIMIT)).expect("a timeout");
        connection.read_to_string(&mut answer).expect("an answer");
        Pid::from_raw(answer.parse().expect("a number")).expect("a pid")
    }

    pub(crate) fn wait_for<T>(&self, what: &str, condition: impl FnMut() -> Option<T>) -> T {
        wait_for(condition).unwrap_or_else(|| panic!("waited in vain for {what}"))
    }

    pub(crate) fn wait_until_gone(&self, pid: Pid) {
        self.wait_for("the end of a process", || (!is_running(pid)).then_some(()));
    }

    /// Waits for the end of the process; the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let process = &mut self.process;
        let status = wait_for(|| process.try_wait().expect("a status"));
        status.expect("the supervisor ends").code()
    }

    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.process.kill().expect("killed");
        self.process.wait().expect("a status")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            print_log(&log);
        }
    }
}

impl Builder {
    pub(crate) fn worker(self, behaviour: &str) -> Self {
        set(self.folder.path(), "worker", behaviour);
        self
    }

    pub(crate) fn compiler(self, behaviour: &str) -> Self {
        set(self.folder.path(), "compiler", behaviour);
        self
    }

    pub(crate) fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn start(self) -> Server {
        let Self { folder, config } = self;
        let config = serde_json::to_string(&config).expect("a configuration");
        set(folder.path(), "config.json", &config);
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let process = Command::new(env::current_exe().expect("an executable"))
            .arg("serve")
            .env(FOLDER, folder.path())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("a supervisor");
        Server { process, folder }
    }
}

pub(crate) fn pid_of(line: &Value) -> Pid {
    let number = line["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    Pid::from_raw(number.expect("a number")).expect("a pid")
}

/// Whether the process exists and has not ended.
pub(crate) fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(process_folder(pid).join("stat")).unwrap_or_default();
    // `PID (NAME) STATE …`, and the name may contain anything (proc_pid_stat(5)).
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

pub(crate) fn process_folder(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", pid.as_raw_pid()))
}

fn set(folder: &Path, name: &str, content: &str) {
    // In one step, for a fake may be reading it.
    let new = folder.join("new");
    fs::write(&new, content).expect("written");
    fs::rename(new, folder.join(name)).expect("renamed");
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let give_up_at = Instant::now() + LIMIT;
    loop {
        let met = condition();
        if met.is_some() || Instant::now() >= give_up_at {
            return met;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[expect(clippy::print_stderr, reason = "a failed scenario shows what its server wrote")]
fn print_log(log: &str) {
    eprintln!("--- log of the supervisor ---\n{log}");
}
