//! One server: how it is started, when it answers, and how it ends.
//!
//! Owner: the measurement that started it. Invariant: a [`Running`] that is dropped has ended,
//! with all processes that it had, each by its own pid.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    bench::{Bench, Options},
    processes,
};

/// Longest time from start to first connection.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// For a server to end by itself; one whose guests burn does not.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// After which it is asked again, which some take for more urgent.
const ASK_AGAIN: Duration = Duration::from_millis(300);

#[derive(Clone)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// Left out when it has but one.
    pub(crate) workers: Option<usize>,
    /// What of it depends on nobody else's installation.
    pub(crate) is_own: bool,
    /// Another one with more options.
    is_variant: bool,
    program: PathBuf,
    /// `ADDRESS` stands for the address to listen on, `HOST` and `PORT` for its parts, `WORKERS`
    /// for their number, `CACHE` for the folder of compiled components, `NEW_FOLDER` for one that
    /// is empty at each start.
    args: Vec<String>,
    /// Where it is started, if that matters.
    folder: Option<PathBuf>,
}

/// A running server; ends when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: Option<TempDir>,
}

impl Contender {
    pub(crate) fn new(name: &str, program: PathBuf, args: Vec<String>) -> Self {
        let workers = args.iter().any(|arg| arg == "WORKERS").then_some(1);
        Self {
            name: name.to_owned(),
            workers,
            is_own: false,
            is_variant: false,
            program,
            args,
            folder: None,
        }
    }

    /// One that this workspace builds.
    pub(crate) fn own(mut self) -> Self {
        self.is_own = true;
        self
    }

    pub(crate) fn started_in(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    /// The same with more options, if it takes them behind what it serves.
    pub(crate) fn with(&self, name: &str, more: &[&str]) -> Self {
        let mut other = self.clone();
        other.name = format!("{}, {name}", self.name);
        other.is_variant = true;
        other.args.extend(more.iter().map(|arg| (*arg).to_owned()));
        other
    }

    /// The same with a cache that is empty at each start.
    pub(crate) fn with_empty_cache(&self) -> Self {
        let mut other = self.clone();
        other.name = format!("{}, empty cache", self.name);
        other.args.iter_mut().filter(|arg| *arg == "CACHE").for_each(|arg| {
            *arg = "NEW_FOLDER".to_owned(); //
        });
        other
    }

    /// The same by another executable.
    pub(crate) fn of_program(&self, program: PathBuf) -> Self {
        Self { program, ..self.clone() }
    }

    /// The same with so many workers; `None` if it cannot have them.
    pub(crate) fn of_workers(&self, workers: usize) -> Option<Self> {
        self.workers?;
        let name = format!("{}, {workers} workers", self.name);
        Some(Self { name, workers: Some(workers), ..self.clone() })
    }

    /// Whether a run with these options is about it.
    pub(crate) fn is_wanted(&self, options: &Options) -> bool {
        let is_quick =
            self.is_own && !self.is_variant && self.workers.is_none_or(|workers| workers == 1);
        options.choice.is_wanted(&self.name) && (is_quick || !options.smoke)
    }

    /// Why it cannot be started, if it is not installed.
    pub(crate) fn missing(&self) -> Option<String> {
        let is_there = if self.program.components().count() > 1 {
            self.program.exists()
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(&self.program).exists())
        };
        (!is_there).then(|| format!("there is no {}", self.program.display()))
    }

    /// Starts the server, and waits for nothing.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(crate) fn spawn(&self, bench: &Bench) -> Result<Running> {
        let address = free_address()?;
        let is_new = self.args.iter().any(|arg| arg == "NEW_FOLDER");
        let folder = is_new.then(|| bench.new_folder()).transpose()?;
        let args = self.args.iter().map(|arg| match arg.as_str() {
            "ADDRESS" => address.to_string(),
            "HOST" => address.ip().to_string(),
            "PORT" => address.port().to_string(),
            "WORKERS" => self.workers.unwrap_or(1).to_string(),
            "CACHE" => bench.options.cache(),
            "NEW_FOLDER" => folder
                .as_ref()
                .map(|folder| folder.path().display().to_string())
                .unwrap_or_default(),
            other => other.to_owned(),
        });
        let program = std::path::absolute(&self.program).ok().filter(|path| path.exists());
        let child = Command::new(program.as_ref().unwrap_or(&self.program))
            .args(args)
            .current_dir(self.folder.as_deref().unwrap_or(Path::new(".")))
            .env("RUST_BACKTRACE", "0")
            // No __pycache__ in the checkout.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        Ok(Running { child, address, _folder: folder })
    }

    /// Starts the server and waits until it accepts.
    ///
    /// # Errors
    /// When it cannot be run, ends, or takes a minute.
    pub(crate) async fn start(&self, bench: &Bench) -> Result<Running> {
        let mut running = self.spawn(bench)?;
        running.until_it_accepts().await?;
        Ok(running)
    }
}

/// A port that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it ends, or takes a minute.
    pub(crate) async fn until_it_accepts(&mut self) -> Result<()> {
        let give_up = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once with {status}");
            }
            if Instant::now() > give_up {
                bail!("it did not accept a connection within {START_TIMEOUT:?}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// # Errors
    /// When the server is not there any more.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().cast_signed()).context("a server has no pid")?;
        kill_process(pid, signal).context("failed to signal a server")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // As long as the first one lives, nobody else can have the pids below it.
        let all = processes::pids(self.pid()).unwrap_or_default();
        // Asked first, so that a supervisor ends its workers.
        for patience in [ASK_AGAIN, END_TIMEOUT] {
            let _ = self.signal(Signal::TERM);
            let until = std::time::Instant::now() + patience;
            while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            for pid in all.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
